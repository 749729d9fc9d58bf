//! `ebbtide cow info`.

use super::info_shown::InfoShown;
use crate::cli::{Context, out};
use ebbtide::{
    Result,
    cow::{Cow, State, info::info},
    error::{Refusal, RefusalKind},
};
use std::path::PathBuf;

/// Show a COW file: what it is, what it holds, and whether its backing is still what was written over
///
/// A COW file is one of user-mode Linux, an exception store of dm-snapshot, or a volatile disk of a VM with such a store in
/// it. Only the first kind says what it was written over.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The backing, instead of what the COW file names
    #[arg(long, value_name = "FILE")]
    backing: Option<PathBuf>,
    /// The COW file
    cow: PathBuf,
}

pub(crate) fn run(context: &Context, options: &Options) -> Result<()> {
    let cow = Cow::look(&options.cow)?;
    let found = info(&cow, options.backing.as_deref())?;
    let shown = InfoShown::new(&cow, &found);
    if context.json {
        out::json(&shown)?
    } else {
        out::text(&shown.text())?
    }
    match found.state {
        State::Damaged(damage) => Err(Refusal::new(RefusalKind::Rule, damage).into()),
        _ => Ok(()),
    }
}
