//! A version that stays until whoever reads it says so.

use crate::{error::Result, name::VolumeId, pool::Pool};
use std::path::PathBuf;
use uuid::Uuid;

/// Returns a path that stays the current version of a volume, whatever happens to the volume, until the export is ended;
/// the VM may run. The VM is not removed before. The pool is locked for this moment, so no removal is under way.
///
/// # Errors
/// The VM, the volume or its version is missing.
pub fn export(pool: &Pool, id: &VolumeId) -> Result<(Uuid, PathBuf)> {
    let _lock = pool.lock()?;
    pool.driver().export(&pool.vm(&id.vm)?.volume(pool, &id.volume)?)
}
