//! `ebbtide snapshot`: a VM at one instant, and the tree of them.

mod clone;
mod create;
mod list;
mod remove;
mod revert;
mod shown;
mod tree;

use super::Context;
use clap::Subcommand;
use ebbtide::Result;

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Create(create::Options),
    List(list::Options),
    Tree(tree::Options),
    Revert(revert::Options),
    Clone(clone::Options),
    Remove(remove::Options),
}

pub(crate) fn run(context: &Context, verb: &Verb) -> Result<()> {
    match verb {
        Verb::Create(options) => create::run(context, options),
        Verb::List(options) => list::run(context, options),
        Verb::Tree(options) => tree::run(context, options),
        Verb::Revert(options) => revert::run(context, options),
        Verb::Clone(options) => clone::run(context, options),
        Verb::Remove(options) => remove::run(context, options),
    }
}

/// Which snapshot.
#[derive(Debug, clap::Args)]
pub(crate) struct Which {
    /// The UUID of the snapshot, the beginning of it, or its label
    #[arg(value_name = "SNAP")]
    snapshot: String,
}
