//! A new COW file of user-mode Linux, in which nothing is written yet.
//!
//! In: where it is to be, and its backing file. Out: the bytes that uml_mkcow writes, in a sparse file that has its name when
//! it is whole. An old COW file is replaced as a whole: uml_mkcow -f leaves the old bitmap in, so that a new device begins with
//! what was written to another.

mod fit;
mod new;
mod old;
#[cfg(test)]
mod tests;

use super::{
    Disk, Kind,
    in_use::{self, Others},
    marker,
    merge::cannot_make,
};
use crate::{Result, file::whole};
pub(super) use fit::{is_merged, may_be_backing};
pub(super) use new::New;
pub(super) use old::is_needed;
use old::{replaced, taken};
use std::{io, path::Path};

/// What is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// The file to make.
    pub cow: &'a Path,
    /// What it is to be written over.
    pub backing: &'a Path,
    /// Whether a COW file that is there is replaced.
    pub force: bool,
}

/// Makes a COW file, durably. What was there before is there until the new one is whole.
///
/// # Errors
/// Refused: the backing is missing, empty, or a COW file itself; somebody writes to it; a merge into it is unfinished; something
/// is there, and is not to be replaced, or is no COW file, is used, or is needed to finish a merge.
pub fn create(options: &Options<'_>) -> Result<()> {
    let backing = Disk::open(options.backing)?;
    may_be_backing(&backing)?;
    let dir = whole::directory(options.cow);
    // A directory that is missing is named where the file is made.
    if backing.kind == Kind::Device && dir.is_dir() {
        let found = marker::elsewhere(None, &backing, &[dir.into()])?;
        if let Some((file, marker)) = found.iter().find(|(_, marker)| marker.is_unfinished()) {
            return Err(marker.unfinished(file).into());
        }
    }
    // Written to, it would not be what the header says.
    let _backing = match backing.kind {
        Kind::File => Some(in_use::hold(&backing, Others::MayRead)?),
        Kind::Device => None,
    };
    let new = New::over(&backing)?;
    match replaced(options, &backing)? {
        None => {
            log::info!("creates {}", options.cow.display());
            whole::make(options.cow, |file| new.fill(file)).map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => taken(options.cow).into(),
                _ => cannot_make(options.cow, error),
            })
        }
        Some(old) => {
            let _old = in_use::hold(&old, Others::MayNot)?;
            log::info!("replaces {}", old.path.display());
            whole::replace(&old.path, &old.file, |file| new.fill(file))
                .map_err(|error| cannot_make(&old.path, error))
        }
    }
}
