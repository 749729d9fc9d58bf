//! `ebbtide snapshot remove`.

use super::Which;
use crate::cli::{Context, context::said, out};
use ebbtide::{Result, vm::remove_snapshot};

/// Remove a snapshot; what came after it comes after its parent then
///
/// VMs that were made of it, or reverted to it, keep what they have. One that cannot be read is removed by its UUID.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    which: Which,
}

pub(crate) fn run(context: &Context, options: &Options) -> Result<()> {
    let removed = remove_snapshot(&context.open()?, &options.which.snapshot)?;
    said(&removed.said);
    for path in &removed.left {
        out::say(&format!("{} stays: it is not ebbtide's", path.display()));
    }
    Ok(())
}
