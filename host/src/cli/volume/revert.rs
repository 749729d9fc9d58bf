//! `ebbtide volume revert`.

use crate::cli::{Context, value, versions};
use ebbtide::{Result, name::VolumeId, vm::Pick};

/// Make a kept version of a disk the current one again
///
/// What is current is kept first, and the version that is gone back to stays.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The disk
    #[arg(value_name = "VM:VOL", value_parser = value::volume)]
    volume: VolumeId,
    /// The number or the label of the version; the newest kept one where it is missing
    #[arg(value_name = "REV|LABEL")]
    version: Option<Pick>,
}

pub(crate) fn run(context: &Context, options: &Options) -> Result<()> {
    let pick = options.version.as_ref().unwrap_or(&Pick::Newest);
    versions::revert(context, &context.open()?, &options.volume, pick)
}
