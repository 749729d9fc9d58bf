//! How one version follows another: commit, discard, import, resize. Pure.
//!
//! | changes | before the rename of the store | after it |
//! |---|---|---|
//! | commit | base and store are the old version | base is the new one, what the store had is kept as the old one |
//! | discard | base and store are the old version, with any part of the store merged into the base | base is the old version, the store is empty |
//! | resize | base may be longer than its version | the version is as long |
//!
//! An import has a base of its own; the rename of that one is the moment, and a store that lies aside says that it is to
//! follow.

use super::{
    not_lost,
    plan::{Act, Plan},
    seen::{Seen, What},
    stores,
    uses::REVERT,
};
use crate::{
    error::{Refusal, RefusalKind},
    pool::{
        driver::{Outcome, Volume},
        protocol::{no_version, only_committed, sync_dir},
        step::Step,
        store::Inode,
    },
    volume::Retention,
};
use ebbtide_format::units::{Bytes, Chunk};
use jiff::Timestamp;
use std::path::PathBuf;

/// What every plan here begins with.
pub(super) struct Planner<'a> {
    pub(super) volume: &'a Volume,
    pub(super) seen: &'a Seen,
    pub(super) now: Timestamp,
    pub(super) chunk: Chunk,
}

/// What makes the base a new version.
pub(super) struct By {
    /// The name that says that the base is written to.
    pub(super) mark: PathBuf,
    /// What the new store is called until it is in place.
    pub(super) purpose: &'static str,
    /// Which versions stay.
    pub(super) retention: Retention,
    /// Which older version has the content of the new one, 0 for none.
    pub(super) same_as: u64,
}

impl Planner<'_> {
    /// Plans that what the base has is the new version.
    ///
    /// # Errors
    /// The numbers are used up; there is no version.
    pub(super) fn commit(&self, by: &By) -> Result<Plan<Outcome>, Refusal> {
        let (volume, seen) = (self.volume, self.seen);
        let (Some(base), Some(head)) = (seen.base.clean, seen.head) else {
            return Err(no_version(volume));
        };
        let keep = stores::keep(volume, seen, What::Delta, &by.retention, &head)?;
        let label = stores::label(base.size, self.now, by.same_as);
        // Both are of one version: what the base has is durable before its store is another one.
        let mut steps =
            vec![Step::SyncFile(by.mark.clone()), Step::SyncFile(volume.files.cow().clean())];
        steps.extend(stores::make(&volume.files, &seen.cow, by.purpose, label, self.chunk));
        steps.extend(keep.link);
        steps.push(stores::place(&volume.files, by.purpose));
        steps.push(Step::Remove(by.mark.clone()));
        steps.push(sync_dir(volume));
        let shown = keep.revision.filter(|_| by.retention.keep > 0);
        let mut plan = Plan::new(steps, Outcome::Committed(shown));
        let added = keep.revision.map(|revision| (revision, What::Delta));
        plan.afterwards = stores::prune(volume, seen, &by.retention, added, by.same_as);
        Ok(plan)
    }

    /// Plans the end of a start after which nothing was written, or of what a cut has left of one.
    pub(super) fn unwritten<T>(&self, outcome: T) -> Plan<T> {
        let mark = self.seen.base.dirty.map(|_| Step::Remove(self.volume.files.dirty()));
        Plan::new(mark.into_iter().chain([sync_dir(self.volume)]).collect(), outcome)
    }

    /// Plans that the base is the current version again: what the store has is put back. `mark` is the name that says that
    /// it is written to; time and content stay those of the version.
    ///
    /// What is put back in part has a content that nobody wrote. So the mark becomes one from which no VM goes on before
    /// anything is put back, and recovery finishes it. What needs room comes before that.
    ///
    /// # Errors
    /// There is no version, or the kernel gave up the store that has it.
    pub(super) fn discard(&self, mark: PathBuf) -> Result<Plan<()>, Refusal> {
        let (volume, seen) = (self.volume, self.seen);
        let (Some(_), Some(head)) = (seen.base.clean, seen.head) else {
            return Err(no_version(volume));
        };
        not_lost(volume, &head)?;
        let (base, store, size) =
            (volume.files.clean(), volume.files.cow().clean(), head.label.device);
        let mut begin = stores::make(&volume.files, &seen.cow, "discard", head.label, self.chunk);
        // The kernel's own writes to it, before what they undo is written over.
        begin.push(Step::SyncFile(store.clone()));
        let begun = volume.files.aside(REVERT);
        if mark != begun {
            begin.push(Step::Rename { from: mark, to: begun.clone() });
            begin.push(sync_dir(volume));
        }
        let mut acts: Vec<Act> = begin.into_iter().map(Act::File).collect();
        acts.push(Act::Merge { store, base: base.clone(), size });
        if seen.is_longer() {
            acts.push(Act::Shorten { path: base.clone(), size });
        }
        let leftover = seen.cow.leftover(&volume.retention);
        let mut steps = vec![Step::SyncFile(base)];
        steps.extend(leftover.map(|revision| {
            Step::Remove(volume.files.cow().path(&crate::volume::FileKind::Revision(revision)))
        }));
        steps.extend([
            stores::place(&volume.files, "discard"),
            Step::Remove(begun),
            sync_dir(volume),
        ]);
        acts.extend(steps.into_iter().map(Act::File));
        Ok(Plan { acts, afterwards: Vec::new(), outcome: () })
    }

    /// Plans to put an imported base, which is file `inode` of `size`, into place.
    ///
    /// # Errors
    /// Something was started, or the copy was removed, while it was made.
    pub(super) fn import(&self, copy: Option<(Inode, Bytes)>) -> Result<Plan<Outcome>, Refusal> {
        let (volume, seen) = (self.volume, self.seen);
        only_committed(volume, &seen.base, "imported into")?;
        let Some((_, size)) = copy else {
            let text = format!("the copy for {} was removed while it was made", volume.id);
            return Err(Refusal::new(RefusalKind::Busy, text));
        };
        let files = &volume.files;
        let purpose = crate::pool::protocol::import::PURPOSE;
        let label = stores::label(size, self.now, 0);
        let mut steps = stores::make(files, &seen.cow, purpose, label, self.chunk);
        let retention = &volume.retention;
        let keep = match (seen.base.clean, seen.head) {
            (Some(_), Some(head)) => {
                Some(stores::keep(volume, seen, What::Base, retention, &head)?)
            }
            _ => None,
        };
        let revision = keep.as_ref().and_then(|keep| keep.revision);
        steps.extend(keep.and_then(|keep| keep.link));
        steps.push(Step::Rename { from: files.aside(purpose), to: files.clean() });
        steps.push(stores::place(files, purpose));
        steps.push(sync_dir(volume));
        let shown = revision.filter(|_| retention.keep > 0);
        let mut plan = Plan::new(steps, Outcome::Committed(shown));
        let added = revision.map(|revision| (revision, What::Base));
        plan.afterwards = stores::prune(volume, seen, retention, added, 0);
        Ok(plan)
    }

    /// Plans to make a volume that does not run as large as `size`, which is not less than it has.
    ///
    /// # Errors
    /// There is no version.
    pub(super) fn resize(&self, size: Bytes) -> Result<Plan<()>, Refusal> {
        let (volume, seen) = (self.volume, self.seen);
        let (Some(base), Some(head)) = (seen.base.clean, seen.head) else {
            return Err(no_version(volume));
        };
        let files = &volume.files;
        let path = files.clean();
        let grow = (size > base.size).then(|| Step::Grow { path: path.clone(), size });
        let mut steps: Vec<Step> = grow.into_iter().chain([Step::SyncFile(path)]).collect();
        if seen.base.dirty.is_none() && size != head.label.device {
            let label = ebbtide_format::exception_store::Label { device: size, ..head.label };
            steps.extend(stores::make(files, &seen.cow, "resize", label, self.chunk));
            steps.extend(seen.cow.leftover(&volume.retention).map(|revision| {
                Step::Remove(files.cow().path(&crate::volume::FileKind::Revision(revision)))
            }));
            steps.push(stores::place(files, "resize"));
        }
        steps.push(sync_dir(volume));
        Ok(Plan::new(steps, ()))
    }
}
