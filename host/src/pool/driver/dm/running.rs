//! From start to stop. The pool's devices are locked while files and devices change together.

use super::{
    Access, Commit as _, Disk, DmDriver, Ending, Given, Outcome, Volume, Volumes as _,
    devices::{Change, Table, whole},
    is_writing,
    name::Name,
    not_lost,
    seen::{Head, read_head},
    uses::{self, How, REVERT, Use},
    versions::By,
};
use crate::{
    error::{Refusal, RefusalKind, Result},
    pool::{
        protocol::{no_version, start, sync_dir},
        step::Step,
        store::Inode,
    },
    volume::{FileKind, Files},
};

impl DmDriver {
    /// A file without content, as a device.
    pub(super) fn start_volatile(&self, volume: &Volume) -> Result<Disk> {
        let _lock = self.lock()?;
        self.end_volatile(volume)?;
        let path = volume.files.dirty();
        let size = whole(volume.size);
        self.steps(&[Step::MakeImage { path: path.clone(), size }])?;
        let Some(inode) = uses::inode(&*self.store, &path)? else {
            return Err(no_version(volume).into());
        };
        let table = Table::File { file: self.store.real(&path), size: size.sectors() };
        self.change(&[Change::Map(Name::Volatile(inode), table)])?;
        Ok(self.disk_of(volume, Name::Volatile(inode), false, size))
    }

    pub(super) fn end_volatile(&self, volume: &Volume) -> Result<Outcome> {
        let path = volume.files.dirty();
        if let Some(inode) = uses::inode(&*self.store, &path)? {
            self.unmap(Name::Volatile(inode))?;
            self.steps(&[Step::Remove(path)])?;
        }
        Ok(Outcome::Forgotten)
    }

    /// The current version of the source, by second names of its base and of its store.
    pub(super) fn start_use(&self, volume: &Volume, access: Access) -> Result<Disk> {
        let _lock = self.lock()?;
        let source = self.source(volume)?;
        let seen = self.with_store(&source)?;
        let (Some(base), Some(store), Some(head)) = (seen.base.clean, seen.cow.clean, seen.head)
        else {
            return Err(start::no_source(volume).into());
        };
        not_lost(&source, &head)?;
        let (base, store) = (base.inode, store.inode);
        // A start that follows a cut begins anew.
        self.end_use(volume)?;
        let (clean, used) = (volume.files.clean(), volume.files.used().clean());
        self.steps(&[
            Step::Link { from: source.files.clean(), to: clean },
            Step::Link { from: source.files.cow().clean(), to: used },
        ])?;
        let version = Name::Snapshot { base, store };
        if !self.is_settled(base, version)? {
            self.reconcile(base, volume, |_| false)?;
        }
        let size = whole(head.label.device);
        match access {
            Access::Shared => Ok(self.disk_of(volume, version, true, size)),
            Access::Copy => self.copy_over(volume, version, &head),
        }
    }

    /// A snapshot of the version, whose store is gone with it.
    fn copy_over(&self, volume: &Volume, of: Name, head: &Head) -> Result<Disk> {
        let path = volume.files.dirty();
        let size = whole(head.label.device);
        let chunk = self.chunk;
        let room = ebbtide_format::exception_store::room_for_all(size.sectors(), chunk).bytes();
        self.steps(&[Step::MakeImage { path: path.clone(), size: room }])?;
        let Some(inode) = uses::inode(&*self.store, &path)? else {
            return Err(no_version(volume).into());
        };
        let store = self.store.real(&path);
        let table = Table::Copy { of, store, size: size.sectors(), chunk };
        self.change(&[Change::Map(Name::Copy(inode), table)])?;
        Ok(self.disk_of(volume, Name::Copy(inode), false, size))
    }

    /// Ends the use of a version. The devices go first: as long as the names are there, somebody comes who ends it.
    pub(super) fn end_use(&self, volume: &Volume) -> Result<Outcome> {
        let files = &volume.files;
        let (clean, used, dirty) = (files.clean(), files.used().clean(), files.dirty());
        let mut steps = Vec::new();
        if let Some(inode) = uses::inode(&*self.store, &dirty)? {
            self.unmap(Name::Copy(inode))?;
            steps.push(Step::Remove(dirty));
        }
        let version = uses::stat(&*self.store, &used)?;
        let is_used = version.is_some();
        if let Some(base) = uses::inode(&*self.store, &clean)? {
            if let Some(version) = version {
                let is_it =
                    |used: &Use| used.files == *files && used.how == How::Reads(FileKind::Clean);
                let name = Name::Snapshot { base, store: version.inode };
                let stays = uses::is_used_beside(&*self.store, files, version)?;
                if !(stays && self.is_settled(base, name)?) {
                    self.reconcile(base, volume, is_it)?;
                }
                steps.push(Step::Remove(used));
            }
            steps.push(Step::Remove(clean));
        } else if is_used {
            steps.push(Step::Remove(used));
        }
        self.steps(&steps)?;
        Ok(Outcome::Forgotten)
    }

    /// Returns whether a version is there and what writes to its base is not held back, as whoever was killed in the
    /// middle of a change would leave it: one user more or less, of many, changes no device then. This takes the same
    /// time whatever else there is.
    fn is_settled(&self, base: Inode, version: Name) -> Result<bool> {
        let origin = self.find(&Name::Origin(base))?;
        if origin.is_some_and(|origin| !origin.is_live || origin.suspended) {
            return Ok(false);
        }
        Ok(self.find(&version)?.is_some_and(|version| version.is_live && !version.suspended))
    }

    /// What a VM writes goes to the base, and what that had goes to the store. That it is written to is durable before it
    /// is.
    pub(super) fn start_kept(&self, volume: &Volume) -> Result<Disk> {
        if self.look(volume)?.base.clean.is_none() {
            let source = self.source(volume)?;
            self.adopt_version(&source, volume)?;
        }
        let _lock = self.lock()?;
        self.finish_discard(volume)?;
        let seen = self.with_store(volume)?;
        let Some(base) = seen.base.clean else { return Err(no_version(volume).into()) };
        let mut steps = Vec::new();
        if seen.base.dirty.is_none() {
            let (from, to) = (volume.files.clean(), volume.files.dirty());
            steps.push(Step::Link { from, to });
        }
        steps.push(sync_dir(volume));
        self.steps(&steps)?;
        self.map_to_write(base.inode, volume)?;
        Ok(self.disk_of(volume, Name::Origin(base.inode), false, whole(base.size)))
    }

    pub(super) fn end_kept(&self, volume: &Volume, ending: Ending) -> Result<Outcome> {
        if let Some(base) = self.look(volume)?.base_inode() {
            self.reconcile(base, volume, |used| is_writing(used, volume))?;
        }
        if self.finish_discard(volume)? {
            return Ok(Outcome::Discarded);
        }
        // What the kernel wrote to the store is in it now.
        let seen = self.look(volume)?;
        let planner = self.planner(volume, &seen);
        if seen.base.dirty.is_none() || !seen.is_written() {
            return self.apply(volume, planner.unwritten(Outcome::Unchanged));
        }
        let mark = volume.files.dirty();
        let ended = match ending {
            Ending::Keep => return Ok(Outcome::Kept),
            Ending::Discard => {
                let plan = planner.discard(mark)?;
                self.apply(volume, plan).map(|()| Outcome::Discarded)
            }
            Ending::Commit => {
                let retention = volume.retention.clone();
                let plan =
                    planner.commit(&By { mark, purpose: "commit", retention, same_as: 0 })?;
                self.apply(volume, plan)
            }
        };
        ended.inspect_err(|_| self.undo_locked(volume))
    }

    /// Puts the rest of what is dropped back where that was begun. Returns whether it was.
    fn finish_discard(&self, volume: &Volume) -> Result<bool> {
        let seen = self.look(volume)?;
        let is_begun = seen.base.asides.contains(REVERT);
        if is_begun {
            self.recover_locked(volume)?;
        }
        Ok(is_begun)
    }

    /// Returns what a start gives, or has given.
    pub(super) fn expected(&self, volume: &Volume, access: Access) -> Result<Disk> {
        let inode = |files: &Files, kind: FileKind| uses::inode(&*self.store, &files.path(&kind));
        let unknown = || {
            let text = format!("which device {} is, is known when it is started", volume.id);
            Refusal::new(RefusalKind::Missing, text)
                .hint(format!("run 'ebbtide vm prepare {}' first", volume.id.vm))
        };
        let files = &volume.files;
        let dirty = inode(files, FileKind::Dirty)?;
        if !volume.role.is_kept() && (volume.source.is_none() || access == Access::Copy) {
            let Some(dirty) = dirty else { return Err(unknown().into()) };
            let is_volatile = volume.source.is_none();
            let name = if is_volatile { Name::Volatile(dirty) } else { Name::Copy(dirty) };
            let size = match &volume.source {
                Some(_) => self.state(volume)?.current.map_or(volume.size, |current| current.size),
                None => volume.size,
            };
            return Ok(self.disk_of(volume, name, false, whole(size)));
        }
        let (base, store) = match (&volume.source, volume.role.is_kept()) {
            (Some(source), false) => match inode(&files.used(), FileKind::Clean)? {
                Some(store) => (inode(files, FileKind::Clean)?, Some((files.used(), store))),
                None => {
                    let cow = source.cow();
                    let store = inode(&cow, FileKind::Clean)?.map(|store| (cow, store));
                    (inode(source, FileKind::Clean)?, store)
                }
            },
            _ => (inode(files, FileKind::Clean)?, None),
        };
        match (base, store) {
            (Some(base), Some((files, store))) => {
                let head = read_head(&self.store.real(&files.clean()))?;
                let name = Name::Snapshot { base, store };
                Ok(self.disk_of(volume, name, true, whole(head.label.device)))
            }
            (Some(base), None) if volume.role.is_kept() => {
                let size =
                    uses::stat(&*self.store, &files.clean())?.map_or(volume.size, |base| base.size);
                Ok(self.disk_of(volume, Name::Origin(base), false, whole(size)))
            }
            _ => Err(unknown().into()),
        }
    }

    fn disk_of(
        &self,
        volume: &Volume,
        name: Name,
        read_only: bool,
        size: ebbtide_format::units::Bytes,
    ) -> Disk {
        let path = self.devices.path(&name);
        Disk { id: volume.id.clone(), path, given: Given::Device, read_only, size }
    }

    /// Returns the volume that this one begins from.
    pub(super) fn source(&self, volume: &Volume) -> Result<Volume> {
        match (&volume.source, volume.role.source()) {
            (Some(files), Some(id)) => Ok(Volume {
                id: id.clone(),
                files: files.clone(),
                role: crate::volume::Role::Origin,
                source: None,
                ..volume.clone()
            }),
            _ => Err(no_version(volume).into()),
        }
    }
}

/// Says which version a device is of.
impl Name {
    /// Returns the base of an origin or a version.
    #[must_use]
    pub const fn base(&self) -> Option<Inode> {
        match self {
            Self::Origin(base) | Self::Snapshot { base, .. } => Some(*base),
            Self::Copy(_) | Self::Volatile(_) => None,
        }
    }
}
