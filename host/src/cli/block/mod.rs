//! `ebbtide block`: a disk of a pool for a toolstack that attaches disk after disk.

mod add;
mod remove;
mod target;
mod xenstore;

use super::Context;
use clap::Subcommand;
use ebbtide::Result;

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Add(add::Options),
    Remove(remove::Options),
}

pub(crate) fn run(context: &Context, verb: &Verb) -> Result<()> {
    match verb {
        Verb::Add(options) => add::run(options),
        Verb::Remove(options) => remove::run(context, options),
    }
}
