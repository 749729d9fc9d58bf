//! `ebbtide cow export`.

use super::{
    merge::{sharing, to_new},
    merged_shown::{DoneShown, how},
};
use crate::cli::{Context, human, out, printable::printable, progress::Bar};
use ebbtide::{
    Result,
    cow::{
        export::{self, Exported},
        merge,
    },
};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Make a COW file of another kind, or a raw image, of a COW file
///
/// OUT is there when it is whole, and not before. A COW file of user-mode Linux holds what the COW file holds, whatever its
/// kind, and records the same backing; a raw image is what 'cow merge' makes.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// What is made
    #[arg(long)]
    format: Format,
    /// The backing, instead of what the COW file names
    #[arg(long, value_name = "FILE")]
    backing: Option<PathBuf>,
    /// Copy all, and clone nothing
    #[arg(long)]
    copy: bool,
    /// The COW file
    cow: PathBuf,
    /// The file to make; it must not exist
    out: PathBuf,
}

/// What an export is.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Format {
    /// A COW file of user-mode Linux, version 3
    Uml,
    /// An image of the whole device
    Raw,
}

/// A COW file that was made; sizes in bytes.
#[derive(Debug, Serialize)]
struct ExportedShown<'a> {
    #[serde(serialize_with = "out::path")]
    cow: &'a Path,
    #[serde(serialize_with = "out::path")]
    out: &'a Path,
    size: u64,
    #[serde(flatten)]
    done: DoneShown,
    #[serde(serialize_with = "out::path")]
    recorded: &'a Path,
}

pub(crate) fn run(context: &Context, options: &Options) -> Result<()> {
    let Options { format, backing, copy, cow, out } = options;
    let (backing, sharing) = (backing.as_deref(), sharing(*copy));
    match format {
        Format::Raw => {
            let options = merge::Options { cow, backing, out, sharing, force: false };
            to_new(context, "export", &options)
        }
        Format::Uml => uml(context, &export::Options { cow, backing, out, sharing }),
    }
}

fn uml(context: &Context, options: &export::Options<'_>) -> Result<()> {
    let cow = options.cow;
    let mut bar = Bar::new(format!("export {}", cow.display()));
    let exported = export::uml(options, &mut bar)?;
    drop(bar);
    let Exported { out, backing, size, done } = &exported;
    if context.json {
        let (size, recorded) = (size.0, backing);
        return out::json(&ExportedShown { cow, out, size, done: done.into(), recorded });
    }
    let (cow, out, backing) = (cow.display(), out.display(), backing.display());
    let (held, how) = (human::size(done.bytes()), how(done));
    out::line(&printable(&format!("{cow}: {held} written to {out}{how}, over {backing}")))
}
