//! The content of a file outside of the pool, made the new version of a disk.

use super::Guard;
use crate::{
    error::Result,
    name::VolumeName,
    pool::{
        Pool,
        driver::{Outcome, Volume},
        store::Progress,
    },
};
use std::path::Path;

/// Makes the content of a file outside of the pool the new version of a disk. The copy, which may take minutes, is made
/// with the VM locked alone; with the pool locked the record is read again, so that what was pinned meanwhile stays.
///
/// # Errors
/// The VM has no such disk, or it keeps nothing; something is uncommitted; the file cannot be read.
pub fn import(
    pool: &Pool,
    guard: &Guard,
    name: &VolumeName,
    file: &Path,
    progress: &mut dyn Progress,
) -> Result<Outcome> {
    guard.vm().changeable()?;
    let volume = guard.vm().volume(pool, name)?;
    pool.driver().import_copy(&volume, file, progress)?;
    place(pool, guard, &volume).inspect_err(|_| {
        // The copy is of no use, and takes room where room may be what there was too little of.
        if let Err(error) = pool.driver().recover(&volume) {
            log::warn!("{}; the next command removes what is left of the import", error.chain());
        }
    })
}

/// Makes the copy the new version, with what the record says by now.
fn place(pool: &Pool, guard: &Guard, volume: &Volume) -> Result<Outcome> {
    pool.driver().wait(volume)?;
    let _lock = pool.lock_at_last()?;
    let name = &volume.id.volume;
    pool.driver().import_place(&pool.vm(&guard.vm().name)?.volume(pool, name)?)
}
