//! Versions of disks of pools are never written to: a pool knows them by size and time, and those are set back here.

use ebbtide::{
    Error, Refusal, Result,
    cow::{
        Backing, Cow,
        backing::{Mismatch, named},
    },
    error::RefusalKind,
    pool::pool_of,
};
use std::path::Path;

/// Refuses to merge into a file of a pool.
pub(super) fn is_merged_into(cow: &Path, backing: Option<&Path>) -> Result<()> {
    let backing = named(&Cow::look(cow)?, backing)?;
    let cow = cow.display();
    is_written(&backing, || {
        format!(
            "make a new file, 'ebbtide cow merge {cow} OUT', and the next version of it, 'ebbtide volume import VM:VOL OUT'"
        )
    })
}

/// Refuses to set the time of a file of a pool.
pub(super) fn is_touched(cow: &Path, backing: &Path) -> Result<()> {
    let opened = Cow::look(cow)?;
    let Some(recorded) = opened.recorded() else { return Ok(()) };
    let found = Backing::open(&opened, Some(backing))?.mismatch(&recorded);
    if !matches!(found, Some(Mismatch::Modified { .. })) {
        return Ok(());
    }
    let cow = cow.display();
    is_written(backing, || format!("'--mtime record' writes the time that it has into {cow}"))
}

fn is_written(backing: &Path, hint: impl FnOnce() -> String) -> Result<()> {
    let Some(pool) = pool_of(backing) else { return Ok(()) };
    let (backing, pool) = (backing.display(), pool.display());
    let text = format!("{backing} is in the pool {pool}, whose files are not written to");
    Err(Error::from(Refusal::new(RefusalKind::Rule, text).hint(hint())))
}
