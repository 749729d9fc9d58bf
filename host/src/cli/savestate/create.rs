//! `ebbtide savestate create`.

use super::shown::Shown;
use crate::cli::{Context, out};
use ebbtide::{
    Refusal, Result, VmName,
    engine::qemu::{self, ENGINE},
    error::RefusalKind,
    pool::Pool,
    vm::{
        Status,
        savestate::{self, Savestate},
        status,
    },
};

/// Keep the machine of a VM as it is at this moment, its memory and all its disks
///
/// The VM goes on. 'ebbtide start NAME --from ID' makes a VM go on from there, on disks of its own.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The VM or the template, which runs
    name: VmName,
}

pub(crate) fn run(context: &Context, options: &Options) -> Result<()> {
    let pool = context.open()?;
    let savestate = manual(&pool, &options.name)?;
    if context.json {
        return out::json(&Shown::new(&pool, &savestate)?);
    }
    out::line(&savestate.uuid.to_string())
}

fn manual(pool: &Pool, name: &VmName) -> Result<Savestate> {
    match status(pool, &pool.vm(name)?)? {
        Status::Running(run) if run.engine == ENGINE => {
            savestate::find(pool, &qemu::savestate(&run)?.to_string())
        }
        Status::Running(_) | Status::Prepared(_) | Status::Elsewhere(_) => {
            let text = format!("{name} does not run under QEMU of this host");
            Err(Refusal::new(RefusalKind::Unable, text).into())
        }
        _ => {
            let text = format!("{name} does not run: it has no memory to be kept");
            let hint = format!("'ebbtide start {name}' starts it");
            Err(Refusal::new(RefusalKind::Rule, text).hint(hint).into())
        }
    }
}
