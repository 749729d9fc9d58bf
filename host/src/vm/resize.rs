//! A disk becomes larger, also that of a VM that runs.

use super::{Allow, Guard, Run, Status, life, status};
use crate::{error::Result, name::VolumeId, pool::Pool};
use ebbtide_format::units::Bytes;

/// Makes a disk as large as `size`. While its VM runs, `tell` tells the engine so; it is told one size after the other,
/// and none when the VM is being stopped. Returns what was settled on the way.
///
/// # Errors
/// The disk is larger, or not the VM's own; the VM is prepared, or somebody works on it; the engine refuses, and a repeat
/// tells it again.
pub fn resize(
    pool: &Pool,
    id: &VolumeId,
    size: Bytes,
    tell: impl FnOnce(&Run) -> Result<()>,
) -> Result<Vec<String>> {
    pool.vm(&id.vm)?.changeable()?;
    if let Status::Running(_) = status(pool, &pool.vm(&id.vm)?)? {
        // The long part, before the pool is locked.
        life::sync_dirty(pool, &pool.vm(&id.vm)?.volume(pool, &id.volume)?)?;
        // A release has the pool locked too: what grows is no version yet, and becomes none until the engine is told.
        let _lock = pool.lock()?;
        let vm = pool.vm(&id.vm)?;
        if let Status::Running(run) = status(pool, &vm)? {
            pool.driver().resize(&vm.volume(pool, &id.volume)?, size, true)?;
            return tell(&run).map(|()| Vec::new());
        }
    }
    let guard = Guard::take(pool, &id.vm, &format!("resize of {}", id.volume), Allow::Stopped)?;
    pool.driver().resize(&guard.vm().volume(pool, &id.volume)?, size, false)?;
    Ok(guard.said().to_vec())
}
