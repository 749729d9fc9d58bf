//! How a file becomes the current version: what commit, import and revert have in common.

use super::{Seen, prune, sync_dir};
use crate::{
    error::{Refusal, RefusalKind},
    pool::{
        driver::{Retention, Volume},
        step::Step,
        store::Inode,
    },
    volume::{FileKind, Revision},
};
use jiff::Timestamp;
use std::{path::PathBuf, time::SystemTime};

/// What replaces the current version.
pub(super) struct Replacement<'a> {
    pub(super) volume: &'a Volume,
    pub(super) seen: &'a Seen,
    /// The file whose name becomes the clean one. Its content is durable, or is made so by earlier steps.
    pub(super) from: PathBuf,
    /// Which file that is.
    pub(super) inode: Inode,
    /// Which versions stay.
    pub(super) retention: Retention,
}

/// The steps of a replacement.
pub(super) struct Steps {
    /// Until the new version is in place and durable.
    pub(super) replace: Vec<Step>,
    /// Those that take away what is too many then.
    pub(super) prune: Vec<Step>,
    /// What the predecessor is kept as.
    pub(super) kept: Option<Revision>,
}

impl Replacement<'_> {
    /// Returns KeepRevision, ReplaceClean, SyncDir, and apart from them Prune.
    ///
    /// The two names are changed in this order and in one directory, so one sync is enough: a file system that loses the
    /// first loses the second too. Pruning needs none: a revision that comes back with a power cut is pruned again.
    pub(super) fn steps(&self) -> Result<Steps, Refusal> {
        let files = &self.volume.files;
        let mut kept = self.seen.kept();
        let mut replace = Vec::new();
        let revision = self.revision()?;
        if let Some((revision, link)) = &revision {
            let to = files.path(&FileKind::Revision(*revision));
            if *link {
                replace.push(Step::Link { from: files.clean(), to });
                kept.extend(self.seen.clean.map(|clean| (*revision, clean.inode)));
            }
        }
        replace.push(Step::Rename { from: self.from.clone(), to: files.clean() });
        replace.push(sync_dir(self.volume));
        let excess = self.retention.excess(&kept, Some(self.inode)).into_iter();
        let prune = excess.map(|old| prune::step(files, old)).collect();
        Ok(Steps { replace, prune, kept: revision.map(|(revision, _)| revision) })
    }

    /// Returns what the current version is kept as, and whether that has yet to be made.
    fn revision(&self) -> Result<Option<(Revision, bool)>, Refusal> {
        let Some(clean) = self.seen.clean.filter(|_| self.retention.keep > 0) else {
            return Ok(None);
        };
        if let Some(leftover) = self.seen.leftover(&self.retention) {
            return Ok(Some((leftover, false)));
        }
        let number = self.retention.next_number(self.seen.revisions.keys().copied());
        let Some(number) = number else {
            let text = format!(
                "{} cannot keep one more version: the last number is taken",
                self.volume.id
            );
            return Err(Refusal::new(RefusalKind::Unable, text));
        };
        Ok(Some((Revision { number: Some(number), time: second(clean.modified) }, true)))
    }
}

/// Returns a file's time to the second, as names have it.
fn second(time: SystemTime) -> Timestamp {
    let time = Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH);
    Timestamp::from_second(time.as_second()).unwrap_or(Timestamp::UNIX_EPOCH)
}
