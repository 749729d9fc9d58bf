//! `ebbtide volume export-end`.

use crate::cli::{Context, value};
use ebbtide::{Result, name::VolumeId};
use uuid::Uuid;

/// End an export: its path goes away
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The disk
    #[arg(value_name = "VM:VOL", value_parser = value::volume)]
    volume: VolumeId,
    /// The export, as `volume export` names it
    #[arg(value_parser = id)]
    id: Uuid,
}

pub(crate) fn run(context: &Context, options: &Options) -> Result<()> {
    let pool = context.open()?;
    pool.driver().export_end(&super::find(&pool, &options.volume)?, options.id)
}

/// Reads the name of an export.
fn id(text: &str) -> Result<Uuid, &'static str> {
    text.parse().map_err(|_| "wanted the id that 'ebbtide volume export' printed")
}
