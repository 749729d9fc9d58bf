//! `ebbtide template commit`.

use crate::cli::{Context, background, context::said, outcome};
use ebbtide::{
    Result, VmName,
    vm::{commit, follow_up},
};

/// Make what a cut-off template left a new version
///
/// A template commits by itself when it stops as it should. One that was killed, or whose machine went down, keeps
/// what it wrote beside its last version: its next start goes on from there, unless this or `volume discard` decides.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The template
    name: VmName,
}

pub(crate) fn run(context: &Context, options: &Options) -> Result<()> {
    let pool = context.open()?;
    super::root(&pool, &options.name)?;
    let (sentences, outcomes) = commit(&pool, &options.name, None)?;
    said(&sentences);
    said(&follow_up(&pool)?);
    background::precache(&pool, &options.name);
    outcome::print(context, &outcomes)
}
