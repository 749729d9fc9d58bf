//! `ebbtide cow`: copy-on-write files. None of it needs a pool.

use super::Context;
use clap::Subcommand;
use ebbtide::Result;

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {}

pub(crate) fn run(_context: &Context, verb: &Verb) -> Result<()> {
    match *verb {}
}
