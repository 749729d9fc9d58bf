//! `ebbtide template unpin`.

use crate::cli::{Context, out};
use ebbtide::{Result, VmName, vm::unpin};
use serde::Serialize;

/// Take the label of a version away; the next commit may remove the version
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The template
    name: VmName,
    /// The label
    label: String,
}

/// What was unpinned.
#[derive(Debug, Serialize)]
struct Unpinned {
    volume: String,
    number: u64,
}

pub(crate) fn run(context: &Context, options: &Options) -> Result<()> {
    let pool = context.open()?;
    let id = super::root(&pool, &options.name)?;
    let number = unpin(&pool, &id, &options.label)?;
    if context.json {
        return out::json(&Unpinned { volume: id.to_string(), number });
    }
    out::line(&format!("{id}: revision {number} is kept like any other"))
}
