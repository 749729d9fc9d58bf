//! Volumes as two layers of device-mapper snapshots, on any file system.
//!
//! A running VM writes to the base of a volume through a `snapshot-origin`; what a chunk had before goes to a store, and
//! base and store together, a `snapshot`, are the version that it was. Any number of VMs read that one device. A commit
//! puts a new, empty store into place; who reads the old version keeps the old store by a second name of it, and base and
//! store are told apart by inode, so nothing disturbs them. The guest puts its own snapshot over what it is given.
//!
//! In: a [`Volume`]. Out: what became of it. Each method looks at the files with the pool's devices locked, has a pure
//! plan decide, does it, and has the devices be what the files want ([`mod@reconcile`]). So a device is there as long as
//! anybody uses it, whoever made it, and what a killed process has left is put right by the next one.

mod chain;
mod content;
pub mod devices;
#[cfg(feature = "dm")]
mod kernel;
#[cfg(feature = "dm")]
mod loops;
pub mod name;
#[cfg(not(feature = "dm"))]
mod none;
mod plan;
pub mod reconcile;
mod recover;
mod revert;
mod running;
mod seen;
mod stores;
mod stray;
mod uses;
mod versions;

#[cfg(feature = "dm")]
pub use kernel::Kernel;

use self::{
    devices::{Change, Devices, Found},
    name::Name,
    plan::Plan,
    reconcile::{Open, reconcile},
    seen::Seen,
    uses::{How, Use, uses, wanted},
    versions::{By, Planner},
};
use super::{Access, Commit, Disk, Ending, Given, Outcome, State, Stray, Version, Volume, Volumes};
use crate::{
    error::{Error, Refusal, RefusalKind, Result},
    pool::{
        check::seen::StoreSeen,
        protocol::{
            create, export, import, no_version, only_committed, only_kept, remove, resize, sync_dir,
        },
        step::{self, Step},
        store::{Inode, Lock, Progress, Store, Unseen, Wait},
    },
    volume::{FileKind, Revision, Role},
};
use ebbtide_format::units::{Bytes, Chunk};
use jiff::Timestamp;
use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};
use uuid::Uuid;

/// The lock of the devices of a pool, and of the names that say who uses them.
pub(crate) const LOCK: &str = ".dm.lock";

/// The chunk of new exception stores: see docs/adr/0011.
pub const CHUNK: Chunk = Chunk::MIN;

/// Returns the device-mapper of this machine.
#[must_use]
pub fn devices() -> Arc<dyn Devices> {
    #[cfg(feature = "dm")]
    return Arc::new(Kernel::new());
    #[cfg(not(feature = "dm"))]
    return Arc::new(none::None);
}

/// Looks whether this machine has a device-mapper that this program may use.
///
/// # Errors
/// It has none, or this is not root.
pub(in crate::pool) fn probe() -> Result<(), Refusal> {
    match devices().found(&|_| false) {
        Ok(_) => Ok(()),
        Err(error) => {
            let text = format!("the driver dm cannot be used here: {error}");
            Err(Refusal::new(RefusalKind::Unable, text)
                .hint("as root, 'modprobe dm-snapshot' loads what it needs; the driver reflink needs neither"))
        }
    }
}

/// The driver of a pool whose versions are exception stores.
#[derive(Debug, Clone)]
pub struct DmDriver {
    store: Arc<dyn Store>,
    devices: Arc<dyn Devices>,
    chunk: Chunk,
}

impl DmDriver {
    /// Returns the driver of the volumes in `store`, whose new exception stores have chunks of this size. The store's
    /// files are files of this machine.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, devices: Arc<dyn Devices>, chunk: Chunk) -> Self {
        Self { store, devices, chunk }
    }

    /// Locks the devices of the pool, for as long as it takes to change some: never while content is copied.
    fn lock(&self) -> Result<Lock> {
        match self.store.lock(Path::new(LOCK), Wait::Yes) {
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Err(Refusal::new(
                RefusalKind::Busy,
                "somebody has been changing the devices of the pool for a minute",
            )
            .hint("try again when that is done")
            .into()),
            lock => lock.map_err(Error::doing(format!(
                "lock {}",
                self.store.real(Path::new(LOCK)).display()
            ))),
        }
    }

    fn look(&self, volume: &Volume) -> Result<Seen> {
        Seen::look(&*self.store, volume)
    }

    fn planner<'a>(&self, volume: &'a Volume, seen: &'a Seen) -> Planner<'a> {
        Planner { volume, seen, now: Timestamp::now(), chunk: self.chunk }
    }

    fn steps(&self, steps: &[Step]) -> Result<()> {
        step::apply(steps, &*self.store, &mut Unseen)
    }

    /// Does a plan.
    fn apply<T>(&self, volume: &Volume, plan: Plan<T>) -> Result<T> {
        plan::apply(&plan.acts, &*self.store, &mut Unseen)?;
        if let Err(error) = self.steps(&plan.afterwards) {
            log::warn!("{error}; something that {} does not need takes room", volume.id);
        }
        Ok(plan.outcome)
    }

    fn found(&self, which: impl Fn(&Name) -> bool) -> Result<Vec<Found>> {
        self.devices.found(&which).map_err(Error::doing("list the mapped devices"))
    }

    fn find(&self, name: &Name) -> Result<Option<Found>> {
        self.devices.find(name).map_err(Error::doing(format!("look at {name}")))
    }

    fn change(&self, changes: &[Change]) -> Result<()> {
        for change in changes {
            log::info!("{change}");
            self.devices.apply(change).map_err(Error::doing(change))?;
        }
        Ok(())
    }

    /// Has the devices over a base be what its uses want, but for some of them. Nothing is changed when one that would
    /// have to go is open. The volume is one of those that use it. What writes is not mapped anew: after a crash of the host
    /// its name is there, and no VM.
    fn reconcile(&self, base: Inode, volume: &Volume, but: impl Fn(&Use) -> bool) -> Result<()> {
        let is_written = self.find(&Name::Origin(base))?.is_some();
        self.have(base, volume, |used| but(used) || used.how == How::Writes && !is_written)
    }

    /// Has the devices over a base be what its uses want, so that it can be written to.
    fn map_to_write(&self, base: Inode, volume: &Volume) -> Result<()> {
        self.have(base, volume, |_| false)
    }

    fn have(&self, base: Inode, volume: &Volume, but: impl Fn(&Use) -> bool) -> Result<()> {
        let mut near = vec![volume.files.dir.as_path()];
        near.extend(volume.source.as_ref().map(|source| source.dir.as_path()));
        let (gone, uses): (Vec<Use>, Vec<Use>) =
            uses(&*self.store, base, &near)?.into_iter().partition(but);
        let before = wanted(&*self.store, base, &gone)?;
        let wanted = wanted(&*self.store, base, &uses)?;
        let mut found = self.found(|name| name.base() == Some(base))?;
        // A version that was not wanted before either, and that somebody has open, is in nobody's way.
        found.retain(|device| match device.name {
            Name::Snapshot { store, .. } if device.opened > 0 => {
                before.snapshots.contains_key(&store) || wanted.snapshots.contains_key(&store)
            }
            _ => true,
        });
        let changes = reconcile(&wanted, &found).map_err(|Open(name)| self.open(&name))?;
        self.change(&changes).inspect_err(|_| self.let_go_on(base))
    }

    /// Lets what is written to a base go on, where a change that failed has left it held back: a VM waits for it.
    fn let_go_on(&self, base: Inode) {
        let origin = Name::Origin(base);
        let is_held =
            |found: Vec<Found>| found.iter().any(|found| found.is_live && found.suspended);
        let gone_on = self.found(|name| *name == origin).and_then(|found| {
            if is_held(found) { self.change(&[Change::Resume(origin)]) } else { Ok(()) }
        });
        if let Err(error) = gone_on {
            log::warn!("{error}; who writes to {origin} waits until the next command");
        }
    }

    /// Returns the refusal of a device that has to go and is open.
    fn open(&self, name: &Name) -> Refusal {
        let holders = self.devices.holders(name);
        let who = if holders.is_empty() { "somebody".into() } else { holders.join(", ") };
        let text = format!("{} is in use by {who}", self.devices.path(name).display());
        Refusal::new(RefusalKind::Busy, text).hint("end that first; nothing was changed")
    }

    /// Removes a device that no other is over, if it is there.
    fn unmap(&self, name: Name) -> Result<()> {
        match self.find(&name)? {
            None => Ok(()),
            Some(found) if found.opened > 0 => Err(self.open(&name).into()),
            Some(_) => self.change(&[Change::Remove(name)]),
        }
    }

    /// Sees to it that the current version of a volume has its store: one that was only an image has none yet, and a cut
    /// may have left an imported one without it, which must not be read by that of its predecessor. Returns what is there
    /// then.
    fn with_store(&self, volume: &Volume) -> Result<Seen> {
        let mut seen = self.look(volume)?;
        if seen.is_half_imported() {
            self.steps(&[stores::place(&volume.files, import::PURPOSE), sync_dir(volume)])?;
            seen = self.look(volume)?;
        }
        // Where nothing was written since, the base is the version, whatever became of the store.
        let is_written = seen.base.dirty.is_some() || seen.base.asides.contains(uses::REVERT);
        let is_lost = seen.head.is_some_and(|head| head.is_lost);
        let Some(base) = seen.base.clean.filter(|_| seen.head.is_none() || is_lost && !is_written)
        else {
            return Ok(seen);
        };
        if is_written {
            let (base, store) = (volume.files.clean(), volume.files.cow().clean());
            let text = format!(
                "which version {} was is not known: {} was written to, and {} is missing",
                volume.id,
                base.display(),
                store.display()
            );
            return Err(Refusal::new(RefusalKind::Rule, text)
                .hint("'ebbtide pool check' says more")
                .into());
        }
        let time = Timestamp::try_from(base.modified).unwrap_or(Timestamp::UNIX_EPOCH);
        let label = match seen.head {
            Some(head) => head.label,
            None => stores::label(base.size, time, 0),
        };
        let mut steps = stores::make(&volume.files, &seen.cow, "create", label, self.chunk);
        steps.push(stores::place(&volume.files, "create"));
        steps.push(sync_dir(volume));
        self.steps(&steps).inspect_err(|_| {
            // Who begins to make it again removes it first.
            let _ = self.store.remove(&volume.files.cow().aside("create"));
        })?;
        self.look(volume)
    }
}

/// Reads what an exception store says, for a check.
pub(in crate::pool) fn look_at_store(path: &Path) -> Result<StoreSeen> {
    let head = seen::read_head(path)?;
    let (device, is_written, is_lost) = (head.label.device, head.is_written, head.is_lost);
    Ok(StoreSeen { device, is_written, is_lost })
}

/// Returns whether a file's name is that of a version which only an older one needs.
pub(in crate::pool) fn is_bridge(name: &str) -> bool {
    name.contains(&format!(".aside-{}", seen::BRIDGE))
}

/// Refuses a version whose store the kernel has given up.
fn not_lost(volume: &Volume, head: &seen::Head) -> Result<(), Refusal> {
    if !head.is_lost {
        return Ok(());
    }
    let text = format!(
        "the current version of {} is lost: what it had is in a store that the kernel gave up, when a write to it failed",
        volume.id
    );
    Err(Refusal::new(RefusalKind::Rule, text)
        .hint("a commit makes what was written since the version; a backup can be imported then"))
}

/// Returns whether a use is that a volume is written to by its VM.
fn is_writing(used: &Use, volume: &Volume) -> bool {
    used.how == How::Writes && used.files == volume.files
}

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
        if !volume.role.is_kept() {
            return Ok(Vec::new());
        }
        let _lock = self.lock()?;
        self.recover_locked(volume)
    }

    fn wait(&self, _volume: &Volume) -> Result<()> {
        // There is no next image, so nobody makes one.
        Ok(())
    }

    fn remove(&self, volume: &Volume) -> Result<()> {
        let _lock = self.lock()?;
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

impl Commit for DmDriver {
    fn commit(&self, volume: &Volume) -> Result<Outcome> {
        only_kept(volume, "committed")?;
        self.stop(volume, Ending::Commit)
    }

    fn discard(&self, volume: &Volume) -> Result<bool> {
        only_kept(volume, "discarded")?;
        Ok(self.stop(volume, Ending::Discard)? == Outcome::Discarded)
    }

    fn precache(&self, volume: &Volume, _progress: &mut dyn Progress) -> Result<()> {
        let _lock = self.lock()?;
        self.steps(&stores::free(volume, &self.look(volume)?))
    }

    fn revert(&self, volume: &Volume, to: Revision) -> Result<Outcome> {
        self.revert_to(volume, to)
    }

    fn import_copy(&self, volume: &Volume, file: &Path, progress: &mut dyn Progress) -> Result<()> {
        let seen = self.look(volume)?;
        let mut plan = import::copy(volume, &seen.base, file)?;
        let store = volume.files.cow().aside(import::PURPOSE);
        if seen.cow.asides.contains(import::PURPOSE) {
            if seen.is_half_imported() {
                self.lock().and_then(|_lock| self.with_store(volume))?;
            } else {
                // Before its base: alone it would say that that is in place.
                plan.steps.insert(0, Step::Remove(store));
            }
        }
        let copied = step::apply(&plan.steps, &*self.store, progress).and_then(|()| {
            let Some(found) = uses::stat(&*self.store, &volume.files.aside(import::PURPOSE))?
            else {
                return Ok(());
            };
            let plan = import::whole(volume, file, found, std::time::SystemTime::now())?;
            self.steps(&plan.steps)
        });
        copied.inspect_err(|_| self.undo(volume))
    }

    fn import_place(&self, volume: &Volume) -> Result<Outcome> {
        let placed = self.lock().and_then(|lock| {
            let seen = self.look(volume)?;
            let copy = uses::stat(&*self.store, &volume.files.aside(import::PURPOSE))?;
            let copy = copy.map(|copy| (copy.inode, copy.size));
            let plan = self.planner(volume, &seen).import(copy)?;
            let placed = self.apply(volume, plan);
            drop(lock);
            placed
        });
        placed.inspect_err(|_| self.undo(volume))
    }

    fn export(&self, volume: &Volume) -> Result<(Uuid, PathBuf)> {
        let (id, name) = self.begin_reading(volume)?;
        Ok((id, self.devices.path(&name)))
    }

    fn copy_out(
        &self,
        volume: &Volume,
        of: Option<Revision>,
        file: &Path,
        progress: &mut dyn Progress,
    ) -> Result<()> {
        self.copy_version(volume, of, file, progress)
    }

    fn open(&self, volume: &Volume, of: Option<Revision>) -> Result<File> {
        self.open_version(volume, of)
    }

    fn export_end(&self, volume: &Volume, id: Uuid) -> Result<()> {
        let _lock = self.lock()?;
        let seen = self.look(volume)?;
        let plan = export::end(volume, &seen.base, id)?;
        let base = volume.files.path(&FileKind::Export(id));
        if let Some(base) = uses::inode(&*self.store, &base)? {
            let kind = FileKind::Export(id);
            let is_it =
                |used: &Use| used.files == volume.files && used.how == How::Reads(kind.clone());
            self.reconcile(base, volume, is_it)?;
        }
        let store = volume.files.used().path(&FileKind::Export(id));
        if uses::stat(&*self.store, &store)?.is_some() {
            self.steps(&[Step::Remove(store)])?;
        }
        self.steps(&plan.steps)
    }

    fn resize(&self, volume: &Volume, size: Bytes, running: bool) -> Result<()> {
        only_kept(volume, "resized")?;
        let _lock = self.lock()?;
        let seen = self.look(volume)?;
        let found = seen.base.dirty.map(|dirty| dirty.size).or(seen.size());
        // What is asked for, before it is rounded up.
        found.map_or(Ok(()), |found| resize::only_larger(volume, found, size))?;
        let size = devices::whole(size);
        if running {
            self.steps(&resize::running(volume, &seen.base, size)?.steps)?;
            return match seen.base_inode() {
                Some(base) => self.reconcile(base, volume, |_| false),
                None => Ok(()),
            };
        }
        if found.is_none() {
            // Says what is missing.
            return Ok(resize::plan(volume, &seen.base, size).map(drop)?);
        }
        let plan = self.planner(volume, &seen).resize(size)?;
        self.apply(volume, plan).inspect_err(|_| self.undo_locked(volume))
    }

    fn adopt_version(&self, from: &Volume, to: &Volume) -> Result<()> {
        self.copy_to_volume(from, to).inspect_err(|_| self.undo(to))
    }
}

impl DmDriver {
    /// Finishes or undoes what a cut has left; the caller has the pool's devices locked.
    fn recover_locked(&self, volume: &Volume) -> Result<Vec<String>> {
        let mut seen = self.look(volume)?;
        if seen.base.asides.contains(uses::REVERT)
            && let Some(base) = seen.base_inode()
        {
            self.reconcile(base, volume, |used| used.how == How::Writes)?;
            // What was on its way to the base is there now, and what that had is in the store.
            seen = self.look(volume)?;
        }
        let plan = recover::plan(&self.planner(volume, &seen))?;
        self.apply(volume, plan)
    }

    /// Removes what a failed change has left, as far as that is possible; the next command does the rest.
    fn undo(&self, volume: &Volume) {
        match self.lock() {
            Ok(_lock) => self.undo_locked(volume),
            Err(error) => log::warn!("{error}; the next command undoes a change of {}", volume.id),
        }
    }

    /// Like [`DmDriver::undo`], where the caller has the pool's devices locked.
    fn undo_locked(&self, volume: &Volume) {
        if let Err(error) = self.recover_locked(volume) {
            log::warn!("{error}; the next command removes what is left of {}", volume.id);
        }
    }

    /// Refuses when there is something that no version has.
    fn committed(&self, volume: &Volume, done: &str) -> Result<Seen> {
        only_kept(volume, done)?;
        let seen = self.with_store(volume)?;
        only_committed(volume, &seen.base, done)?;
        if seen.head.is_none() {
            return Err(no_version(volume).into());
        }
        Ok(seen)
    }
}

/// Returns a version by its store.
fn version(stat: crate::pool::store::Stat, head: &seen::Head) -> Version {
    Version { size: head.label.device, modified: head.time(), ..plain(stat) }
}

fn plain(stat: crate::pool::store::Stat) -> Version {
    Version {
        inode: stat.inode,
        size: stat.size,
        allocated: stat.allocated,
        modified: Timestamp::try_from(stat.modified).unwrap_or(Timestamp::UNIX_EPOCH),
    }
}
