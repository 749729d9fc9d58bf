//! Disks that come late, or never: every wait ends, with an event or with a message.

use crate::{
    faults::reset,
    machine::{stage, with_words},
    refusals::refuses,
};
use std::time::{Duration, Instant};
use vmtest::{Disk, Image, Qemu, Result, Size, Vm, require};

#[test]
fn what_comes_late_is_waited_for_and_what_never_comes_is_not() -> Result<()> {
    let vm = require!(stage(&require!(Image::named("stage"))).start());
    control_socket_without_udevd(&vm)?;
    reset(&vm)?;
    locked_disk(&vm)?;
    reset(&vm)?;
    disks_that_appear_later(&vm)
}

/// libdevmapper waits for a udevd that is gone, for ever, when its control socket is still there.
fn control_socket_without_udevd(vm: &Vm) -> Result<()> {
    vm.run("mkdir -p /run/udev/data; busybox syslogd -O /run/syslog; n=0; until [ -S /dev/log ]; do n=$((n+1)); [ $n -lt 100 ]; sleep 0.1; done; \
            killall syslogd; mv /dev/log /run/udev/control")?;
    vm.run("test -S /run/udev/control")?;
    let reply = vm.try_run_within("ebbtide-init root", Duration::from_secs(20))?;
    assert_eq!(reply.status, 0, "{}", reply.text());
    vm.expect_console("/dev/mapper/dmroot is ready")?;
    // dmsetup is what would wait.
    vm.run("rm -r /run/udev").map(drop)
}

/// No longer than asked.
fn locked_disk(vm: &Vm) -> Result<()> {
    with_words(vm, "ebbtide.timeout=3s")?;
    vm.run("flock /dev/vdb sleep 1000 > /run/flock 2>&1 & until ! flock -n /dev/vdb true; do sleep 0.1; done")?;
    refuses(vm, "somebody else has had it locked for 3 s")?;
    vm.run("ebbtide-init root > /run/said 2>&1 & sleep 1; busybox killall sleep")?;
    vm.expect_console("/dev/mapper/dmroot is ready")?;
    with_words(vm, "")
}

fn disks_that_appear_later(vm: &Vm) -> Result<()> {
    vm.run("busybox rmmod virtio_blk && ! test -e /dev/vda")?;
    vm.run("ebbtide-init root > /run/said 2>&1 & echo $! > /run/pid")?;
    vm.expect_console("waiting up to 30 s for the root disk")?;
    // Asleep until something happens: its processor time stands still.
    let ticks = "cut -d' ' -f14,15 /proc/$(cat /run/pid)/stat";
    let before = vm.run(ticks)?;
    vm.run("sleep 2")?;
    assert_eq!(vm.run(ticks)?, before);
    vm.run("busybox insmod $(busybox find /lib/modules -name 'virtio_blk.ko*')")?;
    vm.expect_console("/dev/mapper/dmroot is ready")?;
    Ok(())
}

#[test]
fn a_missing_volatile_disk_ends_at_its_limit() -> Result<()> {
    let image = require!(Image::named("stage"));
    let machine = Qemu::boot(&image)
        .root(Disk::read_only(image.root()))
        .private(Disk::empty(Size::mib(64)))
        .cmdline("ebbtide.timeout=2s");
    let vm = require!(machine.start());
    vm.wait_until_ready()?;
    let began = Instant::now();
    refuses(
        &vm,
        "volatile disk is missing: wanted serial=volatile, xvdc or ubdc; found vda serial=root \
         (64 MiB), vdb serial=private (64 MiB)",
    )?;
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(2) && took < Duration::from_secs(20), "{took:?}");
    Ok(())
}
