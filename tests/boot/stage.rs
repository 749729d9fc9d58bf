//! The init stage alone: no distribution, no udev, one shell.

use crate::machine::{MAPPED, small_root, stage};
use vmtest::{Disk, Image, Qemu, Result, Size, Vm, require};

/// Mounts the mapped root and says what stands at the places that the tests look at.
const MOUNT: &str = "mkdir -p /mnt && busybox mount -t ext4 /dev/mapper/dmroot /mnt";

#[test]
fn makes_a_read_only_root_writable_without_udev() -> Result<()> {
    let vm = require!(stage(&require!(Image::named("stage"))).start());
    vm.run("ebbtide-init root")?;
    vm.expect_line("ebbtide: /dev/mapper/dmroot is ready")?;
    vm.run(MOUNT)?;
    assert_eq!(vm.run("cat /mnt/srv/original")?, "as it was");
    vm.run("echo new > /mnt/srv/original && sync && echo 3 > /proc/sys/vm/drop_caches")?;
    assert_eq!(vm.run("cat /mnt/srv/original")?, "new");
    assert!(vm.run("cat /proc/swaps")?.contains("/dev/vdb1"));
    assert_eq!(vm.run("readlink /dev/mapper/dmroot")?, "../dm-0");
    vm.power_off()?;
    vm.kernel_log_is_clean()
}

#[test]
fn a_second_run_does_nothing_and_says_so() -> Result<()> {
    let vm = require!(stage(&require!(Image::named("stage"))).start());
    vm.run("ebbtide-init root")?;
    let before = vm.disk_stats("volatile")?;
    let said = vm.run("ebbtide-init root")?;
    assert_eq!(said, "nothing to do: /dev/mapper/dmroot is there already, it is dm-0");
    assert_eq!(vm.disk_stats("volatile")?.since(before).written, Size::mib(0));
    Ok(())
}

#[test]
fn does_nothing_for_another_root() -> Result<()> {
    let machine = stage(&require!(Image::named("stage"))).cmdline("root=/dev/vda");
    let vm = require!(machine.start());
    let said = vm.run("ebbtide-init root")?;
    assert!(said.starts_with("nothing to do: root= on the kernel command line"), "{said}");
    assert!(!vm.try_run("test -e /dev/mapper/dmroot")?.text().contains("dmroot"));
    assert_eq!(vm.run("grep -c vdb /proc/partitions")?, "1");
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
fn volatile_disk_with_4096_byte_blocks() -> Result<()> {
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
    let root = std::fs::read(image.root()).expect("the root is read");
    for at in [Size::mib(0), Size::mib(1), Size::mib(129)] {
        let machine = Qemu::boot(&image)
            .root(Disk::read_only(image.root()))
            .volatile(Disk::empty(Size::mib(512)).with_bytes(at, root.clone()))
            .qemu_args(["-global", "virtio-blk-pci.discard=off"]);
        let vm = require!(machine.start());
        vm.run("ebbtide-init root")?;
        vm.run(MOUNT)?;
        names_no_store_as_the_root(&vm)?;
    }
    Ok(())
}

fn names_no_store_as_the_root(vm: &Vm) -> Result<()> {
    vm.run("touch /mnt/x; sync")?;
    for device in ["vdb", "vdb2"] {
        let found = vm.try_run(&format!("blkid -p /dev/{device}"))?.text();
        assert!(!found.contains(" TYPE=") && !found.contains("LABEL=\"stage-root"), "{found}");
    }
    let swap = vm.run("blkid -p /dev/vdb1")?;
    assert!(swap.contains("TYPE=\"swap\""), "{swap}");
    Ok(())
}

#[test]
fn writable_root_passes_through() -> Result<()> {
    let image = require!(Image::named("stage"));
    let machine = Qemu::boot(&image)
        .root(Disk::copy_of(image.root()).kept())
        .volatile(Disk::empty(Size::mib(512)));
    let mut vm = require!(machine.start());
    vm.run("ebbtide-init root")?;
    assert_eq!(vm.run("readlink /dev/mapper/dmroot")?, "../vda");
    assert!(vm.run("cat /proc/swaps")?.contains("/dev/vdb1"));
    vm.run(MOUNT)?;
    vm.run("echo kept > /mnt/kept && sync")?;
    assert!(vm.run("ebbtide-init root")?.contains("is there already, it is vda"));
    vm.power_cycle()?;
    vm.run("ebbtide-init root")?;
    vm.run(MOUNT)?;
    assert_eq!(vm.run("cat /mnt/kept")?, "kept");
    Ok(())
}

#[test]
fn a_store_that_can_fill_turns_read_only_and_reads_go_on() -> Result<()> {
    let image = require!(Image::named("stage"));
    let root = small_root(&image, Size::mib(256));
    let machine = Qemu::boot(&image)
        .root(Disk::read_only(root.path()))
        .volatile(Disk::empty(Size::mib(80)))
        .cmdline("ebbtide.swap=0");
    let vm = require!(machine.start());
    vm.run("ebbtide-init root")?;
    vm.expect_line("of copy-on-write room can fill")?;
    assert!(vm.run(&format!("dmsetup table {MAPPED}"))?.contains(" PO "));
    vm.run(
        "dd if=/dev/urandom of=/dev/mapper/dmroot bs=1M seek=128 count=120 conv=fsync 2>&1; true",
    )?;
    assert!(vm.run(&format!("dmsetup status {MAPPED}"))?.ends_with("Overflow"));
    vm.expect_console("Snapshot overflowed")?;
    vm.run("dd if=/dev/mapper/dmroot of=/dev/null bs=1M")?;
    vm.run(&format!("{MOUNT} -o ro && cat /mnt/srv/original"))?;
    Ok(())
}

#[test]
fn a_store_as_large_as_the_root_takes_every_block_of_it() -> Result<()> {
    let vm = require!(stage(&require!(Image::named("stage"))).start());
    vm.run("ebbtide-init root")?;
    assert!(vm.run(&format!("dmsetup table {MAPPED}"))?.contains(" N "));
    vm.run("dd if=/dev/urandom of=/dev/mapper/dmroot bs=1M count=64 conv=fsync && sync")?;
    let status = vm.run(&format!("dmsetup status {MAPPED}"))?;
    // 64 MiB are 131072 sectors; a transient store has no metadata.
    assert!(status.contains("131072/") && status.ends_with(" 0"), "{status}");
    vm.run("dd if=/dev/mapper/dmroot of=/dev/null bs=1M")?;
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
