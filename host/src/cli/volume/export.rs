//! `ebbtide volume export`.

use crate::cli::{Context, out, progress::Bar, value};
use ebbtide::{
    Result,
    error::{Refusal, RefusalKind},
    name::VolumeId,
    vm,
};
use serde::Serialize;
use std::path::PathBuf;
use uuid::Uuid;

/// Write the current version of a disk to a file, or print a path that stays that version
///
/// Without FILE the path stays that version, whatever becomes of the disk, until `volume export-end` ends it. Read it, and
/// never write to it. FILE is there when it is whole, and not before.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The disk
    #[arg(value_name = "VM:VOL", value_parser = value::volume)]
    volume: VolumeId,
    /// The file to make; it must not exist
    file: Option<PathBuf>,
}

/// An export that lasts.
#[derive(Debug, Serialize)]
struct Exported {
    volume: String,
    id: Uuid,
    path: PathBuf,
}

pub(crate) fn run(context: &Context, options: &Options) -> Result<()> {
    let pool = context.open()?;
    let volume = super::find(&pool, &options.volume)?;
    if let Some(file) = options.file.as_deref().filter(|file| file.symlink_metadata().is_ok()) {
        let text = format!("{} is there already, and is not written over", file.display());
        return Err(Refusal::new(RefusalKind::Exists, text)
            .hint("give a name that is free")
            .into());
    }
    if let Some(file) = &options.file {
        let mut bar = Bar::new(format!("export {}", volume.id));
        return pool.driver().copy_out(&volume, None, file, &mut bar);
    }
    let (id, path) = vm::export(&pool, &options.volume)?;
    if context.json {
        return out::json(&Exported { volume: volume.id.to_string(), id, path });
    }
    out::line(&path.display().to_string())?;
    out::say(&format!("it stays until 'ebbtide volume export-end {} {id}'", volume.id));
    Ok(())
}
