//! What is refused on a real console: the thing, the wanted, the found; and nothing was done.

use crate::machine::{stage, with_words};
use vmtest::{Image, Result, Vm, require};

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
fn what_cannot_be_done_is_refused_by_name_and_changes_nothing() -> Result<()> {
    let vm = require!(stage(&require!(Image::named("stage"))).start());
    for (words, text) in [
        (
            "ebbtide.speed=high",
            "kernel command line: found \"speed=high\"; wanted one of root, private",
        ),
        ("ebbtide.chunk=5000", "found \"chunk=5000\"; wanted a power of two from 4K to 1M"),
        ("ebbtide.swap=lots", "found \"swap=lots\"; wanted auto, 0, or a size"),
        (
            "ebbtide.swap=1G",
            "volatile disk vdb is 512 MiB; swap of 1 GiB, 64 MiB of copy-on-write room and the \
             partition table need 1115153 KiB",
        ),
        (
            "ebbtide.volatile=/dev/vda",
            "vda is given twice: wanted two devices for root and volatile; found one",
        ),
    ] {
        with_words(&vm, words)?;
        refuses(&vm, text)?;
    }
    with_words(&vm, "")?;
    volatile_disk_in_use(&vm)?;
    root_in_use(&vm)?;
    dmroot_of_somebody_else(&vm)?;
    boot_in_a_system_that_runs(&vm)?;
    // Nothing of all that is in the way of what can be done.
    vm.run("ebbtide-init root").map(drop)
}

fn volatile_disk_in_use(vm: &Vm) -> Result<()> {
    vm.run("busybox mkswap /dev/vdb && busybox swapon /dev/vdb")?;
    refuses(vm, "volatile disk vdb: wanted a disk that nobody uses; found vdb in use as swap")?;
    vm.run("busybox swapoff /dev/vdb")?;
    vm.run("dmsetup create other --table '0 8192 linear /dev/vdb 0'")?;
    refuses(vm, "found vdb held by dm-0")?;
    vm.run("dmsetup remove other").map(drop)
}

fn root_in_use(vm: &Vm) -> Result<()> {
    vm.run("mkdir -p /mnt && busybox mount -t ext4 -o ro,noload /dev/vda /mnt")?;
    refuses(vm, "root disk vda: wanted a disk that nobody uses; found vda mounted at /mnt")?;
    vm.run("umount /mnt").map(drop)
}

fn dmroot_of_somebody_else(vm: &Vm) -> Result<()> {
    vm.run("dmsetup create dmroot -u OTHER-1 --table '0 8192 linear /dev/vda 0'")?;
    refuses(
        vm,
        "/dev/mapper/dmroot is already there: wanted none or our own; found dm-0 with the \
         identifier \"OTHER-1\"",
    )?;
    // A snapshot of theirs lies on a partition that is not ours to write over: neither told about nor watched.
    vm.run("dmsetup remove dmroot && dmsetup create dmroot --table '0 2048 snapshot /dev/vda /dev/vdb N 8'")?;
    for verb in ["status", "watch"] {
        let said = vm.try_run(&format!("timeout 20 ebbtide-init {verb} 2>&1"))?;
        assert_eq!(said.status, 1, "{verb} of a dmroot of somebody else");
        assert!(said.text().contains("found a device that is not ours"), "{}", said.text());
    }
    vm.run("dmsetup remove dmroot; rm -f /dev/mapper/dmroot").map(drop)
}

fn boot_in_a_system_that_runs(vm: &Vm) -> Result<()> {
    let reply = vm.try_run("ebbtide-init boot")?;
    assert_eq!(reply.status, 1);
    let said = reply.text();
    assert!(
        said.contains("boot: wanted to be process 1 of an initramfs; found process "),
        "{said}"
    );
    Ok(())
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
