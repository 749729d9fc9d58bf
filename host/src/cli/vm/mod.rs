//! `ebbtide vm`: machines that boot from templates.

mod clone;
mod commit;
mod create;
mod list;
mod prepare;
mod release;
mod remove;
mod set;
mod show;

use super::Context;
use clap::Subcommand;
use ebbtide::Result;

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Create(create::Options),
    List(list::Options),
    Show(show::Options),
    Set(set::Options),
    Clone(clone::Options),
    Commit(commit::Options),
    Remove(remove::Options),
    Prepare(prepare::Options),
    Release(release::Options),
}

pub(crate) fn run(context: &Context, verb: &Verb) -> Result<()> {
    match verb {
        Verb::Create(options) => create::run(context, options),
        Verb::List(options) => list::run(context, options),
        Verb::Show(options) => show::run(context, options),
        Verb::Set(options) => set::run(context, options),
        Verb::Clone(options) => clone::run(context, options),
        Verb::Commit(options) => commit::run(context, options),
        Verb::Remove(options) => remove::run(context, options),
        Verb::Prepare(options) => prepare::run(context, options),
        Verb::Release(options) => release::run(context, options),
    }
}
