//! `ebbtide cow merge`.

use super::{
    in_place,
    merged_shown::{MergedShown, sentence},
    version,
};
use crate::cli::{Context, out, printable::printable, progress::Bar};
use ebbtide::{
    Result,
    cow::{Sharing, in_place::Options as InPlace, merge},
};
use std::path::PathBuf;

/// Make a new file of a COW file and its backing, or bring what a COW file holds into its backing
///
/// OUT is there when it is whole, and not before; the COW file and its backing stay as they are.
///
/// With --in-place the backing itself is changed, so COW files that were written over it too are worthless then: while there
/// are such, it is refused. A file beside the backing, FILE.ebbtide-merge, says what was merged into it. With that, the same
/// command finishes a merge that was cut off, and does nothing where it was done. A file in a pool is not changed: make a new
/// one and import it, as the next version.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The backing, instead of what the COW file names
    #[arg(long, value_name = "FILE")]
    backing: Option<PathBuf>,
    /// Change the backing itself
    #[arg(long, conflicts_with = "out")]
    in_place: bool,
    /// Where else to look for COW files of the same backing, and, if that is a device, for what says what was merged into
    /// it; as often as wanted
    #[arg(long, value_name = "DIR", requires = "in_place", conflicts_with = "out")]
    search: Vec<PathBuf>,
    /// Write over OUT if that is a block device; in place, go on where other COW files, or what was written since an earlier
    /// merge, are given up by that
    #[arg(long)]
    force: bool,
    /// What says what was merged; needed where COW file and backing are both devices, and refused elsewhere
    #[arg(long, value_name = "FILE", requires = "in_place", conflicts_with = "out")]
    marker: Option<PathBuf>,
    /// Copy every byte, and share none with the COW file or its backing
    #[arg(long)]
    copy: bool,
    /// The COW file
    cow: PathBuf,
    /// The file to make; it must not exist
    #[arg(required_unless_present = "in_place")]
    out: Option<PathBuf>,
}

pub(crate) fn run(context: &Context, options: &Options) -> Result<()> {
    let sharing = sharing(options.copy);
    if let Some(out) = &options.out {
        let Options { cow, backing, force, .. } = options;
        let backing = backing.as_deref();
        let options = merge::Options { cow, backing, out, sharing, force: *force };
        return to_new(context, "merge", &options);
    }
    version::is_merged_into(&options.cow, options.backing.as_deref())?;
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

/// Merges into a new file, and says so.
pub(super) fn to_new(context: &Context, doing: &str, options: &merge::Options<'_>) -> Result<()> {
    let cow = options.cow;
    let mut bar = Bar::new(format!("{doing} {}", cow.display()));
    let merged = merge::merge(options, &mut bar)?;
    drop(bar);
    if context.json {
        return out::json(&MergedShown::new(cow, &merged));
    }
    out::line(&printable(&sentence(cow, &merged)))
}

/// Returns whether extents may be cloned.
pub(super) const fn sharing(copy: bool) -> Sharing {
    if copy { Sharing::Never } else { Sharing::WhereItCan }
}
