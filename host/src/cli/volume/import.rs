//! `ebbtide volume import`.

use crate::cli::{Context, background, context::take, outcome, progress::Bar, value};
use ebbtide::{
    Result,
    name::VolumeId,
    vm::{self, Allow},
};
use std::path::PathBuf;

/// Make the content of a raw image the new version of a disk; the one before is kept
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The disk
    #[arg(value_name = "VM:VOL", value_parser = value::volume)]
    volume: VolumeId,
    /// The image
    file: PathBuf,
}

pub(crate) fn run(context: &Context, options: &Options) -> Result<()> {
    let pool = context.open()?;
    let id = &options.volume;
    let guard = take(&pool, &id.vm, &format!("import of {}", id.volume), Allow::Stopped)?;
    let mut bar = Bar::new(format!("import {id}"));
    let outcome = vm::import(&pool, &guard, &id.volume, &options.file, &mut bar)?;
    drop(bar);
    background::precache(&pool, &id.vm);
    outcome::print(context, &[(id.clone(), outcome)])
}
