//! `ebbtide volume commit`.

use crate::cli::{Context, background, context::said, outcome, value};
use ebbtide::{
    Result,
    name::VolumeId,
    vm::{commit, follow_up},
};

/// Make what a cut-off VM left uncommitted on a disk a new version
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The disk
    #[arg(value_name = "VM:VOL", value_parser = value::volume)]
    volume: VolumeId,
}

pub(crate) fn run(context: &Context, options: &Options) -> Result<()> {
    let (pool, id) = (context.open()?, &options.volume);
    let (sentences, outcomes) = commit(&pool, &id.vm, Some(&id.volume))?;
    said(&sentences);
    said(&follow_up(&pool)?);
    background::precache(&pool, &id.vm);
    outcome::print(context, &outcomes)
}
