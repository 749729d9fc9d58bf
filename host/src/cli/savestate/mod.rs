//! `ebbtide savestate`: machines that others go on from.

mod create;
mod list;
mod remove;
mod shown;

use super::Context;
use clap::Subcommand;
use ebbtide::Result;

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Create(create::Options),
    List(list::Options),
    Remove(remove::Options),
}

pub(crate) fn run(context: &Context, verb: &Verb) -> Result<()> {
    match verb {
        Verb::Create(options) => create::run(context, options),
        Verb::List(options) => list::run(context, options),
        Verb::Remove(options) => remove::run(context, options),
    }
}
