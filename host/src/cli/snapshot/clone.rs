//! `ebbtide snapshot clone`.

use super::Which;
use crate::cli::{Context, context::said};
use ebbtide::{
    Result, VmName,
    vm::{clone_snapshot, find_snapshot},
};

/// Make a VM with the disks and the settings of a snapshot
///
/// Nothing is copied. It works also when the VM of the snapshot is gone; an AppVM needs the template that it had.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    which: Which,
    /// The name of the new VM
    name: VmName,
}

pub(crate) fn run(context: &Context, options: &Options) -> Result<()> {
    let pool = context.open()?;
    let snapshot = find_snapshot(&pool, &options.which.snapshot)?;
    said(&clone_snapshot(&pool, &snapshot, &options.name)?);
    Ok(())
}
