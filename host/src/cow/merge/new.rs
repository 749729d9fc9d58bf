//! The new file is filled.

use super::{FromBacking, Merged, Room, Sources, can_share, room::clones, target::exists};
use crate::{
    Error, Result,
    cow::{
        Disk, Sharing,
        overlay::{Between, Overlay},
        transfer::{Zeros, bring},
    },
    file::{Progress, share, whole},
};
use ebbtide_format::units::Bytes;
use std::{fs::File, io, path::Path};

/// Makes a file that is there, durably, when `fill` has done its work, and not when it fails.
///
/// # Errors
/// What `fill` says; something has the name.
pub(in crate::cow) fn new_file<T>(out: &Path, fill: impl FnOnce(&File) -> Result<T>) -> Result<T> {
    whole::make(out, |file| fill(file).map_err(Ended::Said)).map_err(|ended| match ended {
        Ended::Said(error) => error,
        Ended::Kernel(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            exists(&out.display().to_string()).into()
        }
        Ended::Kernel(error) => cannot_make(out, error),
    })
}

/// Returns what is said where a file cannot be made: most often its directory is why.
pub(in crate::cow) fn cannot_make(out: &Path, error: io::Error) -> Error {
    use io::ErrorKind::{NotADirectory, NotFound, PermissionDenied, ReadOnlyFilesystem};
    let is_by_directory =
        matches!(error.kind(), NotADirectory | NotFound | PermissionDenied | ReadOnlyFilesystem);
    match out.file_name().filter(|_| is_by_directory) {
        Some(name) => {
            let (name, dir) = (name.display(), whole::directory(out).display());
            Error::doing(format_args!("make {name} in the directory {dir}"))(error)
        }
        None => Error::doing(format_args!("make {}", out.display()))(error),
    }
}

/// Why no file was made.
enum Ended {
    Said(Error),
    Kernel(io::Error),
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        Self::Kernel(error)
    }
}

/// Fills an empty file with what a COW file and its backing are together.
pub(super) fn fill(
    sources: &Sources,
    out: &Path,
    file: &File,
    sharing: Sharing,
    progress: &mut dyn Progress,
) -> Result<Merged> {
    let (cow, backing) = (&sources.cow.disk, &sources.backing.disk);
    let doing = || format!("make {}", out.display());
    let mut to = Disk::of(out, file.try_clone().map_err(Error::doing(doing()))?)?;
    let of_cow = if can_share(cow, &to, sharing)? { sharing } else { Sharing::Never };
    let is_cloned = can_share(backing, &to, sharing)?;
    let between = if is_cloned { Between::Nothing } else { Between::Data };
    to.size = backing.size;
    let parts = || Ok(Overlay::new(sources.cow.runs(backing.size)?, cow, of_cow, backing, between));
    Room::find(parts, &to, zeros(between))?;

    log::info!("makes {} of {} over {}", out.display(), cow.path.display(), backing.path.display());
    if is_cloned {
        share::share(&backing.file, file, progress).map_err(clones(backing, out))?;
    } else {
        file.set_len(backing.size.0).map_err(Error::doing(doing()))?;
    }
    let merged = bring_all(sources, &to, of_cow, between, progress)?;
    sources.are_steady()?;
    Ok(merged)
}

/// Brings what the COW file holds, and what of the backing is wanted, to a file or a device.
pub(super) fn bring_all(
    sources: &Sources,
    to: &Disk,
    sharing: Sharing,
    between: Between,
    progress: &mut dyn Progress,
) -> Result<Merged> {
    let (cow, backing) = (&sources.cow.disk, &sources.backing.disk);
    let size = backing.size;
    let parts = Overlay::new(sources.cow.runs(size)?, cow, sharing, backing, between);
    let mut from_backing = 0;
    let mut done = bring(parts, to, zeros(between), |_, part| {
        from_backing += if std::ptr::eq(part.from, backing) { part.run.length } else { 0 };
        progress.bytes(Bytes(part.run.range().end), size);
    })?;
    progress.bytes(size, size);
    done.copied.0 -= from_backing;
    let backing = match between {
        Between::Nothing => FromBacking::Cloned,
        Between::Data | Between::All => FromBacking::Copied(Bytes(from_backing)),
    };
    Ok(Merged { out: to.path.clone(), size, done, backing })
}

/// Only a file that is made from nothing has holes for zeros.
const fn zeros(between: Between) -> Zeros {
    match between {
        Between::Data => Zeros::LeftOut,
        Between::Nothing | Between::All => Zeros::Written,
    }
}
