//! `ebbtide savestate remove`.

use crate::cli::{Context, context::said, out};
use ebbtide::{
    Result,
    vm::{follow_up, savestate},
};

/// Remove a savestate
///
/// Machines that went on from it go on: their disks are their own.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Its UUID, or an unambiguous beginning of it
    id: String,
}

pub(crate) fn run(context: &Context, options: &Options) -> Result<()> {
    let pool = context.open()?;
    let savestate = savestate::find(&pool, &options.id)?;
    for left in savestate::remove(&pool, &savestate)? {
        out::say(&format!("{} is not ours, and stays", left.display()));
    }
    // It may have been the last that kept a template.
    said(&follow_up(&pool)?);
    Ok(())
}
