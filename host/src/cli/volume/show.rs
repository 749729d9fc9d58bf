//! `ebbtide volume show`.

use crate::cli::{Context, out, value, volumes};
use ebbtide::{Result, name::VolumeId};

/// Show a disk: what becomes of it, its files, and what is kept
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The disk
    #[arg(value_name = "VM:VOL", value_parser = value::volume)]
    volume: VolumeId,
}

pub(crate) fn run(context: &Context, options: &Options) -> Result<()> {
    let pool = context.open()?;
    let volume = super::find(&pool, &options.volume)?;
    let state = pool.driver().state(&volume)?;
    let shown = volumes::VolumeShown::new(&pool, &volume, &state);
    if context.json { out::json(&shown) } else { out::text(&shown.text()) }
}
