//! A name that stays one version, whatever happens to the volume.

use super::{Plan, Seen, no_version, sync_dir};
use crate::{
    error::{Refusal, RefusalKind},
    pool::{driver::Volume, step::Step},
    volume::{FileKind, Role},
};
use std::path::PathBuf;
use uuid::Uuid;

/// Plans an export under the name that `id` gives; the outcome is its path. It needs no flush: whoever reads it does
/// not outlive a power cut.
///
/// # Errors
/// There is no version.
pub fn begin(volume: &Volume, seen: &Seen, id: Uuid) -> Result<Plan<PathBuf>, Refusal> {
    let from = current(volume, seen)?;
    let to = volume.files.path(&FileKind::Export(id));
    Ok(Plan::new(vec![Step::Link { from, to: to.clone() }], to))
}

/// Returns the path of the current version.
///
/// # Errors
/// There is no version.
pub fn current(volume: &Volume, seen: &Seen) -> Result<PathBuf, Refusal> {
    if volume.role == Role::Volatile {
        let text = format!("{} cannot be exported: it is empty at every start", volume.id);
        return Err(Refusal::new(RefusalKind::Rule, text));
    }
    match (seen.clean, seen.source, &volume.source) {
        (Some(_), ..) => Ok(volume.files.clean()),
        (None, Some(_), Some(source)) => Ok(source.clean()),
        _ => Err(no_version(volume)),
    }
}

/// Plans its end.
///
/// # Errors
/// There is no such export.
pub fn end(volume: &Volume, seen: &Seen, id: Uuid) -> Result<Plan<()>, Refusal> {
    if !seen.exports.contains(&id) {
        let text = format!("{} has no export {id}", volume.id);
        return Err(Refusal::new(RefusalKind::Missing, text));
    }
    let path = volume.files.path(&FileKind::Export(id));
    Ok(Plan::new(vec![Step::Remove(path), sync_dir(volume)], ()))
}
