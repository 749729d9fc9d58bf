//! `ebbtide template revert`.

use crate::cli::{Context, versions};
use ebbtide::{Result, VmName, vm::Pick};

/// Make a kept version of a template's root the current one again
///
/// What is current is kept first, and the version that is gone back to stays. VMs that run keep what they started with.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The template
    name: VmName,
    /// The number or the label of the version; the newest kept one where it is missing
    #[arg(value_name = "REV|LABEL")]
    version: Option<Pick>,
}

pub(crate) fn run(context: &Context, options: &Options) -> Result<()> {
    let pool = context.open()?;
    let id = super::root(&pool, &options.name)?;
    versions::revert(context, &pool, &id, options.version.as_ref().unwrap_or(&Pick::Newest))
}
