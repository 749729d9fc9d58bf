//! `ebbtide snapshot revert`.

use super::Which;
use crate::cli::{
    Context, background, context::said, out, outcome, shown::revision_name, stop::verdict,
};
use ebbtide::{
    Result, VmName,
    engine::qemu::{self, ENGINE, Stop, Stopped},
    pool::{Pool, driver::Outcome},
    vm::{RevertedVm, Status, find_snapshot, revert_vm, status, vm_of},
};
use std::time::Duration;

/// Make a VM what it was: the disks of a snapshot are its disks again, and its settings those of then
///
/// A VM that runs is shut down first, which commits what it wrote. What each disk was until now is kept as a version. The
/// disks stay the same ones; disks that the VM has got since, and newer snapshots, stay. Its name, flags, pins, and the
/// number of versions that it keeps stay too. A revert that is cut off is finished by the next command that changes the
/// VM.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    which: Which,
    /// How many seconds a VM that runs may take to shut down
    #[arg(long, value_name = "S", default_value_t = 60)]
    timeout: u32,
}

pub(crate) fn run(context: &Context, options: &Options) -> Result<()> {
    let pool = context.open()?;
    let snapshot = find_snapshot(&pool, &options.which.snapshot)?;
    let limit = Duration::from_secs(options.timeout.into());
    stop(&pool, &vm_of(&pool, &snapshot)?.name, limit)?;
    let reverted = revert_vm(&pool, &snapshot)?;
    said(&reverted.said);
    if snapshot.memory.is_some() {
        let (vm, id) = (&reverted.vm.name, snapshot.uuid);
        out::say(&format!(
            "the disks are the snapshot's; 'ebbtide start {vm} --from {id}' goes on with its memory, too"
        ));
    }
    background::precache(&pool, &reverted.vm.name);
    if context.json {
        return outcome::print(context, &reverted.disks);
    }
    out::text(&text(&reverted))
}

fn text(reverted: &RevertedVm) -> String {
    let lines = reverted.disks.iter().map(|(id, outcome)| match outcome {
        Outcome::Committed(Some(kept)) => {
            format!(
                "{id}: is the snapshot's; the version before is kept as {}\n",
                revision_name(*kept)
            )
        }
        Outcome::Committed(None) => format!("{id}: is the snapshot's\n"),
        _ => format!("{id}: was the snapshot's already\n"),
    });
    lines.collect()
}

/// Shuts a VM down that runs, and says so.
fn stop(pool: &Pool, name: &VmName, limit: Duration) -> Result<()> {
    let Status::Running(run) = status(pool, &pool.vm(name)?)? else { return Ok(()) };
    if run.engine != ENGINE {
        return Ok(());
    }
    out::say(&format!("{name} runs, and is shut down first"));
    let how = Stop { discard: false, force: false, limit };
    match qemu::stop(name, &run, how)? {
        Stopped::Settled(report) => verdict(name, &report, false),
        Stopped::Unattended => {
            said(qemu::settle(pool, name, &run, how)?.said());
            Ok(())
        }
    }
}
