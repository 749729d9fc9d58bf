//! `ebbtide snapshot create`.

use super::shown;
use crate::cli::{Context, context::take, out, progress::Bar};
use ebbtide::{
    Refusal, Result, VmName,
    engine::qemu::{self, ENGINE},
    error::RefusalKind,
    pool::Pool,
    vm::{Allow, Status, find_snapshot, snapshot, status},
};
use uuid::Uuid;

/// Take a snapshot of a VM: all disks that it keeps, of one instant, and its settings
///
/// Nothing is copied, whatever the size of the disks. Prints the UUID of the snapshot. What was written and is in no
/// version is in the snapshot, and stays uncommitted. A VM that runs stands still for the moment; where its guest has an
/// agent, the agent freezes the file systems for it. A snapshot needs nothing of the VM: it outlives it.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The VM or the template
    name: VmName,
    /// With the memory of the machine, which has to run
    #[arg(long)]
    memory: bool,
    /// What it is called
    #[arg(long = "name", value_name = "LABEL")]
    label: Option<String>,
}

pub(crate) fn run(context: &Context, options: &Options) -> Result<()> {
    let pool = context.open()?;
    let uuid = match status(&pool, &pool.vm(&options.name)?)? {
        // It is its supervisor who can make the machine stand still.
        Status::Running(run) if run.engine == ENGINE => qemu::snapshot(
            &options.name,
            &run,
            options.label.as_deref(),
            options.memory,
            &mut out::say,
        )?,
        Status::Stopped | Status::CutOff(_) if options.memory => {
            return Err(no_memory(&options.name).into());
        }
        // Refused, or taken.
        _ => of_stopped(&pool, options)?,
    };
    if !context.json {
        return out::line(&uuid.to_string());
    }
    let snapshot = find_snapshot(&pool, &uuid.to_string())?;
    out::json(&shown::Family::of(&pool, std::slice::from_ref(&snapshot))?.snapshot(&snapshot))
}

fn of_stopped(pool: &Pool, options: &Options) -> Result<Uuid> {
    let guard = take(pool, &options.name, "snapshot", Allow::Stopped)?;
    let mut bar = Bar::new(format!("snapshot of {}", options.name));
    Ok(snapshot(pool, &guard, options.label.as_deref(), None, &mut bar)?.uuid)
}

fn no_memory(name: &VmName) -> Refusal {
    Refusal::new(RefusalKind::Rule, format!("{name} does not run: there is no memory to save"))
        .hint("leave out --memory, or start it first")
}
