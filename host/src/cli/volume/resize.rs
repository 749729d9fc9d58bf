//! `ebbtide volume resize`.

use crate::cli::{Context, background, context::said, value};
use ebbtide::{Result, engine::qemu, name::VolumeId, vm};
use ebbtide_format::units::Bytes;

/// Make a disk larger, also of a VM that runs
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The disk
    #[arg(value_name = "VM:VOL", value_parser = value::volume)]
    volume: VolumeId,
    /// Its new size
    #[arg(value_parser = value::size)]
    size: Bytes,
}

pub(crate) fn run(context: &Context, options: &Options) -> Result<()> {
    let pool = context.open()?;
    let (id, size) = (&options.volume, options.size);
    said(&vm::resize(&pool, id, size, |run| qemu::resize(run, &id.volume, size))?);
    background::precache(&pool, &id.vm);
    Ok(())
}
