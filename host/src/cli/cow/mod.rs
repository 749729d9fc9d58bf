//! `ebbtide cow`: copy-on-write files. None of it needs a pool.

mod create;
mod info;
mod info_shown;

use super::Context;
use clap::Subcommand;
use ebbtide::Result;

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Info(info::Options),
    Create(create::Options),
}

pub(crate) fn run(context: &Context, verb: &Verb) -> Result<()> {
    match verb {
        Verb::Info(options) => info::run(context, options),
        Verb::Create(options) => create::run(context, options),
    }
}
