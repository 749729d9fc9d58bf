//! A store in memory that can be cut anywhere: for tests of everything that changes files of a pool.
//!
//! A step budget ends the process before its N-th change, or fails that change with an error of the kernel's; a
//! power cut leaves what no sync covers to chance, and [`MemoryStore::power_cuts`] returns the chances.

mod disk;
mod locks;
mod power;

use self::{
    disk::{Content, Disk, File, ROOT},
    locks::Locks,
};
use crate::pool::store::{Inode, Kind, Lock, Progress, Stat, Store, Wait, too_large};
use ebbtide_format::units::Bytes;
use nix::errno::Errno;
use std::{
    collections::BTreeMap,
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
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

impl Content {
    fn put(&mut self, offset: u64, bytes: &[u8]) {
        for (at, byte) in (offset..).zip(bytes) {
            match byte {
                0 => self.bytes.remove(&at),
                _ => self.bytes.insert(at, *byte),
            };
        }
    }

    fn get(&self, offset: u64, count: usize) -> Vec<u8> {
        let end = offset.saturating_add(count as u64).min(self.size);
        (offset..end).map(|at| self.bytes.get(&at).copied().unwrap_or(0)).collect()
    }
}

/// A file takes a block for each that is not all zeros.
fn allocated(content: &Content) -> Bytes {
    let mut blocks: Vec<u64> = content.bytes.keys().map(|at| at / 4096).collect();
    blocks.dedup();
    Bytes(blocks.len() as u64 * 4096)
}

impl Store for MemoryStore {
    fn real(&self, path: &Path) -> PathBuf {
        Path::new("/memory").join(path)
    }

    fn names(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        let inner = self.look()?;
        let id = inner.disk.existing(dir)?;
        let dir = inner.disk.dirs.get(&id).ok_or(io::ErrorKind::NotADirectory)?;
        Ok(dir.live.keys().cloned().collect())
    }

    fn stat(&self, path: &Path) -> io::Result<Option<Stat>> {
        let inner = self.look()?;
        let Some(number) = inner.disk.find(path)? else { return Ok(None) };
        let file = inner.disk.files.get(&number);
        Ok(Some(Stat {
            kind: if file.is_some() { Kind::File } else { Kind::Directory },
            inode: Inode { device: 1, number },
            size: Bytes(file.map_or(0, |file| file.live.size)),
            allocated: file.map_or(Bytes(0), |file| allocated(&file.live)),
            modified: file.map_or(SystemTime::UNIX_EPOCH, |file| file.live.modified),
            links: inner.disk.links(number),
        }))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let inner = self.look()?;
        let content = &inner.disk.file(path)?.live;
        match usize::try_from(content.size) {
            Ok(size) if size <= 1 << 20 => Ok(content.get(0, size)),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    fn lock(&self, path: &Path, wait: Wait) -> io::Result<Lock> {
        let id = {
            let mut inner = self.look()?;
            match inner.disk.find(path)? {
                Some(id) => id,
                None => inner.disk.make_file(path)?,
            }
        };
        self.locks.take(id, wait)
    }

    fn is_locked(&self, path: &Path) -> io::Result<bool> {
        let id = self.look()?.disk.find(path)?;
        Ok(id.is_some_and(|id| self.locks.is_taken(id)))
    }

    fn make_dir(&self, path: &Path) -> io::Result<()> {
        self.change(format!("make_dir {}", path.display()))?.disk.make_dir(path)
    }

    fn make_image(&self, path: &Path, size: Bytes) -> io::Result<()> {
        self.fill(format!("make_image {}", path.display()), path, |disk| {
            Ok(Content { size: size.0, bytes: BTreeMap::new(), modified: disk.now() })
        })
    }

    fn clone_image(&self, from: &Path, to: &Path, progress: &mut dyn Progress) -> io::Result<()> {
        let mut size = Bytes(0);
        self.fill(format!("clone_image {} {}", from.display(), to.display()), to, |disk| {
            let mut content = Content::clone(&disk.file(from)?.live);
            content.modified = disk.now();
            size = Bytes(content.size);
            Ok(content)
        })?;
        progress.bytes(size, size);
        Ok(())
    }

    fn take_in(&self, outside: &Path, to: &Path, progress: &mut dyn Progress) -> io::Result<()> {
        let mut size = Bytes(0);
        self.fill(format!("take_in {} {}", outside.display(), to.display()), to, |disk| {
            let found = disk.outside.get(outside).ok_or(io::ErrorKind::NotFound)?;
            size = Bytes(found.size);
            Ok(Content::clone(found))
        })?;
        progress.bytes(size, size);
        Ok(())
    }

    fn give_out(&self, from: &Path, outside: &Path, progress: &mut dyn Progress) -> io::Result<()> {
        let size = {
            let what = format!("give_out {} {}", from.display(), outside.display());
            let mut inner = self.change(what)?;
            let content = inner.disk.file(from)?.live.clone();
            if inner.disk.outside.contains_key(outside) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            inner.spend()?;
            let size = Bytes(content.size);
            inner.disk.outside.insert(outside.into(), content);
            size
        };
        progress.bytes(size, size);
        Ok(())
    }

    fn write_new(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.fill(format!("write_new {}", path.display()), path, |disk| {
            let (size, modified) = (bytes.len() as u64, disk.now());
            let mut content = Content { size, bytes: BTreeMap::new(), modified };
            content.put(0, bytes);
            Ok(content)
        })
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut inner = self.change(format!("link {} {}", from.display(), to.display()))?;
        inner.disk.file(from)?;
        let id = inner.disk.existing(from)?;
        let (dir, name) = inner.disk.free_place(to)?;
        inner.disk.change(vec![(dir, name, Some(id))]);
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut inner = self.change(format!("rename {} {}", from.display(), to.display()))?;
        let disk = &mut inner.disk;
        let id = disk.existing(from)?;
        if disk.find(to)?.is_some_and(|there| disk.dirs.contains_key(&there)) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let ((old, old_name), (new, new_name)) = (disk.place(from)?, disk.place(to)?);
        if from != to {
            disk.change(vec![(old, old_name, None), (new, new_name, Some(id))]);
        }
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.change(format!("remove {}", path.display()))?;
        inner.disk.file(path)?;
        let (dir, name) = inner.disk.place(path)?;
        inner.disk.change(vec![(dir, name, None)]);
        Ok(())
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.change(format!("remove_dir {}", path.display()))?;
        let id = inner.disk.existing(path)?;
        let found = inner.disk.dirs.get(&id).ok_or(io::ErrorKind::NotADirectory)?;
        if !found.live.is_empty() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        let (dir, name) = inner.disk.place(path)?;
        inner.disk.change(vec![(dir, name, None)]);
        Ok(())
    }

    fn grow(&self, path: &Path, size: Bytes) -> io::Result<()> {
        let mut inner = self.change(format!("grow {}", path.display()))?;
        let modified = inner.disk.now();
        let content = Arc::make_mut(&mut inner.disk.file_mut(path)?.live);
        if content.size > size.0 {
            return Err(too_large(path, Bytes(content.size)));
        }
        content.modified = modified;
        content.size = size.0;
        Ok(())
    }

    fn set_modified(&self, path: &Path, time: SystemTime) -> io::Result<()> {
        let mut inner = self.change(format!("set_modified {}", path.display()))?;
        Arc::make_mut(&mut inner.disk.file_mut(path)?.live).modified = time;
        Ok(())
    }

    fn sync_file(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.change(format!("sync_file {}", path.display()))?;
        let File { live, durable } = inner.disk.file_mut(path)?;
        *durable = live.clone();
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.change(format!("sync_dir {}", path.display()))?;
        let id = if path.as_os_str().is_empty() { ROOT } else { inner.disk.existing(path)? };
        if !inner.disk.dirs.contains_key(&id) {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        inner.disk.sync_dir(id);
        Ok(())
    }
}
