//! The files of a pool in a directory of this machine.
//!
//! In: paths relative to the pool's directory. Out: files below it. How a clone is made is the store's one difference:
//! [`LinuxStore::reflink`] shares extents, [`LinuxStore::copy`] copies what is not zero.

mod locked;
mod probe;

pub use probe::{FileSystem, name, probe};

use crate::{
    file::{cannot_share, no_image, outside, share::share, sparse, sync_names, whole},
    pool::store::{Inode, Kind, Lock, Progress, Stat, Store, Wait, too_large},
};
use ebbtide_format::units::Bytes;
use nix::libc;
use std::{
    ffi::OsString,
    fs::{self, DirBuilder, File, Metadata, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Component, Path, PathBuf},
    time::SystemTime,
};

/// The largest file that [`Store::read`] reads.
const LARGEST_RECORD: u64 = 1 << 20;

/// Files below a directory of this machine.
#[derive(Debug)]
pub struct LinuxStore {
    dir: PathBuf,
    cloning: Cloning,
}

/// How a file gets the content of another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cloning {
    /// Both share their extents, and nothing is copied.
    Share,
    /// What is not zero is copied.
    Copy,
}

impl LinuxStore {
    /// Returns a store in `dir`, an absolute path, whose clones share their extents (`FICLONERANGE`): for btrfs, XFS and
    /// whatever else [`probe`] finds to clone.
    #[must_use]
    pub fn reflink(dir: &Path) -> Self {
        Self { dir: dir.into(), cloning: Cloning::Share }
    }

    /// Returns a store in `dir`, an absolute path, whose clones are sparse copies: for every file system.
    #[must_use]
    pub fn copy(dir: &Path) -> Self {
        Self { dir: dir.into(), cloning: Cloning::Copy }
    }

    /// Returns where a path of the pool is.
    ///
    /// # Errors
    /// `InvalidInput` for one that leads out of the pool.
    fn at(&self, path: &Path) -> io::Result<PathBuf> {
        let is_inside =
            path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if is_inside {
            Ok(self.dir.join(path))
        } else {
            let text = format!("{} is no path below the pool", path.display());
            Err(io::Error::new(io::ErrorKind::InvalidInput, text))
        }
    }

    /// Opens a file of the pool to read it or to change what is known of it.
    fn open(&self, path: &Path) -> io::Result<File> {
        reading().open(self.at(path)?)
    }

    /// Opens an image of the pool.
    fn open_image(&self, path: &Path) -> io::Result<File> {
        let file = self.open(path)?;
        if file.metadata()?.is_file() { Ok(file) } else { Err(no_image(path)) }
    }
}

/// A link is not followed, and opening a pipe does not wait.
fn reading() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC);
    options
}

/// Makes a file that only its owner may read, for it holds somebody's disk, and fills it. It is removed again when that
/// fails.
fn make(path: &Path, fill: impl FnOnce(&File) -> io::Result<()>) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(0o600).custom_flags(libc::O_CLOEXEC);
    fill(&options.open(path)?).inspect_err(|_| {
        if let Err(error) = fs::remove_file(path) {
            log::warn!("{} is left behind: {error}", path.display());
        }
    })
}

/// Makes `to` a clone where that is possible, else a sparse copy.
fn share_or_copy(from: &File, to: &File, progress: &mut dyn Progress) -> io::Result<()> {
    match share(from, to, progress) {
        Err(error) if cannot_share(&error) => {
            log::debug!("copies instead of cloning: {error}");
            to.set_len(0)?;
            sparse::copy(from, to, progress)
        }
        ended => ended,
    }
}

fn stat_of(found: &Metadata) -> Stat {
    let kind = match found.file_type() {
        kind if kind.is_file() => Kind::File,
        kind if kind.is_dir() => Kind::Directory,
        _ => Kind::Other,
    };
    Stat {
        kind,
        inode: inode_of(found),
        size: Bytes(found.len()),
        allocated: Bytes(found.blocks() * 512),
        modified: found.modified().unwrap_or(SystemTime::UNIX_EPOCH),
        links: found.nlink(),
    }
}

fn inode_of(found: &Metadata) -> Inode {
    Inode { device: found.dev(), number: found.ino() }
}

/// Returns whether both paths are the same name, by whatever way they lead to its directory.
fn is_same_name(one: &Path, other: &Path) -> io::Result<bool> {
    let (Some(from), Some(to)) = (one.parent(), other.parent()) else { return Ok(one == other) };
    let same_dir = inode_of(&fs::metadata(from)?) == inode_of(&fs::metadata(to)?);
    Ok(same_dir && one.file_name() == other.file_name())
}

impl Store for LinuxStore {
    fn real(&self, path: &Path) -> PathBuf {
        self.dir.join(path)
    }

    fn names(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        let entries = fs::read_dir(self.at(dir)?)?;
        let mut names: Vec<_> =
            entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<_>>()?;
        names.sort_unstable();
        Ok(names)
    }

    fn stat(&self, path: &Path) -> io::Result<Option<Stat>> {
        match fs::symlink_metadata(self.at(path)?) {
            Ok(found) => Ok(Some(stat_of(&found))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let file = self.open(path)?;
        let found = file.metadata()?;
        if !found.is_file() {
            return Err(no_image(path));
        }
        // Room for one byte more, which is how the first read finds the end.
        let room = found.len().min(LARGEST_RECORD) as usize + 1;
        let mut content = Vec::with_capacity(room);
        file.take(LARGEST_RECORD + 1).read_to_end(&mut content)?;
        if content.len() as u64 > LARGEST_RECORD {
            let text = format!("{} has more than 1 MiB and is no record", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        Ok(content)
    }

    fn lock(&self, path: &Path, wait: Wait) -> io::Result<Lock> {
        Ok(Box::new(locked::lock(&self.at(path)?, wait)?))
    }

    fn is_locked(&self, path: &Path) -> io::Result<bool> {
        locked::is_locked(&self.at(path)?)
    }

    fn make_dir(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().mode(0o700).create(self.at(path)?)
    }

    fn make_image(&self, path: &Path, size: Bytes) -> io::Result<()> {
        make(&self.at(path)?, |file| file.set_len(size.0))
    }

    fn clone_image(&self, from: &Path, to: &Path, progress: &mut dyn Progress) -> io::Result<()> {
        let from = self.open_image(from)?;
        make(&self.at(to)?, |to| match self.cloning {
            Cloning::Share => share(&from, to, progress),
            Cloning::Copy => sparse::copy(&from, to, progress),
        })
    }

    fn take_in(&self, outside: &Path, to: &Path, progress: &mut dyn Progress) -> io::Result<()> {
        let from = outside::open(outside)?;
        make(&self.at(to)?, |to| outside::take(&from, to, progress))
    }

    fn give_out(&self, from: &Path, outside: &Path, progress: &mut dyn Progress) -> io::Result<()> {
        let from = self.open_image(from)?;
        whole::make(outside, |to| share_or_copy(&from, to, progress))
    }

    fn write_new(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        make(&self.at(path)?, |mut file| file.write_all(content))
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(self.at(from)?, self.at(to)?)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (self.at(from)?, self.at(to)?);
        let old = fs::symlink_metadata(&from)?;
        match fs::symlink_metadata(&to) {
            // rename(2) does nothing with two names of one file.
            Ok(new) if !old.is_dir() && inode_of(&new) == inode_of(&old) => {
                if is_same_name(&from, &to)? { Ok(()) } else { fs::remove_file(from) }
            }
            _ => fs::rename(from, to),
        }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(self.at(path)?)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(self.at(path)?)
    }

    fn grow(&self, path: &Path, size: Bytes) -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.write(true).custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC);
        let file = options.open(self.at(path)?)?;
        match file.metadata()?.len() {
            found if found > size.0 => Err(too_large(path, Bytes(found))),
            _ => file.set_len(size.0),
        }
    }

    fn set_modified(&self, path: &Path, time: SystemTime) -> io::Result<()> {
        self.open(path)?.set_modified(time)
    }

    fn sync_file(&self, path: &Path) -> io::Result<()> {
        self.open(path)?.sync_all()
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        sync_names(&self.at(path)?)
    }
}
