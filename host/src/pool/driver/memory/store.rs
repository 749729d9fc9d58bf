//! The operations of a store, over the disk in memory.

use super::{
    MemoryStore,
    content::{Content, allocated},
    disk::{File, ROOT},
};
use crate::pool::store::{Inode, Kind, Lock, Progress, Stat, Store, Wait, too_large};
use ebbtide_format::units::Bytes;
use std::{
    collections::BTreeMap,
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

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
