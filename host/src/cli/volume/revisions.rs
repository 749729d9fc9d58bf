//! `ebbtide volume revisions`.

use crate::cli::{Context, value, versions};
use ebbtide::{Result, name::VolumeId};

/// List the versions of a disk, newest first
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The disk
    #[arg(value_name = "VM:VOL", value_parser = value::volume)]
    volume: VolumeId,
}

pub(crate) fn run(context: &Context, options: &Options) -> Result<()> {
    versions::print(context, &context.open()?, &options.volume)
}
