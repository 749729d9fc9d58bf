//! Debian 12, with each way to build an initramfs: does it boot, forget, and look right to udev?

use crate::machine::{MAPPED, debian, sha256, with_script};
use vmtest::{Disk, Ending, Image, Result, Size, Vm, require};

#[test]
fn initramfs_tools_boots_writes_and_forgets() -> Result<()> {
    boots_writes_and_forgets(&require!(Image::named("debian-initramfs-tools")), "/dev/vda")
}

#[test]
fn dracut_with_systemd_boots_writes_and_forgets() -> Result<()> {
    boots_writes_and_forgets(&require!(Image::named("debian-dracut-systemd")), "/dev/vda")
}

#[test]
fn dracut_without_systemd_boots_writes_and_forgets() -> Result<()> {
    boots_writes_and_forgets(&require!(Image::named("debian-dracut")), "/dev/vda")
}

#[test]
fn a_root_in_a_gpt_partition_boots_writes_and_forgets() -> Result<()> {
    boots_writes_and_forgets(&require!(Image::named("debian-gpt")), "/dev/vda2")
}

/// A host that does not empty the volatile disk: udev has seen the old partitions when we come.
#[test]
fn an_old_table_under_udev_is_replaced() -> Result<()> {
    let image = require!(Image::named("debian-gpt"));
    let machine = vmtest::Qemu::boot(&image)
        .root(Disk::read_only(image.root()))
        .volatile(Disk::empty(Size::gib(2)).kept());
    let mut vm = require!(machine.start());
    is_up_on_dmroot(&vm)?;
    vm.run("echo written > /root/new && sync")?;
    vm.power_cycle()?;
    is_up_on_dmroot(&vm)?;
    vm.run("dmesg | grep -q 'forget partition 2 of vdb'")?;
    assert_eq!(vm.try_run("test -e /root/new")?.status, 1, "a file came back");
    udev_sees_the_devices_as_they_are(&vm)
}

pub(crate) fn boots_writes_and_forgets(image: &Image, origin: &str) -> Result<()> {
    let before = sha256(&image.root());
    let mut vm = require!(debian(image).start());
    is_up_on_dmroot(&vm)?;
    assert!(vm.run("dmsetup table dmroot")?.contains(" N 8"));
    let origin_number = vm.run(&format!("lsblk -dno MAJ:MIN {origin}"))?;
    assert!(vm.run("dmsetup deps dmroot")?.contains(&origin_number.trim().replace(':', ", ")));
    udev_sees_the_devices_as_they_are(&vm)?;

    vm.run("echo written > /root/new && sync")?;
    let package =
        vm.run("dpkg --purge --force-depends procps 2>&1 && sync; dpkg -s procps 2>&1; true")?;
    assert!(package.contains("not installed"), "{package}");
    vm.power_cycle()?;

    is_up_on_dmroot(&vm)?;
    assert_eq!(vm.try_run("test -e /root/new")?.status, 1, "a file came back");
    assert!(vm.run("dpkg -s procps")?.contains("Status: install ok installed"));
    vm.power_off()?;
    vm.kernel_log_is_clean()?;
    assert_eq!(sha256(&image.root()), before, "the root image was written to");
    Ok(())
}

/// Multi-user, nothing failed, the root writable on our device, swap on.
pub(crate) fn is_up_on_dmroot(vm: &Vm) -> Result<()> {
    vm.expect_console("ebbtide: step 1/")?;
    let state = vm.try_run("systemctl is-system-running --wait; systemctl --failed --no-legend")?;
    assert_eq!(state.text(), "running", "the system is not whole");
    assert_eq!(vm.run("findmnt -no SOURCE /")?, "/dev/mapper/dmroot");
    assert!(vm.run("findmnt -no OPTIONS /")?.starts_with("rw"));
    assert!(vm.run("cat /proc/swaps")?.contains("/dev/vdb1"));
    vm.run("dmesg | grep -q 'ebbtide: /dev/mapper/dmroot is ready'")?;
    Ok(())
}

/// What udev, blkid, lsblk and systemd say, also after everything has been looked at anew.
fn udev_sees_the_devices_as_they_are(vm: &Vm) -> Result<()> {
    // With a superblock that was written to, and so copied into the store.
    vm.run("touch /root/before-the-trigger && sync")?;
    for action in ["change", "add"] {
        vm.run(&format!("udevadm trigger --action={action} && udevadm settle"))?;
    }
    assert_eq!(vm.run("readlink -f /dev/mapper/dmroot")?, "/dev/dm-0");
    assert_eq!(vm.run("systemctl is-active dev-mapper-dmroot.device")?, "active");

    let uuid = vm.run("findmnt -no UUID /")?;
    assert_eq!(vm.run(&format!("readlink -f /dev/disk/by-uuid/{uuid}"))?, "/dev/dm-0");
    let store = vm.run("blkid -p /dev/vdb2; lsblk -dno FSTYPE,UUID,LABEL /dev/vdb2")?;
    assert!(store.contains("PART_ENTRY_NAME=\"ebbtide-cow\""), "{store}");
    assert!(!store.contains(&uuid) && !store.contains("ext4"), "{store}");
    assert_eq!(vm.run("lsblk -dno PARTLABEL,FSTYPE /dev/vdb2")?.trim(), "ebbtide-cow");
    assert_eq!(vm.run("readlink -f /dev/disk/by-partlabel/ebbtide-cow")?, "/dev/vdb2");
    assert_eq!(vm.run("lsblk -dno FSTYPE /dev/vdb1")?.trim(), "swap");
    Ok(())
}

#[test]
fn initramfs_tools_boots_with_encryption() -> Result<()> {
    boots_with_encryption(&require!(Image::named("debian-initramfs-tools")))
}

#[test]
fn dracut_without_systemd_boots_with_encryption() -> Result<()> {
    boots_with_encryption(&require!(Image::named("debian-dracut")))
}

/// The root has its links, the swap area has those of one, and the store has none, in clear or not.
fn boots_with_encryption(image: &Image) -> Result<()> {
    let vm = require!(debian(image).cmdline("ebbtide.encrypt=yes").start());
    vm.expect_console("ebbtide: step 1/")?;
    let state = vm.try_run("systemctl is-system-running --wait; systemctl --failed --no-legend")?;
    assert_eq!(state.text(), "running", "the system is not whole");
    vm.run("touch /root/before-the-trigger && sync")?;
    for action in ["change", "add"] {
        vm.run(&format!("udevadm trigger --action={action} && udevadm settle"))?;
        let node = |name: &str| vm.run(&format!("readlink -f /dev/mapper/{name}"));
        let (root, store, swap) = (node(MAPPED)?, node("dmroot-cow")?, node("dmroot-swap")?);
        assert_eq!(
            vm.run("dmsetup ls --target crypt | sort | cut -f1")?,
            "dmroot-cow\ndmroot-swap"
        );
        assert_eq!(vm.run("readlink -f $(findmnt -no SOURCE /)")?, root);
        assert!(vm.run("cat /proc/swaps")?.contains(&format!("{swap} ")));

        let uuid = vm.run("findmnt -no UUID /")?;
        assert_eq!(vm.run(&format!("readlink -f /dev/disk/by-uuid/{uuid}"))?, root);
        let same =
            vm.run(&format!("lsblk -no NAME,UUID --list | grep {uuid} | cut -d' ' -f1 | sort -u"))?;
        assert_eq!(same, "dmroot\nvda", "devices with the root's UUID");
        let swap_uuid = vm.run(&format!("lsblk -dno UUID {swap}"))?;
        assert_eq!(vm.run(&format!("readlink -f /dev/disk/by-uuid/{swap_uuid}"))?, swap);
        assert_eq!(vm.run(&format!("lsblk -dno FSTYPE {swap}"))?.trim(), "swap");
        assert_eq!(vm.run(&format!("lsblk -dno FSTYPE,UUID,LABEL {store} /dev/vdb2"))?.trim(), "");
        let links = vm.run(&format!("udevadm info -q symlink {store}"))?;
        assert_eq!(links, "mapper/dmroot-cow");
        for unit in ["dmroot", "dmroot\\x2dcow", "dmroot\\x2dswap"] {
            let unit = format!("systemctl is-active 'dev-mapper-{unit}.device'");
            assert_eq!(vm.run(&unit)?, "active");
        }
    }
    vm.power_off()?;
    assert!(!vm.console().contains("FAILED"), "a unit failed at the end");
    vm.kernel_log_is_clean()
}

#[test]
fn a_writable_root_is_kept_with_initramfs_tools() -> Result<()> {
    keeps_a_writable_root(&require!(Image::named("debian-initramfs-tools")))
}

/// Here systemd mounts the root only after udev has given the link to it a device unit.
#[test]
fn a_writable_root_is_kept_with_dracut_and_systemd() -> Result<()> {
    keeps_a_writable_root(&require!(Image::named("debian-dracut-systemd")))
}

pub(crate) fn keeps_a_writable_root(image: &Image) -> Result<()> {
    let machine = vmtest::Qemu::boot(image)
        .root(Disk::copy_of(image.root()).kept())
        .volatile(Disk::empty(Size::gib(1)));
    let mut vm = require!(machine.start());
    vm.expect_console("ebbtide: root vda is writable and used as it is")?;
    assert_eq!(vm.run("systemctl is-system-running --wait")?, "running");
    vm.run("udevadm trigger && udevadm settle")?;
    assert_eq!(vm.run("readlink -f /dev/mapper/dmroot")?, "/dev/vda");
    assert_eq!(vm.run("systemctl is-active dev-mapper-dmroot.device")?, "active");
    assert!(vm.run("cat /proc/swaps")?.contains("/dev/vdb1"));
    vm.run("echo kept > /root/kept && sync")?;
    vm.power_cycle()?;
    assert_eq!(vm.run("cat /root/kept")?, "kept");
    Ok(())
}

/// udevd is killed in the initramfs and leaves its control socket: whoever waits for it waits for ever.
#[test]
fn a_udevd_that_died_and_left_its_socket_does_not_hang_the_boot() -> Result<()> {
    let image = require!(Image::named("debian-initramfs-tools"));
    let kill = "[ \"$1\" = prereqs ] && exit 0\n\
        for p in /proc/[0-9]*; do case $(cat $p/cmdline 2>/dev/null) in *systemd-udevd*) kill -9 ${p##*/};; esac; done\n\
        [ -S /run/udev/control ] && echo 'test: udevd is gone, its socket is there' > /dev/kmsg\n";
    let original = include_str!("../../initramfs/local-top");
    // Debian's own last script asks udevd to end, and the boot dies when there is none: start another.
    let again = "/usr/lib/systemd/systemd-udevd --daemon --resolve-names=never\n";
    let script = original.replacen('\n', &format!("\n{kill}"), 1) + again;
    let folder = with_script(&image, "scripts/local-top/ebbtide", &script);

    let vm = require!(debian(&image).initrd(folder.path().join("initrd")).start());
    vm.expect_console("test: udevd is gone, its socket is there")?;
    is_up_on_dmroot(&vm)?;
    udev_sees_the_devices_as_they_are(&vm)
}

/// The reason is on the console, with each initramfs, and the boot ends instead of waiting for ever.
#[test]
fn without_a_volatile_disk_the_boot_ends_with_the_reason() -> Result<()> {
    for name in ["debian-initramfs-tools", "debian-dracut-systemd", "debian-dracut"] {
        let image = require!(Image::named(name));
        let machine = vmtest::Qemu::boot(&image)
            .root(Disk::read_only(image.root()))
            .cmdline("ebbtide.timeout=2s");
        let vm = require!(machine.start());
        vm.expect_console("ebbtide: volatile disk is missing: wanted serial=volatile, xvdc or ubdc; found vda serial=root")?;
        let outcome = vm.wait_for_end(std::time::Duration::from_secs(60));
        // A reboot; dracut without systemd ends by the panic that its own scripts end by.
        assert_ne!(outcome.ending, Ending::TimeLimit, "{name}");
    }
    Ok(())
}
