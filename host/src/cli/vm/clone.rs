//! `ebbtide vm clone`.

use crate::cli::{Context, context::said};
use ebbtide::{Result, VmName, vm};

/// Make a VM with the disks and the settings of another one
///
/// Nothing is copied, but in a pool of driver dm, which writes its disks in place.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The VM or the template that is cloned; of one that runs it is the last version of its disks
    #[arg(value_name = "SRC")]
    source: VmName,
    /// The name of the clone
    #[arg(value_name = "DST")]
    name: VmName,
    /// What is linked to SRC is linked to the clone from then on: clones of it, and VMs that boot from it
    #[arg(long)]
    replacement: bool,
}

pub(crate) fn run(context: &Context, options: &Options) -> Result<()> {
    let Options { source, name, replacement } = options;
    let clone = if *replacement { vm::replace } else { vm::clone };
    said(&clone(&context.open()?, source, name)?);
    Ok(())
}
