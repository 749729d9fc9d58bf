//! The life of a volume, from its first version to its removal.

use super::{
    DmDriver, devices, is_writing, plain, seen,
    uses::{self},
    version,
};
use crate::{
    error::{Refusal, RefusalKind, Result},
    pool::{
        driver::{Access, Disk, Ending, Given, Outcome, State, Stray, Version, Volume, Volumes},
        protocol::{create, remove},
        step::Step,
    },
    volume::Role,
};
use ebbtide_format::units::Bytes;

impl Volumes for DmDriver {
    fn given(&self) -> Given {
        Given::Device
    }

    fn strays(&self) -> Result<Vec<Stray>> {
        self.find_strays()
    }

    fn sweep(&self) -> Result<Vec<String>> {
        self.remove_strays()
    }

    fn create(&self, volume: &Volume) -> Result<()> {
        let _lock = self.lock()?;
        let size = devices::whole(volume.size);
        let whole = Volume { size, ..volume.clone() };
        let seen = self.look(&whole)?;
        if volume.role == Role::Origin && size == Bytes(0) {
            let text = format!("{} has no bytes: a device has some", volume.id);
            return Err(Refusal::new(RefusalKind::Invalid, text).into());
        }
        let plan = create::plan(&whole, &seen.base)?;
        self.steps(&plan.steps).inspect_err(|_| self.undo_locked(volume))?;
        if volume.role == Role::Origin {
            self.with_store(&whole)?;
        }
        Ok(())
    }

    fn begin(&self, volume: &Volume) -> Result<()> {
        let _lock = self.lock()?;
        let seen = self.look(volume)?;
        if let Some(base) = seen.base.clean.filter(|base| devices::whole(base.size) != base.size) {
            let grow = Step::Grow { path: volume.files.clean(), size: devices::whole(base.size) };
            self.steps(&[grow, Step::SyncFile(volume.files.clean())])?;
        }
        self.with_store(volume).map(drop)
    }

    fn start(&self, volume: &Volume, access: Access) -> Result<Disk> {
        let started = match volume.role {
            Role::Volatile => self.start_volatile(volume),
            Role::Snapshot { .. } => self.start_use(volume, access),
            Role::Origin | Role::OriginSnapshot { .. } => self.start_kept(volume),
        };
        started.inspect_err(|_| {
            if let Err(error) = self.stop(volume, Ending::Keep) {
                log::warn!("{error}; the next command ends the start of {}", volume.id);
            }
        })
    }

    fn disk(&self, volume: &Volume, access: Access) -> Result<Disk> {
        self.expected(volume, access)
    }

    fn stop(&self, volume: &Volume, ending: Ending) -> Result<Outcome> {
        let _lock = self.lock()?;
        match volume.role {
            Role::Volatile => self.end_volatile(volume),
            Role::Snapshot { .. } => self.end_use(volume),
            Role::Origin | Role::OriginSnapshot { .. } => self.end_kept(volume, ending),
        }
    }

    fn state(&self, volume: &Volume) -> Result<State> {
        let seen = self.look(volume)?;
        let source = match &volume.source {
            Some(files) => uses::inode(&*self.store, &files.cow().clean())?,
            None => None,
        };
        let used = uses::stat(&*self.store, &volume.files.used().clean())?;
        let current = match (used, seen.base.clean, seen.cow.clean) {
            (Some(used), ..) => {
                let head = seen::read_head(&self.store.real(&volume.files.used().clean()))?;
                Some(version(used, &head))
            }
            (None, Some(base), Some(store)) => {
                seen.head.map(|head| Version { allocated: base.allocated, ..version(store, &head) })
            }
            // An image that is no version yet.
            (None, Some(base), None) => Some(plain(base)),
            _ => None,
        };
        let dirty = seen.base.dirty.map(|dirty| {
            let allocated = seen.cow.clean.map_or(Bytes(0), |store| store.allocated);
            Version { allocated, ..plain(dirty) }
        });
        let mut revisions = Vec::new();
        for kept in seen.kept(&volume.files).into_iter().filter(|kept| kept.is_listed) {
            let Some(stat) = seen.revision(kept.revision) else { continue };
            let found = match seen.heads.get(&kept.revision) {
                Some(head) => version(stat, head),
                None => Version { modified: kept.revision.time, ..plain(stat) },
            };
            revisions.push((kept.revision, found));
        }
        Ok(State { current, dirty, source, revisions })
    }

    fn recover(&self, volume: &Volume) -> Result<Vec<String>> {
        let _lock = self.lock()?;
        let mut said = self.end_dead_copies(volume, &self.look(volume)?)?;
        if volume.role.is_kept() {
            said.extend(self.recover_locked(volume)?);
        }
        Ok(said)
    }

    fn wait(&self, _volume: &Volume) -> Result<()> {
        // There is no next image, so nobody makes one.
        Ok(())
    }

    fn remove(&self, volume: &Volume) -> Result<()> {
        let _lock = self.lock()?;
        self.refuse_copied(volume, &self.look(volume)?)?;
        if !volume.role.is_kept() {
            return match volume.role {
                Role::Volatile => self.end_volatile(volume).map(drop),
                _ => self.end_use(volume).map(drop),
            };
        }
        let seen = self.look(volume)?;
        // The plan of the base refuses what is exported, so it comes first.
        let base = remove::plan(volume, &seen.base)?;
        if let Some(inode) = seen.base_inode() {
            self.reconcile(inode, volume, |used| is_writing(used, volume))?;
        }
        // That it is written to says that there is a store.
        let marks = [volume.files.dirty(), volume.files.aside(uses::REVERT)];
        let is_mark = |step: &Step| matches!(step, Step::Remove(path) if marks.contains(path));
        let (marks, base): (Vec<_>, Vec<_>) = base.steps.into_iter().partition(is_mark);
        self.steps(&marks)?;
        self.steps(&remove::plan(&seen::cow_of(volume), &seen.cow)?.steps)?;
        self.steps(&base)
    }
}
