//! `ebbtide cow merge`.

use super::in_place;
use crate::cli::Context;
use ebbtide::{
    Result,
    cow::{Sharing, in_place::Options as InPlace},
};
use std::path::PathBuf;

/// Bring what a COW file holds into its backing
///
/// With --in-place the backing itself is changed, so COW files that were written over it too are worthless then: while there
/// are such, it is refused. A file beside the backing, FILE.ebbtide-merge, says what was merged into it. With that, the same
/// command finishes a merge that was cut off, and does nothing where it was done.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The backing, instead of what the COW file names
    #[arg(long, value_name = "FILE")]
    backing: Option<PathBuf>,
    /// Change the backing itself
    #[arg(long, required = true)]
    in_place: bool,
    /// Where else to look for COW files of the same backing; as often as wanted
    #[arg(long, value_name = "DIR", requires = "in_place")]
    search: Vec<PathBuf>,
    /// Go on where other COW files, or what was written since an earlier merge, are given up by that
    #[arg(long, requires = "in_place")]
    force: bool,
    /// What says what was merged; needed where COW file and backing are devices
    #[arg(long, value_name = "FILE", requires = "in_place")]
    marker: Option<PathBuf>,
    /// Copy every byte, and share none with the COW file
    #[arg(long)]
    copy: bool,
    /// The COW file
    cow: PathBuf,
}

pub(crate) fn run(context: &Context, options: &Options) -> Result<()> {
    let sharing = if options.copy { Sharing::Never } else { Sharing::WhereItCan };
    in_place::run(
        context,
        &InPlace {
            cow: &options.cow,
            backing: options.backing.as_deref(),
            search: &options.search,
            force: options.force,
            marker: options.marker.as_deref(),
            sharing,
        },
    )
}
