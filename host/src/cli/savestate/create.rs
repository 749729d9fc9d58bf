//! `ebbtide savestate create`.

use super::shown::Shown;
use crate::cli::{Context, out, refresh};
use ebbtide::{
    Refusal, Result, VmName,
    engine::qemu::{self, ENGINE, Need},
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
/// The VM goes on. 'ebbtide start NAME --from ID' makes a VM go on from there, on clones of these disks: what that VM has at its
/// end becomes its new version.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The VM or the template; it runs, unless it is a hot one
    name: VmName,
    /// Make the one that disposables of the VM begin with, of a clone that is started for that
    #[arg(long)]
    hot: bool,
}

pub(crate) fn run(context: &Context, options: &Options) -> Result<()> {
    let pool = context.open()?;
    let name = &options.name;
    let savestate = if options.hot { hot(&pool, name)? } else { manual(&pool, name)? };
    if context.json {
        return out::json(&Shown::new(&pool, &savestate)?);
    }
    out::line(&savestate.uuid.to_string())
}

fn hot(pool: &Pool, name: &VmName) -> Result<Savestate> {
    refresh::hot(pool, name, Need::Any)?.ok_or_else(|| {
        let text = format!("the hot savestate of {name} is being made by somebody else");
        Refusal::new(RefusalKind::Busy, text)
            .hint("'ebbtide savestate list' shows it when it is there")
            .into()
    })
}

fn manual(pool: &Pool, name: &VmName) -> Result<Savestate> {
    match status(pool, &pool.vm(name)?)? {
        Status::Running(run) if run.engine == ENGINE => {
            savestate::find(pool, &qemu::savestate(name, &run)?.to_string())
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
