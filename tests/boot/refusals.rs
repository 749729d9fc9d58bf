//! What is refused on a real console: the thing, the wanted, the found; and nothing was done.

use crate::machine::stage;
use vmtest::{Disk, Image, Qemu, Result, Size, Vm, require};

/// Runs the stage, and expects it to fail with `text` on the console and to leave nothing behind.
pub(crate) fn refuses(vm: &Vm, text: &str) -> Result<()> {
    let state = "cat /proc/partitions /proc/swaps; ls /dev/mapper; dmsetup table; ls -R /run/ebbtide 2>&1 || true";
    let before = vm.run(state)?;
    let reply = vm.try_run("ebbtide-init root")?;
    assert_eq!(reply.status, 1, "{}", reply.text());
    assert!(reply.text().contains(text), "said: {}", reply.text());
    vm.expect_console(&format!(
        "ebbtide: {}",
        reply
            .text()
            .trim_start_matches("ebbtide: ")
            .lines()
            .last()
            .unwrap_or_default()
            .trim_start_matches("ebbtide: ")
    ))?;
    assert_eq!(vm.run(state)?, before, "something was left behind");
    Ok(())
}

#[test]
fn each_bad_option_is_named() -> Result<()> {
    let image = require!(Image::named("stage"));
    for (option, text) in [
        (
            "ebbtide.speed=high",
            "kernel command line: found \"speed=high\"; wanted one of root, private",
        ),
        ("ebbtide.chunk=5000", "found \"chunk=5000\"; wanted a power of two from 4K to 1M"),
        ("ebbtide.swap=lots", "found \"swap=lots\"; wanted auto, 0, or a size"),
    ] {
        let vm = require!(stage(&image).cmdline(option).start());
        refuses(&vm, text)?;
    }
    Ok(())
}

#[test]
fn a_volatile_disk_that_is_too_small_is_refused_with_numbers() -> Result<()> {
    let image = require!(Image::named("stage"));
    let machine = Qemu::boot(&image)
        .root(Disk::read_only(image.root()))
        .volatile(Disk::empty(Size::mib(512)))
        .cmdline("ebbtide.swap=1G");
    let vm = require!(machine.start());
    refuses(
        &vm,
        "volatile disk vdb is 512 MiB; swap of 1 GiB, 64 MiB of copy-on-write room and the \
         partition table need 1115153 KiB",
    )
}

#[test]
fn one_device_for_two_roles_is_refused() -> Result<()> {
    let machine = stage(&require!(Image::named("stage"))).cmdline("ebbtide.volatile=/dev/vda");
    let vm = require!(machine.start());
    refuses(&vm, "vda is given twice: wanted two devices for root and volatile; found one")
}

#[test]
fn a_volatile_disk_in_use_is_refused() -> Result<()> {
    let vm = require!(stage(&require!(Image::named("stage"))).start());
    vm.run("busybox mkswap /dev/vdb && busybox swapon /dev/vdb")?;
    refuses(&vm, "volatile disk vdb: wanted a disk that nobody uses; found vdb in use as swap")?;
    vm.run("busybox swapoff /dev/vdb")?;
    vm.run("dmsetup create other --table '0 8192 linear /dev/vdb 0'")?;
    refuses(&vm, "found vdb held by dm-0")
}

#[test]
fn a_root_that_is_mounted_is_refused() -> Result<()> {
    let vm = require!(stage(&require!(Image::named("stage"))).start());
    vm.run("mkdir -p /mnt && busybox mount -t ext4 -o ro,noload /dev/vda /mnt")?;
    refuses(&vm, "root disk vda: wanted a disk that nobody uses; found vda mounted at /mnt")
}

#[test]
fn a_missing_dm_snapshot_is_named() -> Result<()> {
    let vm = require!(stage(&require!(Image::named("stage-no-snapshot"))).start());
    refuses(
        &vm,
        "device-mapper: wanted the target snapshot of the module dm-snapshot; found no \
         /sys/module/dm_snapshot",
    )
}

#[test]
fn a_dmroot_of_somebody_else_is_left_alone() -> Result<()> {
    let vm = require!(stage(&require!(Image::named("stage"))).start());
    vm.run("dmsetup create dmroot -u OTHER-1 --table '0 8192 linear /dev/vda 0'")?;
    refuses(
        &vm,
        "/dev/mapper/dmroot is already there: wanted none or our own; found dm-0 with the \
         identifier \"OTHER-1\"",
    )
}
