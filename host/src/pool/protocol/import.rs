//! The content of a file outside of the pool becomes the new version.
//!
//! The copy is made aside and durable; then what is there is looked at again, and the copy replaces the current version
//! as a commit does. An import that fails before has changed nothing.

use super::{Plan, Seen, clear, only_committed, only_kept, replace::Replacement};
use crate::{
    error::{Refusal, RefusalKind},
    pool::{
        driver::{Outcome, Volume},
        step::Step,
        store::{Inode, Stat},
    },
};
use ebbtide_format::units::Bytes;
use std::{path::Path, time::SystemTime};

/// What the copy is called.
pub const PURPOSE: &str = "import";
/// What sizes of disks are multiples of.
pub const SECTOR: u64 = 512;

/// Plans the copy.
///
/// # Errors
/// The volume keeps nothing, or something is uncommitted.
pub fn copy(volume: &Volume, seen: &Seen, file: &Path) -> Result<Plan<()>, Refusal> {
    only_kept(volume, "imported into")?;
    only_committed(volume, seen, "imported into")?;
    let to = volume.files.aside(PURPOSE);
    let mut steps: Vec<Step> = clear(volume, seen, PURPOSE).into_iter().collect();
    steps.push(Step::TakeIn { outside: file.into(), to });
    Ok(Plan::new(steps, ()))
}

/// Plans to make the copy, as `found` says that it is, the durable image of a disk: of whole sectors, as engines round
/// it up.
///
/// # Errors
/// It has no bytes.
pub fn whole(
    volume: &Volume,
    file: &Path,
    found: Stat,
    now: SystemTime,
) -> Result<Plan<()>, Refusal> {
    let path = volume.files.aside(PURPOSE);
    let size = Bytes(found.size.0.next_multiple_of(SECTOR));
    if size == Bytes(0) {
        return Err(empty(file));
    }
    let grow = (size > found.size).then(|| Step::Grow { path: path.clone(), size });
    let durable = [Step::SetModified { path: path.clone(), time: now }, Step::SyncFile(path)];
    Ok(Plan::new(grow.into_iter().chain(durable).collect(), ()))
}

/// Returns the refusal of an image without a byte.
#[must_use]
pub fn empty(file: &Path) -> Refusal {
    Refusal::new(RefusalKind::Invalid, format!("{} is an image of 0 bytes", file.display()))
}

/// Plans to put the copy, which is file `inode`, into place.
///
/// # Errors
/// Something was started, or the copy was removed, while it was made: whoever did that did not have the lock.
pub fn place(volume: &Volume, seen: &Seen, inode: Option<Inode>) -> Result<Plan<Outcome>, Refusal> {
    only_committed(volume, seen, "imported into")?;
    let Some(inode) = inode else {
        let text = format!("the copy for {} was removed while it was made", volume.id);
        return Err(Refusal::new(RefusalKind::Busy, text));
    };
    let mut steps: Vec<Step> =
        seen.precache.map(|_| Step::Remove(volume.files.precache())).into_iter().collect();
    let (from, retention) = (volume.files.aside(PURPOSE), volume.retention.clone());
    let replace = Replacement { volume, seen, from, inode, retention }.steps()?;
    steps.extend(replace.replace);
    Ok(Plan { steps, afterwards: replace.prune, outcome: Outcome::Committed(replace.kept) })
}
