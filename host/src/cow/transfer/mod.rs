//! What a COW file holds goes to where it belongs: into a file or a device that is there already.
//!
//! In: runs, the COW file they lie in, and the target. Out: a target with all of them, not yet synced, and how much was
//! cloned and copied.

mod batch;
mod clone;
mod copy;
mod split;

use super::{Disk, Runs};
use crate::{Result, file::Progress};
use clone::Cloner;
use copy::Copier;
use ebbtide_format::units::Bytes;
use std::thread;

/// Whether extents may be cloned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sharing {
    /// Whole blocks are cloned where the file system can.
    #[default]
    WhereItCan,
    /// Every byte is copied.
    Never,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Done {
    /// Bytes that the target shares with the COW file now.
    pub cloned: Bytes,
    /// Bytes that were read and written.
    pub copied: Bytes,
    /// How many times the kernel was asked to clone, and did.
    pub clones: u64,
}

impl Done {
    /// Returns both together.
    #[must_use]
    pub const fn bytes(&self) -> Bytes {
        Bytes(self.cloned.0 + self.copied.0)
    }
}

/// Brings `runs` of `from` to `to`, which is long enough for them. `whole` is how many bytes all of them have, for
/// `progress` alone. Syncs nothing.
///
/// # Errors
/// The first that a run, a read, a clone or a write gave; what came before it is in the target.
pub fn transfer(
    runs: Runs<'_>,
    from: &Disk,
    to: &Disk,
    how: Sharing,
    whole: Bytes,
    progress: &mut dyn Progress,
) -> Result<Done> {
    thread::scope(|scope| {
        let mut cloner = Cloner::new(from, to, how)?;
        let mut copier = Copier::new(scope, from, to);
        let mut done = Done::default();
        for run in runs {
            for part in cloner.take(run?, &mut done)?.into_iter().flatten() {
                copier.take(part)?;
                done.copied.0 += part.length;
            }
            progress.bytes(done.bytes(), whole);
        }
        copier.end()?;
        Ok(done)
    })
}
