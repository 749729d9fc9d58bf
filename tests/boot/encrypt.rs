//! Encryption: nothing of root or swap is on the volatile disk in clear, and the key is nowhere.

use crate::{
    machine::{MAPPED, small_root, stage},
    refusals::refuses,
};
use vmtest::{Disk, Image, Qemu, Result, Size, Vm, require};

const MOUNT: &str = "mkdir -p /mnt && busybox mount -t ext4 /dev/mapper/dmroot /mnt";
const ENCRYPT: &str = "ebbtide.encrypt=yes";

#[test]
fn encrypts_store_and_swap_with_a_key_that_is_nowhere_and_a_second_run_does_nothing() -> Result<()>
{
    let vm = require!(stage(&require!(Image::named("stage"))).cmdline(ENCRYPT).start());
    vm.run("ebbtide-init root")?;
    a_second_run_has_nothing_to_do(&vm)?;
    // Its file system has blocks of 1 KiB: with larger sectors in the tables it could not be mounted.
    assert_eq!(vm.run("cat /sys/block/dm-2/queue/logical_block_size")?, "512");
    vm.run(MOUNT)?;
    assert_eq!(vm.run("cat /mnt/srv/original")?, "as it was");

    let names = "cat /sys/block/dm-0/dm/name /sys/block/dm-1/dm/name; for l in dmroot dmroot-cow dmroot-swap; do readlink /dev/mapper/$l; done";
    let expected = "dmroot-swap\ndmroot-cow\n../dm-2\n../dm-1\n../dm-0";
    assert_eq!(vm.run(names)?, expected);
    let below =
        vm.run("ls /sys/block/dm-0/slaves /sys/block/dm-1/slaves /sys/block/dm-2/slaves")?;
    for device in ["vdb1", "vdb2", "vda", "dm-1"] {
        assert!(below.lines().any(|line| line == device), "{below}");
    }
    assert!(vm.run("cat /proc/swaps")?.contains("/dev/dm-0 "));

    let tables = vm.run("dmsetup table --showkeys --target crypt")?;
    assert_eq!(tables.matches(" aes-xts-plain64 :64:logon:ebbtide:dmroot-").count(), 2, "{tables}");
    let keys = vm.run("cat /proc/keys")?;
    assert!(keys.contains("logon     ebbtide:dmroot-cow: 64"), "{keys}");
    // Only a store grows, so only its table is loaded again.
    assert!(!keys.contains("ebbtide:dmroot-swap"), "{keys}");
    a_table_can_be_loaded_again(&vm)?;
    vm.kernel_log_is_clean()
}

fn a_second_run_has_nothing_to_do(vm: &Vm) -> Result<()> {
    let state = "cat /proc/keys | sort; dmsetup info -c; cat /proc/swaps";
    let before = vm.run(state)?;
    let said = vm.run("ebbtide-init root")?;
    assert_eq!(said, "nothing to do: /dev/mapper/dmroot is there already, it is dm-2");
    assert_eq!(vm.run(state)?, before);
    Ok(())
}

/// What `watch` does when the disk has grown: the key is still in the keyring, for another process.
fn a_table_can_be_loaded_again(vm: &Vm) -> Result<()> {
    vm.run("echo new > /mnt/new && sync")?;
    vm.run("dmsetup reload dmroot-cow --table \"$(dmsetup table dmroot-cow)\" && dmsetup resume dmroot-cow")?;
    vm.run("sync; echo 3 > /proc/sys/vm/drop_caches")?;
    assert_eq!(vm.run("cat /mnt/new /mnt/srv/original")?, "new\nas it was");
    Ok(())
}

/// Writes to the root and fills memory until the guest swaps, then says what the volatile disk holds
/// in clear: what was written to the root, what was swapped out.
fn found_in_clear(vm: &Vm, store: &str) -> Result<[bool; 2]> {
    vm.run("ebbtide-init root")?;
    vm.run(MOUNT)?;
    assert!(vm.run(&format!("dmsetup table {MAPPED}"))?.ends_with(&format!(" {store} 8")));
    // Put together in the guest: the script is in memory too, which is swapped out.
    vm.run("a=written; for n in 1 2 3; do echo $a-to-the-root-and-found; done > /mnt/note; sync")?;
    vm.run(
        "mkdir -p /hog && busybox mount -t tmpfs -o size=160m tmpfs /hog && a=swapped && \
         yes $a-out-and-found | head -c 150000000 > /hog/file",
    )?;
    let used = vm.run("busybox awk 'NR == 2 { print $4 }' /proc/swaps")?;
    assert!(used.parse::<u64>().is_ok_and(|kib| kib > 16 << 10), "{used} KiB of swap used");
    vm.run("sync")?;
    vm.pull_the_plug();
    let disk = vm.drive("volatile")?;
    Ok([disk.holds(b"written-to-the-root-and-found")?, disk.holds(b"swapped-out-and-found")?])
}

#[test]
fn what_is_written_and_swapped_is_found_only_without_encryption() -> Result<()> {
    let image = require!(Image::named("stage"));
    for (encrypt, store, found) in
        [("no", "N", [true, true]), ("yes", "N", [false, false]), ("yes", "PO", [false, false])]
    {
        let options = format!("ebbtide.encrypt={encrypt} ebbtide.overflow={store}");
        let vm = require!(stage(&image).memory(Size::mib(192)).cmdline(&options).start());
        assert_eq!(found_in_clear(&vm, store)?, found, "{options}");
    }
    Ok(())
}

#[test]
fn a_full_store_turns_read_only_under_encryption_too() -> Result<()> {
    let image = require!(Image::named("stage"));
    let root = small_root(&image, Size::mib(256));
    let machine = Qemu::boot(&image)
        .root(Disk::read_only(root.path()))
        .volatile(Disk::empty(Size::mib(80)))
        .cmdline("ebbtide.swap=0")
        .cmdline(ENCRYPT);
    let vm = require!(machine.start());
    vm.run("ebbtide-init root")?;
    assert!(vm.run("dmsetup ls")?.starts_with("dmroot\t"), "a device for no swap");
    vm.run("dd if=/dev/zero of=/dev/mapper/dmroot bs=1M seek=128 count=120 conv=fsync 2>&1; true")?;
    assert!(vm.run(&format!("dmsetup status {MAPPED}"))?.ends_with("Overflow"));
    vm.run("dd if=/dev/mapper/dmroot of=/dev/null bs=1M")?;
    Ok(())
}

#[test]
fn encryption_that_cannot_be_had_is_refused_and_leaves_nothing_behind() -> Result<()> {
    let vm = require!(stage(&require!(Image::named("stage"))).cmdline(ENCRYPT).start());
    // The target is there and its cipher is not: the table is refused.
    vm.run("busybox rmmod xts; mkdir -p /run/ebbtide/cow")?;
    refuses(&vm, "failed: encrypt dmroot-swap: 0 262144 crypt")?;
    assert_eq!(vm.try_run("grep ebbtide: /proc/keys")?.text(), "");
    vm.run("busybox rmmod dm_crypt")?;
    refuses(
        &vm,
        "encrypt=yes: wanted the target crypt of the module dm-crypt; found no /sys/module/dm_crypt",
    )
}
