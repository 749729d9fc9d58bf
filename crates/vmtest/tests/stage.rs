//! Boots the smallest image and uses all that a test machine offers.

use std::time::Duration;

use vmtest::{Disk, Ending, Error, Image, Qemu, Result, Size, require};

fn stage(image: &Image) -> Qemu {
    Qemu::boot(image)
        .root(Disk::read_only(image.root()))
        .volatile(Disk::empty(Size::mib(512)))
        .private(Disk::empty(Size::mib(64)).with_bytes(Size::mib(1), *b"kept on purpose"))
}

#[test]
fn boots_answers_and_powers_off() -> Result<()> {
    let vm = require!(stage(&require!(Image::named("stage"))).start());
    let release = vm.run("uname -r")?;
    assert!(release.starts_with(|c: char| c.is_ascii_digit()), "{release}");
    vm.expect_console(&format!("Linux version {release}"))?;

    let reply = vm.try_run("echo out; echo err >&2; exit 3")?;
    assert_eq!((reply.status, reply.text().as_str()), (3, "out\nerr"));
    let error = vm.run("echo why; false").unwrap_err();
    assert!(matches!(&error, Error::Command { status: 1, output, .. } if output == "why\n"));

    let outcome = vm.power_off()?;
    assert_eq!(outcome.ending, Ending::PoweredOff);
    assert!(outcome.console.contains("Linux version"));
    vm.kernel_log_is_clean()
}

#[test]
fn disks_have_their_serials_sizes_and_counters() -> Result<()> {
    let vm = require!(stage(&require!(Image::named("stage"))).start());
    let find =
        "for d in /sys/block/vd*; do echo $(cat $d/serial) $(cat $d/size) $(cat $d/ro); done";
    let disks = vm.run(find)?;
    let root = vm.drive("root")?.path().metadata().unwrap().len() / 512;
    assert_eq!(disks, format!("root {root} 1\nvolatile 1048576 0\nprivate 131072 0"));

    // Past the store and swap signatures at the disk's head, whatever the stage put there.
    let before = vm.disk_stats("private")?;
    vm.run("dd if=/dev/zero of=/dev/vdc bs=1M seek=8 count=4 conv=fsync 2>&1")?;
    let after = vm.disk_stats("private")?.since(before);
    assert_eq!(after.written, Size::mib(4));
    assert!(after.writes > 0 && after.flushes > 0);

    vm.resize_disk("private", Size::mib(96))?;
    assert_eq!(vm.run("cat /sys/block/vdc/size")?, Size::mib(96).as_sectors().to_string());
    assert!(vm.drive("private")?.allocated()? < Size::mib(16));
    Ok(())
}

#[test]
fn a_power_cycle_empties_the_volatile_disk_only() -> Result<()> {
    let mut vm = require!(stage(&require!(Image::named("stage"))).start());
    // At the end of the disk, where nothing else writes.
    let mark = "for d in vdb vdc; do printf 'mark-of-%s' one | \
        dd of=/dev/$d bs=512 seek=131000 conv=fsync 2>&1; done";
    vm.run(mark)?;
    assert!(vm.drive("volatile")?.holds(b"mark-of-one")?);
    assert!(vm.drive("private")?.holds(b"mark-of-one")?);
    vm.power_cycle()?;
    assert!(!vm.drive("volatile")?.holds(b"mark-of-one")?);
    let read = vm.run("dd if=/dev/vdc bs=512 skip=131000 count=1 2>/dev/null | tr -d '\\0'")?;
    assert_eq!(read, "mark-of-one");
    assert!(vm.drive("private")?.holds(b"kept on purpose")?);
    Ok(())
}

#[test]
fn a_panic_ends_the_wait_and_is_found_in_the_log() -> Result<()> {
    let vm = require!(stage(&require!(Image::named("stage"))).start());
    vm.send_without_reply("echo 1 > /proc/sys/kernel/sysrq; echo c > /proc/sysrq-trigger")?;
    let error = vm.expect_console("what never comes").unwrap_err();
    assert!(
        matches!(&error, Error::Waited { ending: Ending::Panicked(line), .. } if line.contains("sysrq")),
        "{error}"
    );
    let outcome = vm.wait_for_end(Duration::from_secs(30));
    assert!(matches!(outcome.ending, Ending::Panicked(_)), "{:?}", outcome.ending);
    assert!(vm.kernel_log_is_clean().unwrap_err().to_string().contains("not syncing"));
    Ok(())
}

#[test]
fn a_limit_names_what_was_waited_for_and_shows_the_console() -> Result<()> {
    let vm = require!(stage(&require!(Image::named("stage"))).start());
    vm.wait_until_ready()?;
    let limit = Duration::from_millis(300);
    let error = vm.try_run_within("sleep 1000", limit).unwrap_err().to_string();
    assert!(error.contains("the end of `sleep 1000`, but the time limit was reached"), "{error}");
    assert!(error.contains("Linux version") || error.lines().count() > 20, "{error}");
    assert!(vm.try_run("true").unwrap_err().to_string().contains("no answer to `sleep 1000` yet"));
    let outcome = vm.wait_for_end(limit);
    assert_eq!(outcome.ending, Ending::TimeLimit);
    Ok(())
}
