//! Disks that come late, or never: every wait ends, with an event or with a message.

use crate::{machine::stage, refusals::refuses};
use std::time::{Duration, Instant};
use vmtest::{Disk, Image, Qemu, Result, Size, require};

#[test]
fn disks_that_appear_later_are_waited_for() -> Result<()> {
    let vm = require!(stage(&require!(Image::named("stage"))).start());
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

#[test]
fn a_disk_that_is_locked_is_waited_for_and_no_longer_than_asked() -> Result<()> {
    let machine = stage(&require!(Image::named("stage"))).cmdline("ebbtide.timeout=3s");
    let vm = require!(machine.start());
    vm.run("flock /dev/vdb sleep 1000 > /run/flock 2>&1 & sleep 1")?;
    refuses(&vm, "somebody else has had it locked for 3 s")?;
    vm.run("ebbtide-init root > /run/said 2>&1 & sleep 1; busybox killall sleep")?;
    vm.expect_console("/dev/mapper/dmroot is ready")?;
    Ok(())
}

/// libdevmapper waits for a udevd that is gone, for ever, when its control socket is still there.
#[test]
fn a_control_socket_without_udevd_does_not_hang() -> Result<()> {
    let vm = require!(stage(&require!(Image::named("stage"))).start());
    vm.run("mkdir -p /run/udev/data; busybox syslogd -O /run/syslog; sleep 1; killall syslogd; mv /dev/log /run/udev/control")?;
    vm.run("test -S /run/udev/control")?;
    let reply = vm.try_run_within("ebbtide-init root", Duration::from_secs(20))?;
    assert_eq!(reply.status, 0, "{}", reply.text());
    vm.expect_console("/dev/mapper/dmroot is ready")?;
    Ok(())
}
