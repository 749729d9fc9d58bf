//! Volumes as files of a [`Store`]: each version an inode, shared by links.
//!
//! In: a [`Volume`]. Out: what became of it. Each method looks at the volume's files, has a planner of
//! [`crate::pool::protocol`] decide, and does the steps. When a step fails, what was half done is undone.
//!
//! The volume's own lock is about the next dirty image alone, which is made without the VM's lock. A commit never waits
//! for it.

use super::{
    Access, Commit, Disk, Ending, Given, Instants, Outcome, State, Version, Volume, Volumes,
};
use crate::{
    error::{Error, Refusal, RefusalKind, Result},
    name::VolumeId,
    pool::{
        protocol::{
            Plan, Seen, adopt, commit, create, discard, export, import, precache, prune, recover,
            remove, resize, restore, revert, seen::lock_name, start, stop,
        },
        step::{self, Step},
        store::{Inode, Kind, Lock, Progress, Stat, Store, Unseen, Wait},
    },
    volume::{FileKind, Revision, Role},
};
use ebbtide_format::units::Bytes;
use jiff::Timestamp;
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};
use uuid::Uuid;

/// The driver of a pool whose file system can share content between files, or copies it.
#[derive(Debug, Clone)]
pub struct FileDriver {
    store: Arc<dyn Store>,
    marker: Option<SystemTime>,
}

impl FileDriver {
    /// Returns the driver of the volumes in `store`. Which boot of the machine it is tells it whether the time of a
    /// dirty image says that nothing was written to it.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id");
        let boot = boot.ok().and_then(|text| text.trim().parse().ok());
        Self::in_boot(store, boot)
    }

    /// Returns the driver in a boot of the machine. When it is not known, everything counts as written.
    #[must_use]
    pub fn in_boot(store: Arc<dyn Store>, boot: Option<Uuid>) -> Self {
        Self { store, marker: boot.map(marker) }
    }

    fn look(&self, volume: &Volume) -> Result<Seen> {
        Seen::look(&*self.store, volume)
    }

    /// Locks the next dirty image and looks at the files. When somebody has it locked for longer than is waited, they
    /// are told so in what is seen.
    fn look_locked(&self, volume: &Volume, wait: Wait) -> Result<(Option<Lock>, Seen)> {
        let path = volume.files.dir.join(lock_name(volume));
        let lock = match self.store.lock(&path, wait) {
            Ok(lock) => Some(lock),
            Err(error) if is_busy(&error) => None,
            Err(error) => return Err(Error::doing(format!("lock {}", path.display()))(error)),
        };
        let seen = Seen { precaching: lock.is_none(), ..self.look(volume)? };
        Ok((lock, seen))
    }

    /// Like [`FileDriver::look_locked`], for changes that cannot be made beside it. Others wait for the pool meanwhile, so
    /// this does not: [`Volumes::wait`] comes before.
    fn look_alone(&self, volume: &Volume) -> Result<(Lock, Seen)> {
        match self.look_locked(volume, Wait::Briefly)? {
            (Some(lock), seen) => Ok((lock, seen)),
            (None, _) => {
                let text = format!("the next image of {} is being made", volume.id);
                Err(Refusal::new(RefusalKind::Busy, text)
                    .hint("try again when that is done")
                    .into())
            }
        }
    }

    /// Locks for a short change beside which the next dirty image may be made; what is not kept has none.
    fn look_beside(&self, volume: &Volume, wait: Wait) -> Result<(Option<Lock>, Seen)> {
        if volume.role.is_kept() {
            self.look_locked(volume, wait)
        } else {
            Ok((None, self.look(volume)?))
        }
    }

    /// Does a plan.
    fn apply<T>(&self, id: &VolumeId, plan: Plan<T>, progress: &mut dyn Progress) -> Result<T> {
        step::apply(&plan.steps, &*self.store, progress)?;
        if let Err(error) = step::apply(&plan.afterwards, &*self.store, progress) {
            log::warn!("{error}; something that {id} does not need takes room");
        }
        Ok(plan.outcome)
    }

    /// Does a plan under the VM's lock, or undoes it. Without that lock, somebody else's change would be undone.
    fn change<T>(&self, volume: &Volume, plan: Plan<T>) -> Result<T> {
        self.apply(&volume.id, plan, &mut Unseen).inspect_err(|_| self.undo(volume))
    }

    /// Looks at the copy that an import makes.
    fn look_at_copy(&self, volume: &Volume) -> Result<Option<Stat>> {
        let copy = volume.files.aside(import::PURPOSE);
        self.store.stat(&copy).map_err(Error::doing(format!("look at {}", copy.display())))
    }

    /// Makes the next dirty image as planned, and puts it into place.
    fn copy_next(
        &self,
        volume: &Volume,
        plan: Plan<Inode>,
        progress: &mut dyn Progress,
    ) -> Result<()> {
        let copied = self.apply(&volume.id, plan, progress).and_then(|of| {
            let plan = precache::place(volume, &self.look(volume)?, of);
            self.apply(&volume.id, plan, &mut Unseen)
        });
        copied.inspect_err(|_| {
            let aside = volume.files.aside(precache::PURPOSE);
            if let Ok(Some(_)) = self.store.stat(&aside)
                && let Err(error) = self.store.remove(&aside)
            {
                log::warn!("cannot remove {}: {error}", aside.display());
            }
        })
    }

    /// Returns the file of the current version, or of a kept one.
    fn version(&self, volume: &Volume, of: Option<Revision>) -> Result<PathBuf> {
        let seen = self.look(volume)?;
        match of {
            None => Ok(export::current(volume, &seen)?),
            Some(of) if seen.revisions.contains_key(&of) => {
                Ok(volume.files.path(&FileKind::Revision(of)))
            }
            Some(of) => Err(revert::no_revision(volume, &seen.numbers(), of).into()),
        }
    }

    /// Removes what a failed change has left, as far as that is possible; the next command does the rest.
    fn undo(&self, volume: &Volume) {
        let undone = self.look(volume).and_then(|seen| {
            // Whoever makes the next image sees to it that it is removed.
            let plan = recover::plan(volume, &Seen { precaching: true, ..seen });
            step::apply(&plan.steps, &*self.store, &mut Unseen)
        });
        if let Err(error) = undone {
            log::warn!("{error}; the next command removes what is left of {}", volume.id);
        }
    }
}

/// Returns the time of a dirty image to which nothing was written in this boot of the machine: within the first second
/// of 1970, and another one in each boot. After a power cut the time may be older than the content.
fn marker(boot: Uuid) -> SystemTime {
    let nanoseconds = boot.as_u128() % 999_999_999 + 1;
    SystemTime::UNIX_EPOCH + Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(1))
}

fn is_busy(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

impl Instants for FileDriver {
    fn instant(&self, volume: &Volume, to: &Path) -> Result<Option<(Step, bool)>> {
        let seen = self.look(volume)?;
        let to = to.to_path_buf();
        Ok(match (seen.dirty, seen.clean) {
            (Some(_), _) => Some((Step::CloneImage { from: volume.files.dirty(), to }, true)),
            (None, Some(_)) => Some((Step::Link { from: volume.files.clean(), to }, false)),
            (None, None) => None,
        })
    }

    fn restore(&self, volume: &Volume, image: &Path) -> Result<Outcome> {
        let found = self.store.stat(image);
        let found = found.map_err(Error::doing(format!("look at {}", image.display())))?;
        let found = found.filter(|found| found.kind == Kind::File).ok_or_else(|| {
            let text = format!("{} is no image, and {} was to be it", image.display(), volume.id);
            Refusal::new(RefusalKind::Missing, text)
        })?;
        let (_lock, seen) = self.look_alone(volume)?;
        self.change(volume, restore::plan(volume, &seen, image, found.inode)?)
    }
}

impl Volumes for FileDriver {
    fn given(&self) -> Given {
        Given::File
    }

    fn create(&self, volume: &Volume) -> Result<()> {
        self.change(volume, create::plan(volume, &self.look(volume)?)?)
    }

    fn begin(&self, _volume: &Volume) -> Result<()> {
        Ok(())
    }

    fn disk(&self, volume: &Volume, access: Access) -> Result<Disk> {
        let read_only = matches!(volume.role, Role::Snapshot { .. }) && access == Access::Shared;
        let file = if read_only { volume.files.clean() } else { volume.files.dirty() };
        let size = match volume.role {
            Role::Volatile => volume.size,
            _ => {
                let state = self.state(volume)?;
                state.dirty.or(state.current).map_or(volume.size, |version| version.size)
            }
        };
        let path = self.store.real(&file);
        Ok(Disk { path, id: volume.id.clone(), given: Given::File, read_only, size })
    }

    fn start(&self, volume: &Volume, access: Access) -> Result<Disk> {
        let (_lock, seen) = self.look_beside(volume, Wait::Yes)?;
        let plan = start::plan(volume, &seen, access, self.marker)?;
        let attach = self.change(volume, plan).inspect_err(|_| {
            if let Err(error) = self.stop(volume, Ending::Keep) {
                log::warn!("{error}; the next command ends the start of {}", volume.id);
            }
        })?;
        Ok(Disk {
            id: volume.id.clone(),
            path: self.store.real(&attach.path),
            given: Given::File,
            read_only: attach.read_only,
            size: attach.size,
        })
    }

    fn stop(&self, volume: &Volume, ending: Ending) -> Result<Outcome> {
        let (_lock, seen) = self.look_beside(volume, Wait::No)?;
        let plan = stop::plan(volume, &seen, ending, self.marker, SystemTime::now())?;
        self.change(volume, plan)
    }

    fn state(&self, volume: &Volume) -> Result<State> {
        let seen = self.look(volume)?;
        let revisions = seen.revisions.iter();
        Ok(State {
            current: seen.clean.map(version),
            dirty: seen.dirty.map(version),
            source: seen.source.map(|source| source.inode),
            revisions: revisions.map(|(revision, stat)| (*revision, version(*stat))).collect(),
        })
    }

    fn recover(&self, volume: &Volume) -> Result<Vec<String>> {
        let (_lock, seen) = self.look_beside(volume, Wait::No)?;
        self.change(volume, recover::plan(volume, &seen))
    }

    fn wait(&self, volume: &Volume) -> Result<()> {
        // A lock makes its file, and what is not there stays so.
        if !volume.role.is_kept() || !self.look(volume)?.lock {
            return Ok(());
        }
        let path = volume.files.dir.join(lock_name(volume));
        match self.store.lock(&path, Wait::Yes) {
            Err(error) if is_busy(&error) => Err(Refusal::new(
                RefusalKind::Busy,
                format!("the next image of {} has been in the making for a minute", volume.id),
            )
            .hint("try again when that is done")
            .into()),
            Err(error) => Err(Error::doing(format!("lock {}", path.display()))(error)),
            Ok(_lock) => Ok(()),
        }
    }

    fn remove(&self, volume: &Volume) -> Result<()> {
        let (_lock, seen) = if volume.role.is_kept() {
            self.look_alone(volume).map(|(lock, seen)| (Some(lock), seen))?
        } else {
            (None, self.look(volume)?)
        };
        self.change(volume, remove::plan(volume, &seen)?)
    }
}

impl Commit for FileDriver {
    fn instants(&self) -> Option<&dyn Instants> {
        Some(self)
    }

    fn commit(&self, volume: &Volume) -> Result<Outcome> {
        let (_lock, seen) = self.look_beside(volume, Wait::No)?;
        self.change(volume, commit::plan(volume, &seen, self.marker, SystemTime::now())?)
    }

    fn discard(&self, volume: &Volume) -> Result<bool> {
        let (_lock, seen) = self.look_beside(volume, Wait::No)?;
        self.change(volume, discard::plan(volume, &seen, self.marker)?)
    }

    fn precache(&self, volume: &Volume, progress: &mut dyn Progress) -> Result<()> {
        let (Some(lock), seen) = self.look_locked(volume, Wait::No)? else { return Ok(()) };
        if let Some(plan) = precache::copy(volume, &seen) {
            self.copy_next(volume, plan, progress)?;
        }
        // Whoever waits to start has what it waits for.
        drop(lock);
        let (Some(_lock), seen) = self.look_locked(volume, Wait::Briefly)? else { return Ok(()) };
        self.apply(&volume.id, prune::plan(volume, &seen), &mut Unseen)
    }

    fn revert(&self, volume: &Volume, to: Revision) -> Result<Outcome> {
        let (_lock, seen) = self.look_alone(volume)?;
        self.change(volume, revert::plan(volume, &seen, to)?)
    }

    fn import_copy(&self, volume: &Volume, file: &Path, progress: &mut dyn Progress) -> Result<()> {
        let seen = self.look(volume)?;
        let plan = import::copy(volume, &seen, file)?;
        let copied = self.apply(&volume.id, plan, progress).and_then(|()| {
            // That it is removed meanwhile, the next look tells.
            let Some(found) = self.look_at_copy(volume)? else { return Ok(()) };
            self.apply(&volume.id, import::whole(volume, file, found, SystemTime::now())?, progress)
        });
        copied.inspect_err(|_| self.undo(volume))
    }

    fn import_place(&self, volume: &Volume) -> Result<Outcome> {
        let placed = self.look_alone(volume).and_then(|(lock, seen)| {
            let copy = self.look_at_copy(volume)?;
            Ok((lock, import::place(volume, &seen, copy.map(|copy| copy.inode))?))
        });
        let (_lock, plan) = placed.inspect_err(|_| self.undo(volume))?;
        self.change(volume, plan)
    }

    fn export(&self, volume: &Volume) -> Result<(Uuid, PathBuf)> {
        let id = Uuid::new_v4();
        let plan = export::begin(volume, &self.look(volume)?, id)?;
        let path = self.apply(&volume.id, plan, &mut Unseen)?;
        Ok((id, self.store.real(&path)))
    }

    fn copy_out(
        &self,
        volume: &Volume,
        of: Option<Revision>,
        file: &Path,
        progress: &mut dyn Progress,
    ) -> Result<()> {
        // Once it is open it stays this version, and needs no name of its own.
        let from = self.version(volume, of)?;
        let doing = format!("copy {} to {}", volume.id, file.display());
        log::info!("{doing}");
        self.store.give_out(&from, file, progress).map_err(Error::doing(doing))
    }

    fn open(&self, volume: &Volume, of: Option<Revision>) -> Result<File> {
        let path = self.store.real(&self.version(volume, of)?);
        File::open(&path).map_err(Error::doing(format!("open {}", path.display())))
    }

    fn export_end(&self, volume: &Volume, id: Uuid) -> Result<()> {
        let plan = export::end(volume, &self.look(volume)?, id)?;
        self.apply(&volume.id, plan, &mut Unseen)
    }

    fn resize(&self, volume: &Volume, size: Bytes, running: bool) -> Result<()> {
        if running {
            let plan = resize::running(volume, &self.look(volume)?, size)?;
            return self.apply(&volume.id, plan, &mut Unseen);
        }
        self.wait(volume)?;
        let (_lock, seen) = self.look_alone(volume)?;
        self.change(volume, resize::plan(volume, &seen, size)?)
    }

    fn adopt_version(&self, from: &Volume, to: &Volume) -> Result<()> {
        let (theirs, ours) = (self.look(from)?, self.look(to)?);
        self.change(to, adopt::plan(from, &theirs, to, &ours)?)
    }
}

fn version(stat: Stat) -> Version {
    Version {
        inode: stat.inode,
        size: stat.size,
        allocated: stat.allocated,
        modified: Timestamp::try_from(stat.modified).unwrap_or(Timestamp::UNIX_EPOCH),
    }
}
