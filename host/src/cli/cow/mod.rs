//! `ebbtide cow`: copy-on-write files. None of it needs a pool.

mod create;
mod export;
mod in_place;
mod info;
mod info_shown;
mod merge;
mod merged_shown;
mod relocate;
mod version;

use super::Context;
use clap::Subcommand;
use ebbtide::Result;

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Info(info::Options),
    Create(create::Options),
    Merge(merge::Options),
    Export(export::Options),
    #[command(name = "move")]
    Move(relocate::Options),
}

pub(crate) fn run(context: &Context, verb: &Verb) -> Result<()> {
    match verb {
        Verb::Info(options) => info::run(context, options),
        Verb::Create(options) => create::run(context, options),
        Verb::Merge(options) => merge::run(context, options),
        Verb::Export(options) => export::run(context, options),
        Verb::Move(options) => relocate::run(context, options),
    }
}
