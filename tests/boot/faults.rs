//! Every system call that changes something fails once, and the process is killed before each: what
//! was done is undone, or the next run finishes it.

use crate::machine::stage;
use vmtest::{Image, Result, Vm, require};

/// The calls that change something, with how often a run makes them.
const CALLS: [(&str, usize); 7] = [
    ("ioctl", 16),
    ("pwrite64", 5),
    ("swapon", 1),
    ("symlink", 1),
    ("fdatasync", 2),
    ("flock", 1),
    ("pread64", 1),
];

const STATE: &str =
    "cat /proc/swaps; grep -c 'vdb\\|dm-' /proc/partitions; ls /dev/mapper; dmsetup table";

/// Runs the stage with one call tampered with; `None` when the run makes fewer calls than that, and
/// everything that it did has been taken down again.
fn run_with(vm: &Vm, call: &str, number: usize, fault: &str) -> Result<Option<String>> {
    let trace = format!(
        "strace -o /run/trace -e trace={call} -e inject={call}:{fault}:when={number} ebbtide-init root"
    );
    let reply = vm.try_run(&trace)?;
    let hit = vm.try_run("grep -c 'INJECTED\\|SIGKILL' /run/trace")?.text() != "0";
    if !hit {
        reset(vm)?;
    }
    Ok(hit.then(|| format!("{call} {number}: {} {}", reply.status, reply.text())))
}

/// Takes everything down that a run has set up.
fn reset(vm: &Vm) -> Result<()> {
    vm.run(
        "swapoff -a; test ! -e /sys/block/dm-0 || dmsetup remove dmroot; rm -f /dev/mapper/dmroot; \
         rm -rf /run/ebbtide; busybox blockdev --rereadpt /dev/vdb; dd if=/dev/zero of=/dev/vdb \
         bs=1M count=1 conv=fsync 2>/dev/null; busybox blockdev --rereadpt /dev/vdb",
    )?;
    Ok(())
}

#[test]
fn a_call_that_fails_is_undone_or_does_not_matter() -> Result<()> {
    let vm = require!(stage(&require!(Image::named("stage"))).start());
    let before = vm.run(STATE)?;
    let mut failed = 0;
    for (call, most) in CALLS {
        for number in 1..=most {
            let Some(said) = run_with(&vm, call, number, "error=EIO")? else { break };
            if vm.try_run("test -L /dev/mapper/dmroot")?.status == 0 {
                // A discard, or the question for the module: the run went on without.
                reset(&vm)?;
            } else {
                failed += 1;
                println!("{said}");
                assert!(said.contains("failed:") || said.contains(": "), "{said}");
            }
            assert_eq!(vm.run(STATE)?, before, "after {said}");
        }
    }
    assert!(failed >= 12, "only {failed} calls made the run fail");
    vm.run("ebbtide-init root && mkdir -p /mnt && busybox mount -t ext4 /dev/mapper/dmroot /mnt")?;
    Ok(())
}

#[test]
fn a_run_that_is_killed_is_finished_by_the_next() -> Result<()> {
    let vm = require!(stage(&require!(Image::named("stage"))).start());
    let mut killed = 0;
    for (call, most) in CALLS {
        for number in 1..=most {
            let Some(said) = run_with(&vm, call, number, "signal=SIGKILL")? else { break };
            killed += 1;
            let again = vm.try_run("ebbtide-init root")?;
            assert_eq!(again.status, 0, "after {said}: {}", again.text());
            vm.run("mkdir -p /mnt && busybox mount -t ext4 /dev/mapper/dmroot /mnt && cat /mnt/srv/original && umount /mnt")?;
            assert!(vm.run("cat /proc/swaps")?.contains("vdb1"), "no swap after {said}");
            reset(&vm)?;
        }
    }
    assert!(killed >= 15, "only {killed} calls were hit");
    Ok(())
}
