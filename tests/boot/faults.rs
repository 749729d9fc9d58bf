//! Every system call that changes something fails once, and the process is killed before each: what
//! was done is undone, or the next run finishes it. With encryption too.

use crate::machine::stage;
use vmtest::{Image, Result, Vm, require};

/// Calls with how often a run makes them at the most.
type Calls = [(&'static str, usize); 7];

/// The calls that change something.
const CALLS: Calls = [
    ("ioctl", 16),
    ("pwrite64", 5),
    ("swapon", 1),
    ("symlink", 1),
    ("fdatasync", 2),
    ("flock", 1),
    ("pread64", 1),
];

/// Those of an encrypted run, as far as they are others or come at another time.
const ENCRYPTED: Calls = [
    ("ioctl", 16),
    ("getrandom", 3),
    ("keyctl", 4),
    ("add_key", 2),
    ("unlink", 2),
    ("symlink", 3),
    ("pwrite64", 5),
];

const STATE: &str = "cat /proc/swaps; grep -c 'vdb\\|dm-' /proc/partitions; ls /dev/mapper; dmsetup table; \
     grep -o 'ebbtide:.*' /proc/keys; true";

/// Runs the stage with one call tampered with; `None` when the run makes fewer calls than that.
fn run_with(vm: &Vm, call: &str, number: usize, fault: &str) -> Result<Option<String>> {
    let trace = format!(
        "strace -o /run/trace -e trace={call} -e inject={call}:{fault}:when={number} ebbtide-init root"
    );
    let reply = vm.try_run(&trace)?;
    let hit = vm.try_run("grep -c 'INJECTED\\|SIGKILL' /run/trace")?.text() != "0";
    Ok(hit.then(|| format!("{call} {number}: {} {}", reply.status, reply.text())))
}

/// Takes everything down that a run has set up, except for keys.
pub(crate) fn reset(vm: &Vm) -> Result<()> {
    vm.run(
        "swapoff -a; for name in dmroot dmroot-cow dmroot-swap; do \
         ! dmsetup info $name >/dev/null 2>&1 || dmsetup remove $name; rm -f /dev/mapper/$name; done; \
         rm -rf /run/ebbtide; busybox blockdev --rereadpt /dev/vdb; dd if=/dev/zero of=/dev/vdb \
         bs=1M count=1 conv=fsync 2>/dev/null; busybox blockdev --rereadpt /dev/vdb",
    )?;
    Ok(())
}

/// Takes down the keys too: by a run that makes them anew and fails at its last link.
fn reset_with_keys(vm: &Vm) -> Result<()> {
    reset(vm)?;
    vm.run(
        "! strace -o /run/trace -e inject=symlink:error=EIO:when=3 ebbtide-init root 2>/dev/null",
    )?;
    reset(vm)
}

fn undoes_what_was_done(vm: &Vm, calls: Calls, reset: fn(&Vm) -> Result<()>) -> Result<()> {
    let before = vm.run(STATE)?;
    let mut failed = 0;
    for (call, most) in calls {
        for number in 1..=most {
            let Some(said) = run_with(vm, call, number, "error=EIO")? else {
                reset(vm)?;
                break;
            };
            if vm.try_run("test -L /dev/mapper/dmroot")?.status == 0 {
                // A discard, or the question for the module: the run went on without.
                reset(vm)?;
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
fn a_call_that_fails_is_undone_or_does_not_matter() -> Result<()> {
    let vm = require!(stage(&require!(Image::named("stage"))).start());
    undoes_what_was_done(&vm, CALLS, reset)
}

#[test]
fn a_call_that_fails_leaves_no_encrypted_device_and_no_key() -> Result<()> {
    let machine = stage(&require!(Image::named("stage"))).cmdline("ebbtide.encrypt=yes");
    undoes_what_was_done(&require!(machine.start()), ENCRYPTED, reset_with_keys)
}

fn finishes_what_was_cut(vm: &Vm, calls: Calls, swap: &str) -> Result<()> {
    let mut killed = 0;
    for (call, most) in calls {
        for number in 1..=most {
            let Some(said) = run_with(vm, call, number, "signal=SIGKILL")? else {
                reset(vm)?;
                break;
            };
            killed += 1;
            let again = vm.try_run("ebbtide-init root")?;
            assert_eq!(again.status, 0, "after {said}: {}", again.text());
            vm.run("mkdir -p /mnt && busybox mount -t ext4 /dev/mapper/dmroot /mnt && cat /mnt/srv/original && umount /mnt")?;
            assert!(vm.run("cat /proc/swaps")?.contains(swap), "no swap after {said}");
            reset(vm)?;
        }
    }
    assert!(killed >= 15, "only {killed} calls were hit");
    Ok(())
}

#[test]
fn a_run_that_is_killed_is_finished_by_the_next() -> Result<()> {
    let vm = require!(stage(&require!(Image::named("stage"))).start());
    finishes_what_was_cut(&vm, CALLS, "/dev/vdb1 ")
}

#[test]
fn an_encrypted_run_that_is_killed_is_finished_by_the_next() -> Result<()> {
    let machine = stage(&require!(Image::named("stage"))).cmdline("ebbtide.encrypt=yes");
    finishes_what_was_cut(&require!(machine.start()), ENCRYPTED, "/dev/dm-")
}
