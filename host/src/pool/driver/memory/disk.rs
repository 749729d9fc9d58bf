//! The disk of a store in memory: what is there, and what of it would be there after a power cut.

use super::content::Content;
use nix::errno::Errno;
use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
    io,
    path::{Component, Path},
    sync::Arc,
    time::{Duration, SystemTime},
};

/// A file's or a directory's number.
pub(super) type Id = u64;

/// The directory that paths begin from.
pub(super) const ROOT: Id = 1;

/// A file: as processes see it, and as its last sync left it.
#[derive(Debug, Clone)]
pub(super) struct File {
    pub(super) live: Arc<Content>,
    pub(super) durable: Arc<Content>,
}

pub(super) type Names = BTreeMap<OsString, Id>;

/// A directory: as processes see it, and as its last sync left it.
#[derive(Debug, Clone, Default)]
pub(super) struct Dir {
    pub(super) live: Names,
    pub(super) durable: Names,
}

/// What a name in a directory became: which file, or none.
pub(super) type Entry = (Id, OsString, Option<Id>);

/// All of it. Files are never forgotten: a name that was removed may come back with a power cut.
#[derive(Debug, Clone)]
pub(super) struct Disk {
    pub(super) files: BTreeMap<Id, File>,
    pub(super) dirs: BTreeMap<Id, Dir>,
    /// Changes of names that no sync covers yet, in their order; each is done whole or not at all.
    pub(super) pending: Vec<Vec<Entry>>,
    pub(super) outside: BTreeMap<std::path::PathBuf, Arc<Content>>,
    next: Id,
    clock: SystemTime,
}

impl Disk {
    pub(super) fn new() -> Self {
        Self {
            files: BTreeMap::new(),
            dirs: BTreeMap::from([(ROOT, Dir::default())]),
            pending: Vec::new(),
            outside: BTreeMap::new(),
            next: ROOT + 1,
            clock: SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000),
        }
    }

    /// Returns a time that is later than all before, by a second and a bit.
    pub(super) fn now(&mut self) -> SystemTime {
        self.clock += Duration::from_nanos(1_000_000_007);
        self.clock
    }

    /// Returns what a path names.
    pub(super) fn find(&self, path: &Path) -> io::Result<Option<Id>> {
        let mut id = ROOT;
        for component in path.components() {
            let dir = self.dirs.get(&id).ok_or(io::ErrorKind::NotADirectory)?;
            match dir.live.get(plain(component)?) {
                Some(child) => id = *child,
                None => return Ok(None),
            }
        }
        Ok(Some(id))
    }

    /// Returns what a path names, which must be there.
    pub(super) fn existing(&self, path: &Path) -> io::Result<Id> {
        self.find(path)?.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Returns the directory of a path, and the last name.
    pub(super) fn place(&self, path: &Path) -> io::Result<(Id, OsString)> {
        let name = plain(path.components().next_back().ok_or(io::ErrorKind::InvalidInput)?)?;
        let dir = self.existing(path.parent().unwrap_or_else(|| Path::new("")))?;
        if self.dirs.contains_key(&dir) {
            Ok((dir, name.into()))
        } else {
            Err(io::ErrorKind::NotADirectory.into())
        }
    }

    /// Returns the place of a path that must be free.
    pub(super) fn free_place(&self, path: &Path) -> io::Result<(Id, OsString)> {
        match self.find(path)? {
            Some(_) => Err(io::ErrorKind::AlreadyExists.into()),
            None => self.place(path),
        }
    }

    pub(super) fn file(&self, path: &Path) -> io::Result<&File> {
        let id = self.existing(path)?;
        self.files.get(&id).ok_or_else(|| io::ErrorKind::IsADirectory.into())
    }

    pub(super) fn file_mut(&mut self, path: &Path) -> io::Result<&mut File> {
        let id = self.existing(path)?;
        self.files.get_mut(&id).ok_or_else(|| io::ErrorKind::IsADirectory.into())
    }

    /// Makes an empty file; its content is durable only after a sync.
    pub(super) fn make_file(&mut self, path: &Path) -> io::Result<Id> {
        let (dir, name) = self.free_place(path)?;
        let modified = self.now();
        let empty = Arc::new(Content { size: 0, bytes: BTreeMap::new(), modified });
        let id = self.number();
        self.files.insert(id, File { live: empty.clone(), durable: empty });
        self.change(vec![(dir, name, Some(id))]);
        Ok(id)
    }

    pub(super) fn make_dir(&mut self, path: &Path) -> io::Result<()> {
        let (dir, name) = self.free_place(path)?;
        let id = self.number();
        self.dirs.insert(id, Dir::default());
        self.change(vec![(dir, name, Some(id))]);
        Ok(())
    }

    fn number(&mut self) -> Id {
        self.next += 1;
        self.next - 1
    }

    /// Changes names as processes see them.
    pub(super) fn change(&mut self, entries: Vec<Entry>) {
        for (dir, name, id) in &entries {
            if let Some(dir) = self.dirs.get_mut(dir) {
                set(&mut dir.live, name, *id);
            }
        }
        self.pending.push(entries);
    }

    /// Makes the names in `dir` durable, with the changes that they depend on.
    pub(super) fn sync_dir(&mut self, dir: Id) {
        let mut dirs = BTreeSet::from([dir]);
        let mut covered = BTreeSet::new();
        // A rename between two directories takes along what the other one had before.
        for (at, entries) in self.pending.iter().enumerate().rev() {
            if entries.iter().any(|(of, ..)| dirs.contains(of)) {
                dirs.extend(entries.iter().map(|(of, ..)| *of));
                covered.insert(at);
            }
        }
        let (durable, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.pending)
            .into_iter()
            .enumerate()
            .partition(|(at, _)| covered.contains(at));
        self.pending = rest.into_iter().map(|(_, entries)| entries).collect();
        let durable = durable.into_iter().map(|(_, entries)| entries).collect();
        self.make_durable(durable);
    }

    pub(super) fn make_durable(&mut self, changes: Vec<Vec<Entry>>) {
        for (dir, name, id) in changes.into_iter().flatten() {
            if let Some(dir) = self.dirs.get_mut(&dir) {
                set(&mut dir.durable, &name, id);
            }
        }
    }

    /// Returns how many names a file has.
    pub(super) fn links(&self, id: Id) -> u64 {
        let names = self.dirs.values().flat_map(|dir| dir.live.values());
        names.filter(|named| **named == id).count() as u64
    }
}

fn set(names: &mut Names, name: &OsStr, id: Option<Id>) {
    match id {
        Some(id) => names.insert(name.into(), id),
        None => names.remove(name),
    };
}

fn plain(component: Component<'_>) -> io::Result<&OsStr> {
    match component {
        Component::Normal(name) if name.len() > 255 => Err(Errno::ENAMETOOLONG.into()),
        Component::Normal(name) => Ok(name),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}
