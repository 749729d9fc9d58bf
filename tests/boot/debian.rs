//! Debian 12, with each way to build an initramfs: does it boot, forget, keep, grow, and look right to udev?

use crate::{
    machine::{MAPPED, debian, sha256, with_script},
    mounts::{has_kept, shuts_down_cleanly, what_is_kept_is_mounted, writes_at_home},
    watch::wait_for_journal,
};
use vmtest::{Disk, Ending, Image, Qemu, Result, Size, Vm, require};

pub(crate) const ENCRYPT: &str = "ebbtide.encrypt=yes";

/// Has udev look at all disks anew. The few hundred other devices of a machine take seconds, and nobody asks for them here.
const LOOK_AGAIN: &str = "udevadm trigger --subsystem-match=block";

#[test]
fn initramfs_tools_forgets_the_root_and_keeps_homes() -> Result<()> {
    let image = require!(Image::named("debian-initramfs-tools"));
    let mut vm = require!(with_homes(&image).start());
    forgets_the_root_and_keeps_homes(&mut vm, &image, ENCRYPT, |_| Ok(()))
}

#[test]
fn dracut_with_systemd_forgets_the_root_and_keeps_homes() -> Result<()> {
    let image = require!(Image::named("debian-dracut-systemd"));
    let mut vm = require!(with_homes(&image).start());
    forgets_the_root_and_keeps_homes(&mut vm, &image, "", |_| Ok(()))
}

#[test]
fn dracut_without_systemd_forgets_the_root_and_keeps_homes() -> Result<()> {
    let image = require!(Image::named("debian-dracut"));
    let mut vm = require!(with_homes(&image).start());
    forgets_the_root_and_keeps_homes(&mut vm, &image, ENCRYPT, |_| Ok(()))
}

/// On a host that does not empty the volatile disk: udev has seen the old partitions when we come.
#[test]
fn a_root_in_a_gpt_partition_is_forgotten_with_an_old_table_under_udev() -> Result<()> {
    let image = require!(Image::named("debian-gpt"));
    let before = sha256(&image.root());
    let machine = Qemu::boot(&image)
        .root(Disk::read_only(image.root()))
        .volatile(Disk::empty(Size::gib(2)).kept());
    let mut vm = require!(machine.start());
    is_up_on_dmroot(&vm)?;
    is_over(&vm, "/dev/vda2")?;
    udev_sees_the_devices_as_they_are(&vm)?;
    writes_to_the_root(&vm)?;
    vm.power_cycle()?;

    is_up_on_dmroot(&vm)?;
    vm.run("dmesg | grep -q 'forget partition 2 of vdb'")?;
    has_forgotten(&vm)?;
    udev_sees_the_devices_as_they_are(&vm)?;
    vm.pull_the_plug();
    vm.kernel_log_is_clean()?;
    assert_eq!(sha256(&image.root()), before, "the root image was written to");
    Ok(())
}

pub(crate) fn with_homes(image: &Image) -> Qemu {
    debian(image).private(Disk::empty(Size::mib(256)))
}

/// What each initramfs is there for, in two starts: a plain one that is cut, and one with these words more on
/// the command line (encryption, if any), at which `more` is looked at, and which shuts down.
pub(crate) fn forgets_the_root_and_keeps_homes(
    vm: &mut Vm,
    image: &Image,
    second: &str,
    more: fn(&Vm) -> Result<()>,
) -> Result<()> {
    let before = sha256(&image.root());
    is_up_on_dmroot(vm)?;
    is_over(vm, "/dev/vda")?;
    assert!(vm.run("dmsetup table dmroot")?.contains(" N 8"), "the store cannot fill");
    udev_sees_the_devices_as_they_are(vm)?;
    what_is_kept_is_mounted(vm)?;
    writes_to_the_root(vm)?;
    writes_at_home(vm)?;
    vm.power_cycle_as(|machine| machine.cmdline(second))?;

    if second.contains(ENCRYPT) {
        is_up(vm)?;
        udev_sees_the_encrypted_devices_as_they_are(vm)?;
    } else {
        is_up_on_dmroot(vm)?;
    }
    has_forgotten(vm)?;
    what_is_kept_is_mounted(vm)?;
    has_kept(vm)?;
    // The unit of an initramfs lends its state to the one of the same name, so it is the log that tells.
    let times = vm.run("dmesg | grep -c 'ebbtide: .* is mounted at /rw'")?;
    assert_eq!(times, "1", "the running system did it again");
    more(vm)?;
    shuts_down_cleanly(vm)?;
    assert_eq!(sha256(&image.root()), before, "the root image was written to");
    Ok(())
}

/// The mapped root lies on this device.
fn is_over(vm: &Vm, origin: &str) -> Result<()> {
    let number = vm.run(&format!("lsblk -dno MAJ:MIN {origin}"))?;
    let below = vm.run("dmsetup deps dmroot")?;
    assert!(below.contains(&number.trim().replace(':', ", ")), "{origin}: {below}");
    Ok(())
}

/// A file, and a package less.
fn writes_to_the_root(vm: &Vm) -> Result<()> {
    vm.run("echo written > /root/new && sync")?;
    let package =
        vm.run("dpkg --purge --force-depends procps 2>&1 && sync; dpkg -s procps 2>&1; true")?;
    assert!(package.contains("not installed"), "{package}");
    Ok(())
}

fn has_forgotten(vm: &Vm) -> Result<()> {
    assert_eq!(vm.try_run("test -e /root/new")?.status, 1, "a file came back");
    assert!(vm.run("dpkg -s procps")?.contains("Status: install ok installed"));
    Ok(())
}

/// Multi-user, nothing failed.
pub(crate) fn is_up(vm: &Vm) -> Result<()> {
    vm.expect_console("ebbtide: step 1/")?;
    let state = vm.try_run("systemctl is-system-running --wait; systemctl --failed --no-legend")?;
    assert_eq!(state.text(), "running", "the system is not whole");
    Ok(())
}

/// The same, the root writable on our device, swap on.
pub(crate) fn is_up_on_dmroot(vm: &Vm) -> Result<()> {
    is_up(vm)?;
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
        vm.run(&format!("{LOOK_AGAIN} --action={action} && udevadm settle"))?;
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

/// The root has its links, the swap area has those of one, and the store has none, in clear or not.
fn udev_sees_the_encrypted_devices_as_they_are(vm: &Vm) -> Result<()> {
    vm.run("touch /root/before-the-trigger && sync")?;
    for action in ["change", "add"] {
        vm.run(&format!("{LOOK_AGAIN} --action={action} && udevadm settle"))?;
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
    Ok(())
}

/// In a partition, which is not ours to enlarge: what is needed is said, and then done.
#[test]
fn a_writable_root_is_kept_and_has_its_partition_with_initramfs_tools() -> Result<()> {
    let image = require!(Image::named("debian-gpt"));
    let mut vm = require!(with_writable_root(&image).start());
    keeps_a_writable_root(&mut vm, "vda2", |vm, _| {
        wait_for_journal(vm, "vda has .* behind vda2, which stays as it is: enlarge the partition")
    })?;
    let end = vm.run("cat /sys/class/block/vda/size")?;
    vm.run(&format!(
        "resizepart /dev/vda 2 $(({end} - $(cat /sys/class/block/vda2/start) - 2048)) && udevadm trigger --settle /dev/vda"
    ))?;
    wait_for_journal(&vm, "ext4 on vda2 has grown from")?;
    vm.kernel_log_is_clean()
}

/// Here systemd mounts the root only after udev has given the link to it a device unit.
#[test]
fn a_writable_root_is_kept_and_grows_with_dracut_and_systemd() -> Result<()> {
    let image = require!(Image::named("debian-dracut-systemd"));
    let mut vm = require!(with_writable_root(&image).start());
    keeps_a_writable_root(&mut vm, "vda", grows)
}

/// The file system has been grown by the unit to this many MiB.
pub(crate) fn grows(vm: &Vm, mib: u64) -> Result<()> {
    wait_for_journal(vm, "ext4 on vda has grown from .* to")?;
    let size = vm.run("findmnt -bno SIZE /")?;
    let grown = size.parse::<u64>().is_ok_and(|size| size > (mib << 20) * 9 / 10);
    assert!(grown, "{size} bytes on a disk of {mib} MiB");
    Ok(())
}

pub(crate) fn with_writable_root(image: &Image) -> Qemu {
    let root = Disk::copy_of(image.root()).kept();
    Qemu::boot(image).root(root).volatile(Disk::empty(Size::gib(1)))
}

/// Two starts of a root that is written to. Its disk is enlarged in the first one, and again when nobody
/// watches, so that the second one finds it so; `grown` looks what has come of it.
pub(crate) fn keeps_a_writable_root(
    vm: &mut Vm,
    device: &str,
    grown: fn(&Vm, u64) -> Result<()>,
) -> Result<()> {
    vm.expect_console(&format!("ebbtide: root {device} is writable and used as it is"))?;
    assert_eq!(vm.run("systemctl is-system-running --wait")?, "running");
    vm.run(&format!("{LOOK_AGAIN} && udevadm settle"))?;
    assert_eq!(vm.run("readlink -f /dev/mapper/dmroot")?, format!("/dev/{device}"));
    assert_eq!(vm.run("systemctl is-active dev-mapper-dmroot.device")?, "active");
    assert!(vm.run("cat /proc/swaps")?.contains("/dev/vdb1"));
    vm.run("echo kept > /root/kept && sync")?;
    let size = vm.run("cat /sys/class/block/vda/size")?.parse::<u64>().expect("a number") >> 11;
    for (mib, watched) in [(256, true), (512, false)] {
        if !watched {
            vm.run("systemctl stop ebbtide-watch")?;
        }
        vm.resize_disk("root", Size::mib(size + mib))?;
        if !watched {
            vm.run("sync")?;
            vm.power_cycle()?;
        }
        grown(vm, size + mib)?;
    }
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
        let machine =
            Qemu::boot(&image).root(Disk::read_only(image.root())).cmdline("ebbtide.timeout=2s");
        let vm = require!(machine.start());
        vm.expect_console("ebbtide: volatile disk is missing: wanted serial=volatile, xvdc or ubdc; found vda serial=root")?;
        let outcome = vm.wait_for_end(std::time::Duration::from_secs(60));
        // A reboot; dracut without systemd ends by the panic that its own scripts end by.
        assert_ne!(outcome.ending, Ending::TimeLimit, "{name}");
    }
    Ok(())
}
