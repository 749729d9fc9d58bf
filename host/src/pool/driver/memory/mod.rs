//! A store in memory that can be cut anywhere: for tests of everything that changes files of a pool.
//!
//! A step budget ends the process before its N-th change, or fails that change with an error of the kernel's; a
//! power cut leaves what no sync covers to chance, and [`MemoryStore::power_cuts`] returns the chances.

mod content;
mod disk;
mod locks;
mod power;
mod store;

use self::{content::Content, disk::Disk, locks::Locks};
use ebbtide_format::units::Bytes;
use nix::errno::Errno;
use std::{
    collections::BTreeMap,
    io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// What becomes of the change on which a budget ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The process is killed before it: all that is asked of the store after it fails, until `revive`.
    Kill,
    /// It fails and changes nothing; what comes after it is done.
    Error(Errno),
}

/// A pool's files in memory. Clones are the same store; [`MemoryStore::fork`] returns another one.
#[derive(Debug, Clone)]
pub struct MemoryStore {
    inner: Arc<Mutex<Inner>>,
    locks: Arc<Locks>,
}

#[derive(Debug, Clone)]
struct Inner {
    disk: Disk,
    /// Changes until the fault.
    budget: Option<(u64, Fault)>,
    killed: bool,
    log: Vec<String>,
    looks: u64,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    /// Returns an empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::of(Disk::new())
    }

    fn of(disk: Disk) -> Self {
        let inner = Inner { disk, budget: None, killed: false, log: Vec::new(), looks: 0 };
        Self { inner: Arc::new(Mutex::new(inner)), locks: Arc::default() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a store of its own with the same files, without a budget, and with nothing locked.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self::of(self.inner().disk.clone())
    }

    /// Lets `changes` changes be done; the next meets the fault. A file that is made and filled counts twice.
    pub fn budget(&self, changes: u64, fault: Fault) {
        self.inner().budget = Some((changes, fault));
    }

    /// Takes the budget away, as a new process does. Returns whether the fault had come.
    pub fn revive(&self) -> bool {
        let mut inner = self.inner();
        inner.killed = false;
        inner.budget.take().is_none()
    }

    /// Returns what a power cut at this moment may leave, at most about `most` of the possibilities.
    #[must_use]
    pub fn power_cuts(&self, most: usize) -> Vec<Self> {
        let cuts = power::cuts(&self.inner().disk, most);
        cuts.into_iter().map(Self::of).collect()
    }

    /// Returns the changes since the last call, such as `rename a b`.
    #[must_use]
    pub fn take_log(&self) -> Vec<String> {
        std::mem::take(&mut self.inner().log)
    }

    /// Returns how often files and directories were looked at.
    #[must_use]
    pub fn looks(&self) -> u64 {
        self.inner().looks
    }

    /// Writes as a guest does: the modification time becomes the present one. An image grows when it must.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn write(&self, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut inner = self.inner();
        let modified = inner.disk.now();
        let content = Arc::make_mut(&mut inner.disk.file_mut(path)?.live);
        content.modified = modified;
        content.size = content.size.max(offset.saturating_add(bytes.len() as u64));
        content.put(offset, bytes);
        Ok(())
    }

    /// Returns the bytes at an offset; past the end there are none.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn bytes(&self, path: &Path, offset: u64, count: usize) -> io::Result<Vec<u8>> {
        Ok(self.inner().disk.file(path)?.live.get(offset, count))
    }

    /// Puts a file of `size` outside of the pool, that begins with these bytes.
    pub fn put_outside(&self, path: &Path, size: Bytes, bytes: &[u8]) {
        let mut inner = self.inner();
        let mut content =
            Content { size: size.0, bytes: BTreeMap::new(), modified: inner.disk.now() };
        content.put(0, bytes);
        inner.disk.outside.insert(path.into(), Arc::new(content));
    }

    /// Returns the size and the first bytes of a file outside of the pool.
    #[must_use]
    pub fn outside(&self, path: &Path, count: usize) -> Option<(Bytes, Vec<u8>)> {
        let inner = self.inner();
        inner.disk.outside.get(path).map(|content| (Bytes(content.size), content.get(0, count)))
    }

    fn look(&self) -> io::Result<MutexGuard<'_, Inner>> {
        let mut inner = self.inner();
        inner.alive()?;
        inner.looks += 1;
        Ok(inner)
    }

    /// Begins a change.
    fn change(&self, what: String) -> io::Result<MutexGuard<'_, Inner>> {
        let mut inner = self.inner();
        inner.spend()?;
        inner.log.push(what);
        Ok(inner)
    }

    /// Makes a new file and fills it: two changes, between which a cut leaves it empty.
    fn fill(
        &self,
        what: String,
        to: &Path,
        content: impl FnOnce(&mut Disk) -> io::Result<Content>,
    ) -> io::Result<()> {
        let mut inner = self.change(what)?;
        let content = content(&mut inner.disk)?;
        inner.disk.make_file(to)?;
        if let Err(error) = inner.spend() {
            if !inner.killed {
                let (dir, name) = inner.disk.place(to)?;
                inner.disk.change(vec![(dir, name, None)]);
            }
            return Err(error);
        }
        inner.disk.file_mut(to)?.live = Arc::new(content);
        Ok(())
    }
}

impl Inner {
    fn alive(&self) -> io::Result<()> {
        if self.killed { Err(io::Error::other("the process was killed")) } else { Ok(()) }
    }

    fn spend(&mut self) -> io::Result<()> {
        self.alive()?;
        match &mut self.budget {
            Some((0, fault)) => {
                let fault = *fault;
                self.budget = None;
                self.killed = fault == Fault::Kill;
                self.alive()?;
                match fault {
                    Fault::Error(errno) => Err(errno.into()),
                    Fault::Kill => Ok(()),
                }
            }
            Some((left, _)) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}
