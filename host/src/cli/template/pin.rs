//! `ebbtide template pin`.

use crate::cli::Context;
use ebbtide::{Result, VmName, vm::pin};

/// Keep a version of a template's root for good, under a label
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The template
    name: VmName,
    /// The number of the version
    #[arg(value_name = "REV")]
    version: u64,
    /// Its label; not only digits
    label: String,
}

pub(crate) fn run(context: &Context, options: &Options) -> Result<()> {
    let pool = context.open()?;
    pin(&pool, &super::root(&pool, &options.name)?, options.version, &options.label)
}
