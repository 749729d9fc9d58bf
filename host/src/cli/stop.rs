//! `ebbtide stop`.

use super::{
    Context,
    context::{said, take},
    out, outcome,
};
use ebbtide::{
    Refusal, Result, VmName,
    engine::qemu::{self, ENGINE, Report, Stop, Stopped},
    error::RefusalKind,
    name::VolumeId,
    pool::{
        Pool,
        driver::{Ending, Outcome},
    },
    vm::{Allow, Guard, Lineage, Status, look, release, status},
};
use std::time::Duration;

/// Have a VM shut down, and wait for it
///
/// What it wrote to its own disks becomes their new version. One that does not shut down goes on.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The VM or the template
    name: VmName,
    /// Drop what it wrote
    #[arg(long)]
    discard: bool,
    /// Pull the plug: what it wrote stays uncommitted, for its next start, if it is not dropped
    #[arg(long)]
    force: bool,
    /// How many seconds it may take
    #[arg(long, value_name = "S", default_value_t = 60, conflicts_with = "force")]
    timeout: u32,
}

pub(crate) fn run(context: &Context, options: &Options) -> Result<()> {
    let pool = context.open()?;
    let name = &options.name;
    match status(&pool, &pool.vm(name)?)? {
        Status::Running(run) if run.engine == ENGINE => {
            let limit = Duration::from_secs(options.timeout.into());
            let how = Stop { discard: options.discard, force: options.force, limit };
            match qemu::stop(name, &run, how)? {
                Stopped::Settled(report) => print(context, name, &report, options.force),
                Stopped::Unattended => {
                    let guard = qemu::settle(&pool, name, &run, how)?;
                    said(guard.said());
                    settled(context, &pool, &guard, options.discard)
                }
            }
        }
        Status::Stopped if !options.discard || !look(&pool, pool.vm(name)?)?.uncommitted => {
            out::say(&format!("{name} does not run"));
            starts(&pool, name).iter().for_each(|hint| out::hint(hint));
            Ok(())
        }
        // Refused, or settled.
        _ => {
            let guard = take(&pool, name, "stop", Allow::Stopped)?;
            settled(context, &pool, &guard, options.discard)
        }
    }
}

/// Returns what to stop in place of a VM that does not run itself, if a start of it does.
fn starts(pool: &Pool, name: &VmName) -> Option<String> {
    // Nobody has asked for them, so what keeps them from being known fails nothing.
    let running = Lineage::look(pool).map(|lineage| lineage.starts(name));
    let running = running.unwrap_or_else(|error| {
        log::warn!("what was started of {name}: {}", error.chain());
        Vec::new()
    });
    match &running[..] {
        [] => None,
        [one] => Some(format!("{one}, a start of it, runs: 'ebbtide stop {one}' stops it")),
        more => {
            let names = more.iter().map(VmName::as_str).collect::<Vec<_>>().join(", ");
            Some(format!("{names}, starts of it, run: 'ebbtide stop {}' stops the first", more[0]))
        }
    }
}

/// Drops what was written by a VM that nobody was left to stop, if that is wanted.
fn settled(context: &Context, pool: &Pool, guard: &Guard, discard: bool) -> Result<()> {
    if discard {
        return outcome::print(context, &release(pool, guard, Ending::Discard)?);
    }
    if !context.json {
        // Said when it was settled.
        return Ok(());
    }
    let volumes = look(pool, guard.vm().clone())?.volumes;
    let kept = volumes.into_iter().filter(|(_, state)| state.dirty.is_some());
    let name = &guard.vm().name;
    let kept = kept.map(|(volume, _)| (VolumeId { vm: name.clone(), volume }, Outcome::Kept));
    outcome::print(context, &kept.collect::<Vec<_>>())
}

/// Says how a VM ended, and what became of its volumes.
pub(crate) fn print(context: &Context, name: &VmName, report: &Report, forced: bool) -> Result<()> {
    said(&report.said);
    let outcomes = report.outcomes();
    if !outcomes.is_empty() {
        outcome::print(context, &outcomes)?;
    }
    verdict(name, report, forced)
}

/// Returns whether a VM has ended as it should.
pub(crate) fn verdict(name: &VmName, report: &Report, forced: bool) -> Result<()> {
    if let Some(failure) = &report.failure {
        return Err(failure.clone().into());
    }
    match &report.cut {
        Some(why) if !forced => {
            let mut refusal =
                Refusal::new(RefusalKind::Unable, format!("{name} was cut off: {why}"));
            refusal.hint = report.log.as_ref().map(|log| format!("its log is {}", log.display()));
            Err(refusal.into())
        }
        _ => Ok(()),
    }
}
