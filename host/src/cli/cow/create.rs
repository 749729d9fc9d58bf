//! `ebbtide cow create`.

use crate::cli::Context;
use ebbtide::{Result, cow::create};
use std::path::PathBuf;

/// Make a COW file: what is written to it later leaves its backing file as it is
///
/// The file is sparse and has the bytes that uml_mkcow writes. It records path, size and time of modification of its
/// backing, which nobody may write to from now on.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// What kind of COW file
    #[arg(long)]
    format: Format,
    /// Replace a COW file of user-mode Linux that is there, with all that it holds
    #[arg(long)]
    force: bool,
    /// The file to make
    cow: PathBuf,
    /// What it is to be written over
    backing: PathBuf,
}

/// A kind of COW file that is made.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Format {
    /// Of user-mode Linux
    Uml,
}

pub(crate) fn run(_context: &Context, options: &Options) -> Result<()> {
    let Options { format: Format::Uml, force, cow, backing } = options;
    create::create(&create::Options { cow, backing, force: *force })
}
