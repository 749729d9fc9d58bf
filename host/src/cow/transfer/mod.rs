//! What a COW file holds goes to where it belongs: into a file or a device that is there already.
//!
//! In: runs, the files that they lie in, and the target. Out: a target with all of them, not yet synced, and how much was
//! cloned and copied. Whole blocks are cloned where the file system can; two threads copy the rest, so that one batch is
//! read while the one before it is written.

mod batch;
mod clone;
mod copy;
pub(super) mod split;

use super::{Disk, Run, Runs};
use crate::{Result, file::Progress};
use clone::Cloner;
pub(super) use clone::block;
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

/// What becomes of blocks of zeros that are copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Zeros {
    /// They are written.
    Written,
    /// They are left out: the target has a hole there.
    LeftOut,
}

/// A part of a target.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part<'a> {
    /// Where it is to go, and where it is.
    pub(super) run: Run,
    /// What it is in.
    pub(super) from: &'a Disk,
    /// Whether it may be cloned.
    pub(super) sharing: Sharing,
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
    sharing: Sharing,
    whole: Bytes,
    progress: &mut dyn Progress,
) -> Result<Done> {
    let parts = runs.map(|run| Ok(Part { run: run?, from, sharing }));
    bring(parts, to, Zeros::Written, |done, _| progress.bytes(done.bytes(), whole))
}

/// Brings parts to `to`, in their order. `moved` hears of each what is done with it. Syncs nothing.
///
/// # Errors
/// As [`transfer`].
pub(super) fn bring<'a>(
    parts: impl Iterator<Item = Result<Part<'a>>>,
    to: &'a Disk,
    zeros: Zeros,
    mut moved: impl FnMut(&Done, &Part<'a>),
) -> Result<Done> {
    thread::scope(|scope| {
        let mut cloner = Cloner::new(to)?;
        let mut copier = Copier::new(scope, to, zeros);
        let mut done = Done::default();
        for part in parts {
            let part = part?;
            for run in cloner.take(&part, &mut done)?.into_iter().flatten() {
                copier.take(run, part.from)?;
                done.copied.0 += run.length;
            }
            moved(&done, &part);
        }
        copier.end()?;
        Ok(done)
    })
}
