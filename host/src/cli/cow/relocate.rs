//! `ebbtide cow move`.

use super::version;
use crate::cli::{Context, out, progress::Bar};
use ebbtide::{
    Result,
    cow::relocate::{self, Outcome, Time},
};
use std::path::PathBuf;

/// Have a COW file name another backing file, of the same content
///
/// A COW file of user-mode Linux names its backing file by path, size and time of modification, to the second. After the
/// backing was moved, copied or restored, this writes where it is now. Content that differs damages every file system on
/// the device, and shows too late: if in doubt, compare.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// What becomes of the time of modification
    #[arg(long, default_value = "keep")]
    mtime: Mtime,
    /// Compare all of NEW-BACKING with this file first
    #[arg(long, value_name = "OLD")]
    compare: Option<PathBuf>,
    /// The COW file
    cow: PathBuf,
    /// What it is to name
    new_backing: PathBuf,
}

/// What becomes of the time of modification.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Mtime {
    /// The new backing must have the one that is recorded
    Keep,
    /// Record the one that the new backing has
    Record,
    /// Set that of the new backing to the one that is recorded
    Touch,
}

pub(crate) fn run(_context: &Context, options: &Options) -> Result<()> {
    let time = match options.mtime {
        Mtime::Keep => Time::Keep,
        Mtime::Record => Time::Record,
        Mtime::Touch => Time::Touch,
    };
    let wanted = relocate::Options {
        cow: &options.cow,
        backing: &options.new_backing,
        time,
        compare: options.compare.as_deref(),
    };
    if time == Time::Touch {
        version::is_touched(wanted.cow, wanted.backing)?;
    }
    let mut bar = Bar::new(format!("compare {}", options.new_backing.display()));
    let outcome = relocate::relocate(&wanted, &mut bar)?;
    drop(bar);
    if outcome == Outcome::Already {
        let (cow, backing) = (options.cow.display(), options.new_backing.display());
        out::say(&format!("{cow} names {backing} already; nothing to do"));
    }
    Ok(())
}
