//! `ebbtide volume resize`.

use crate::cli::{Context, background, context::take, value};
use ebbtide::{
    Result,
    engine::qemu,
    name::VolumeId,
    vm::{Allow, Status, status},
};
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
    let vm = pool.vm(&id.vm)?;
    if let Status::Running(run) = status(&pool, &vm)? {
        pool.driver().resize(&vm.volume(&pool, &id.volume)?, size, true)?;
        return qemu::resize(&run, &id.volume, size);
    }
    let guard = take(&pool, &id.vm, &format!("resize of {}", id.volume), Allow::Stopped)?;
    pool.driver().resize(&guard.vm().volume(&pool, &id.volume)?, size, false)?;
    background::precache(&pool, &id.vm);
    Ok(())
}
