//! `ebbtide template versions`.

use crate::cli::{Context, versions};
use ebbtide::{Result, VmName};

/// List the versions of a template's root, newest first, and the VMs that run on each
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The template
    name: VmName,
}

pub(crate) fn run(context: &Context, options: &Options) -> Result<()> {
    let pool = context.open()?;
    versions::print(context, &pool, &super::root(&pool, &options.name)?)
}
