//! Boots user-mode Linux and uses all that its test machine offers.

#![allow(clippy::unwrap_used, reason = "a test may end here")]

use std::fs;
use std::time::Duration;

use vmtest::{Ending, Error, Result, Uml, require};

/// A folder to share, with a disk of 1 MiB in it.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("disk"), vec![b'x'; 1 << 20]).unwrap();
    dir
}

/// One boot: the channel, the shared folder, a disk, device-mapper, and the end.
#[test]
fn boots_answers_writes_and_powers_off() -> Result<()> {
    let dir = folder();
    let disk = dir.path().join("disk");
    let uml = Uml::sharing(dir.path()).disk(&disk).modules(&["loop", "dm-mod", "dm-bufio"]);
    let vm = require!(uml.modules(&["dm-snapshot"]).start());
    println!("up after {:?}", vm.up());
    assert!(vm.console().contains("Linux version"));
    let reply = vm.try_run("echo out; echo err >&2; exit 3")?;
    assert_eq!((reply.status, reply.text().as_str()), (3, "out\nerr"));
    let error = vm.run("echo why; false").unwrap_err();
    assert!(matches!(&error, Error::Command { status: 1, output, .. } if output == "why"));

    // Programs of the host run as they do there, page faults in the middle of their work too.
    let script = "for n in $(seq 20); do ls /usr/bin | sort | md5sum || echo failed; done | uniq";
    assert_eq!(vm.run(script)?.lines().count(), 1);
    vm.run("dmsetup targets | grep -w snapshot && dmsetup create d --table '0 2048 linear /dev/ubda 0'")?;
    vm.run("printf written | dd of=/dev/dm-0 bs=512 seek=7 conv=fsync 2>&1")?;
    let shared = dir.path().join("said");
    vm.run(&format!("echo hello > {}", shared.display()))?;
    let kernel = vm.pid()?;
    let name = fs::read_to_string(format!("/proc/{kernel}/comm")).unwrap();
    assert_eq!(name, "linux.uml\n");
    vm.power_off()?;
    assert_eq!(fs::read_to_string(&shared).unwrap(), "hello\n");
    assert_eq!(fs::read(&disk).unwrap()[7 * 512..][..8], *b"writtenx");
    assert!(!fs::exists(format!("/proc/{kernel}")).unwrap());
    Ok(())
}

/// Two boots: a plug that is pulled while the guest writes, and a panic.
#[test]
fn nothing_of_it_is_left_when_it_is_killed_or_panics() -> Result<()> {
    let dir = folder();
    let uml = Uml::sharing(dir.path()).disk(&dir.path().join("disk"));
    let vm = require!(uml.start());
    vm.run(
        "(while :; do dd if=/dev/urandom of=/dev/ubda bs=4k count=200; done) >/dev/null 2>&1 &",
    )?;
    let kernel = vm.pid()?;
    vm.pull_the_plug();
    assert!(!fs::exists(format!("/proc/{kernel}")).unwrap());
    let left = fs::read(dir.path().join("disk")).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    assert!(fs::read(dir.path().join("disk")).unwrap() == left, "somebody still writes");

    let vm = uml.start()?;
    let kernel = vm.pid()?;
    let error =
        vm.run("echo 1 > /proc/sys/kernel/sysrq; echo c > /proc/sysrq-trigger").unwrap_err();
    let panicked =
        |ending: &Ending| matches!(ending, Ending::Panicked(line) if line.contains("sysrq"));
    assert!(matches!(&error, Error::Waited { ending, .. } if panicked(ending)), "{error}");
    assert!(error.to_string().contains("Linux version") || error.to_string().lines().count() > 20);
    drop(vm);
    assert!(!fs::exists(format!("/proc/{kernel}")).unwrap());
    Ok(())
}
