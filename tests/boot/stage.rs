//! The init stage alone: no distribution, no udev, one shell.

use crate::{
    faults::reset,
    machine::{MAPPED, small_root, stage, with_words},
    watch::grows_with_its_disk,
};
use vmtest::{Disk, Image, Qemu, Result, Size, Vm, require};

/// Mounts the mapped root and says what stands at the places that the tests look at.
const MOUNT: &str = "mkdir -p /mnt && busybox mount -t ext4 /dev/mapper/dmroot /mnt";

#[test]
fn makes_a_read_only_root_writable_without_udev_and_a_second_run_does_nothing() -> Result<()> {
    let vm = require!(stage(&require!(Image::named("stage"))).start());
    does_nothing_for_another_root(&vm)?;
    vm.run("ebbtide-init root")?;
    vm.expect_line("ebbtide: /dev/mapper/dmroot is ready")?;
    assert!(vm.run("cat /proc/swaps")?.contains("/dev/vdb1"));
    assert_eq!(vm.run("readlink /dev/mapper/dmroot")?, "../dm-0");
    let before = vm.disk_stats("volatile")?;
    let said = vm.run("ebbtide-init root")?;
    assert_eq!(said, "nothing to do: /dev/mapper/dmroot is there already, it is dm-0");
    assert_eq!(vm.disk_stats("volatile")?.since(before).written, Size::mib(0), "a second run");

    vm.run(MOUNT)?;
    assert_eq!(vm.run("cat /mnt/srv/original")?, "as it was");
    vm.run("echo new > /mnt/srv/original && sync && echo 3 > /proc/sys/vm/drop_caches")?;
    assert_eq!(vm.run("cat /mnt/srv/original")?, "new");
    vm.run("umount /mnt")?;
    takes_every_block(&vm)?;
    vm.power_off()?;
    vm.kernel_log_is_clean()
}

fn does_nothing_for_another_root(vm: &Vm) -> Result<()> {
    with_words(vm, "root=/dev/vda")?;
    let said = vm.run("ebbtide-init root")?;
    assert!(said.starts_with("nothing to do: root= on the kernel command line"), "{said}");
    assert_eq!(vm.try_run("test -e /dev/mapper/dmroot")?.status, 1, "a root of somebody else");
    assert_eq!(vm.run("grep -c vdb /proc/partitions")?, "1");
    assert!(vm.run("ebbtide-init status")?.starts_with("nothing to tell"));
    assert!(vm.run("ebbtide-init status --json")?.contains("\"root\":\"other\""));
    with_words(vm, "")
}

/// A store as large as the root.
fn takes_every_block(vm: &Vm) -> Result<()> {
    assert!(vm.run(&format!("dmsetup table {MAPPED}"))?.contains(" N "));
    vm.run("dd if=/dev/urandom of=/dev/mapper/dmroot bs=1M count=64 conv=fsync && sync")?;
    let status = vm.run(&format!("dmsetup status {MAPPED}"))?;
    // 64 MiB are 131072 sectors; a transient store has no metadata.
    assert!(status.contains("131072/") && status.ends_with(" 0"), "{status}");
    vm.run("dd if=/dev/mapper/dmroot of=/dev/null bs=1M").map(drop)
}

/// On a CPU that has none, the kernel has collected enough of them seconds later.
#[test]
fn does_not_wait_for_random_numbers() -> Result<()> {
    let machine = stage(&require!(Image::named("stage"))).cpu("Nehalem");
    let vm = require!(machine.start());
    let collected = "crng init done";
    assert!(!vm.console().contains(collected), "this kernel has random numbers from the beginning");
    vm.run("ebbtide-init root")?;
    vm.expect_line("ebbtide: /dev/mapper/dmroot is ready")?;
    assert!(!vm.console().contains(collected), "they came before the root");
    assert_eq!(vm.run("blkid -s PARTUUID -o value /dev/vdb2")?.len(), 36);
    Ok(())
}

#[test]
fn finds_the_disks_by_serial_in_any_order() -> Result<()> {
    let image = require!(Image::named("stage"));
    let disks = ["root", "private", "volatile"];
    for order in [[2, 1, 0], [1, 2, 0]] {
        let machine = order.iter().fold(Qemu::boot(&image), |machine, at| match disks[*at] {
            "root" => machine.root(Disk::read_only(image.root())),
            "private" => machine.private(Disk::empty(Size::mib(512))),
            _ => machine.volatile(Disk::empty(Size::mib(512))),
        });
        let vm = require!(machine.start());
        vm.run("ebbtide-init root")?;
        let serial =
            vm.run("cat /sys/block/$(ls /sys/block/dm-0/slaves | grep -v '[0-9]')/serial")?;
        assert_eq!(serial, "root", "order {order:?}");
        assert_eq!(vm.disk_stats("private")?.written, Size::mib(0), "order {order:?}");
    }
    Ok(())
}

#[test]
fn volatile_disk_with_4096_byte_blocks_in_clear_and_encrypted() -> Result<()> {
    let image = require!(Image::named("stage"));
    let machine = Qemu::boot(&image)
        .root(Disk::read_only(image.root()))
        .volatile(Disk::empty(Size::mib(512)).logical_block(4096));
    let vm = require!(machine.start());
    vm.run("ebbtide-init root")?;
    vm.run(MOUNT)?;
    vm.run("dd if=/dev/urandom of=/mnt/file bs=4k count=500 && sync")?;
    let table = vm.run("sfdisk --verify /dev/vdb 2>&1")?;
    assert!(table.contains("No errors detected"), "{table}");
    vm.run("umount /mnt")?;
    reset(&vm)?;

    with_words(&vm, "ebbtide.encrypt=yes")?;
    vm.run("ebbtide-init root")?;
    assert!(vm.run("cat /proc/swaps")?.contains("/dev/dm-0 "));
    vm.run("dd if=/dev/mapper/dmroot of=/dev/null bs=1M && dd if=/dev/zero of=/dev/mapper/dmroot bs=4k count=500 conv=fsync")?;
    vm.kernel_log_is_clean()
}

#[test]
fn a_table_of_an_earlier_boot_is_replaced() -> Result<()> {
    let image = require!(Image::named("stage"));
    let machine = Qemu::boot(&image)
        .root(Disk::read_only(image.root()))
        .volatile(Disk::empty(Size::mib(512)).kept());
    let mut vm = require!(machine.start());
    vm.run("ebbtide-init root")?;
    let first = vm.run("blkid -s PARTUUID -o value /dev/vdb2")?;
    vm.power_cycle()?;
    assert!(vm.run("cat /proc/partitions")?.contains("vdb2"), "the old table was not kept");
    // Somebody looks at an old partition, as udev does, and is waited for.
    vm.run("sleep 3 < /dev/vdb2 > /dev/null 2>&1 & ebbtide-init root")?;
    vm.expect_line("forget partition 2 of vdb")?;
    vm.run(MOUNT)?;
    assert_ne!(vm.run("blkid -s PARTUUID -o value /dev/vdb2")?, first);
    assert_eq!(vm.run("cat /mnt/srv/original")?, "as it was");
    Ok(())
}

/// The worst that can be there: the root itself, on a disk that does not discard.
#[test]
fn foreign_content_of_the_volatile_disk_never_looks_like_the_root() -> Result<()> {
    let image = require!(Image::named("stage"));
    let machine = stage(&image).qemu_args(["-global", "virtio-blk-pci.discard=off"]);
    let vm = require!(machine.start());
    for at in [0, 1, 129] {
        vm.run(&format!("dd if=/dev/vda of=/dev/vdb bs=1M seek={at} conv=fsync 2>&1"))?;
        vm.run("ebbtide-init root")?;
        vm.run(MOUNT)?;
        names_no_store_as_the_root(&vm, at)?;
        vm.run("umount /mnt")?;
        reset(&vm)?;
    }
    Ok(())
}

fn names_no_store_as_the_root(vm: &Vm, at: u32) -> Result<()> {
    vm.run("touch /mnt/x; sync")?;
    for device in ["vdb", "vdb2"] {
        let found = vm.try_run(&format!("blkid -p /dev/{device}"))?.text();
        assert!(
            !found.contains(" TYPE=") && !found.contains("LABEL=\"stage-root"),
            "{at}: {found}"
        );
    }
    let swap = vm.run("blkid -p /dev/vdb1")?;
    assert!(swap.contains("TYPE=\"swap\""), "{swap}");
    Ok(())
}

/// Kept over a power cycle, after which swap, which is all of the volatile disk, is encrypted.
#[test]
fn writable_root_passes_through_and_grows() -> Result<()> {
    let image = require!(Image::named("stage"));
    let machine = Qemu::boot(&image)
        .root(Disk::copy_of(image.root()).kept())
        .volatile(Disk::empty(Size::mib(512)));
    let mut vm = require!(machine.start());
    vm.run("ebbtide-init root")?;
    assert_eq!(vm.run("readlink /dev/mapper/dmroot")?, "../vda");
    assert!(vm.run("cat /proc/swaps")?.contains("/dev/vdb1"));
    assert!(vm.run("ebbtide-init status")?.contains("a writable root: no copy-on-write store"));
    assert!(vm.run("ebbtide-init status --json")?.contains("\"root\":\"writable\""));
    vm.run(MOUNT)?;
    vm.run("echo kept > /mnt/kept && sync")?;
    assert!(vm.run("ebbtide-init root")?.contains("is there already, it is vda"));
    grows_with_its_disk(&vm)?;
    vm.power_cycle_as(|machine| machine.cmdline("ebbtide.encrypt=yes"))?;

    vm.run("ebbtide-init root")?;
    assert_eq!(vm.run("readlink /dev/mapper/dmroot")?, "../vda");
    assert_eq!(
        vm.run("cat /sys/block/dm-0/dm/name; ls /sys/block/dm-0/slaves")?,
        "dmroot-swap\nvdb1"
    );
    assert!(vm.run("cat /proc/swaps")?.contains("/dev/dm-0 "));
    vm.run(MOUNT)?;
    assert_eq!(vm.run("cat /mnt/kept")?, "kept");
    vm.kernel_log_is_clean()
}

/// A root that ends in the middle of a chunk: the end is clipped, not lost.
#[test]
fn a_root_that_ends_inside_a_chunk_is_mapped_whole() -> Result<()> {
    let image = require!(Image::named("stage"));
    let root = small_root(&image, Size::kib(64 * 1024 + 12));
    let machine = Qemu::boot(&image)
        .root(Disk::read_only(root.path()))
        .volatile(Disk::empty(Size::mib(512)))
        .cmdline("ebbtide.chunk=64K");
    let vm = require!(machine.start());
    let end = "dd if=/dev/mapper/dmroot bs=4k skip=16384 2>/dev/null | md5sum";
    vm.run("ebbtide-init root")?;
    assert_eq!(vm.run("blockdev --getsz /dev/mapper/dmroot")?, (128 * 1024 + 24).to_string());
    assert_eq!(vm.run(end)?, vm.run(&end.replace("mapper/dmroot", "vda"))?);
    vm.run("dd if=/dev/urandom of=/dev/mapper/dmroot bs=4k seek=16384 count=3 conv=fsync")?;
    assert_ne!(vm.run(end)?, vm.run(&end.replace("mapper/dmroot", "vda"))?);
    Ok(())
}
