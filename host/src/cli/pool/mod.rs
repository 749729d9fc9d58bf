//! `ebbtide pool`: the directory that everything is in.

mod adopt;
mod check;
mod create;
mod info;

use super::Context;
use clap::Subcommand;
use ebbtide::Result;

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Create(create::Options),
    Info(info::Options),
    Check(check::Options),
    Adopt(adopt::Options),
}

pub(crate) fn run(context: &Context, verb: &Verb) -> Result<()> {
    match verb {
        Verb::Create(options) => create::run(context, options),
        Verb::Info(options) => info::run(context, options),
        Verb::Check(options) => check::run(context, options),
        Verb::Adopt(options) => adopt::run(context, options),
    }
}
