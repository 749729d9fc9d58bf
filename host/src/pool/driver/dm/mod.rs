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

mod alive;
mod beside;
mod chain;
mod commit;
mod content;
pub mod devices;
#[cfg(feature = "dm")]
mod kernel;
mod life;
#[cfg(feature = "dm")]
mod loops;
mod mapping;
pub mod name;
#[cfg(not(feature = "dm"))]
mod none;
mod plan;
mod reading;
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
    devices::Devices,
    plan::Plan,
    seen::Seen,
    uses::{How, Use},
    versions::{By, Planner},
};
use super::{Access, Commit, Disk, Ending, Given, Outcome, Version, Volume, Volumes};
use crate::{
    error::{Error, Refusal, RefusalKind, Result},
    pool::{
        check::seen::StoreSeen,
        protocol::{import, no_version, only_committed, only_kept, sync_dir},
        step::{self, Step},
        store::{Lock, Stat, Store, Unseen, Wait},
    },
    volume::Revision,
};
use ebbtide_format::units::Chunk;
use jiff::Timestamp;
use std::{io, path::Path, sync::Arc};

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
        let label = stores::label(base.size, time, 0);
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
fn version(stat: Stat, head: &seen::Head) -> Version {
    if head.is_lost {
        return plain(stat);
    }
    Version { size: head.label.device, modified: head.time(), ..plain(stat) }
}

fn plain(stat: Stat) -> Version {
    Version {
        inode: stat.inode,
        size: stat.size,
        allocated: stat.allocated,
        modified: Timestamp::try_from(stat.modified).unwrap_or(Timestamp::UNIX_EPOCH),
    }
}
