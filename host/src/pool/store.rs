//! The few file operations that everything in a pool is made of.
//!
//! Paths are relative to the pool. Each changing operation is one point at which a cut can fall; each is atomic
//! as far as other processes see it, and durable only after the sync that covers it.

use std::{
    ffi::OsString,
    fmt,
    fs::File,
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use ebbtide_format::units::Bytes;

pub use crate::file::{Progress, Unseen};

/// Which file it is, whatever its names are: the identity of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Inode {
    /// The file system.
    pub device: u64,
    /// The file in it.
    pub number: u64,
}

/// What kind of entry it is. Links are not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// Anything else: never ours.
    Other,
}

/// What is known of a file without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// What it is.
    pub kind: Kind,
    /// Which file it is.
    pub inode: Inode,
    /// Its length.
    pub size: Bytes,
    /// What it takes on the disk, shared parts too.
    pub allocated: Bytes,
    /// When its content was last changed.
    pub modified: SystemTime,
    /// Number of names.
    pub links: u64,
}

/// Keeps something locked until it is dropped, or all who have its descriptor are gone.
pub type Lock = Box<dyn Held>;

/// A lock that is held.
pub trait Held: fmt::Debug + Send + Sync {
    /// Returns the open file that carries the lock, readable and writable, so that another program can inherit it.
    /// `None` where locks are no files.
    fn file(&self) -> Option<&File>;
}

/// Returns the error of an image that would be made smaller by growing.
pub(crate) fn too_large(path: &Path, found: Bytes) -> io::Error {
    let text = format!("{} has {found}: it would be cut off", path.display());
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

/// Whether a lock is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Until it is free, a minute at most (`TimedOut`).
    Yes,
    /// For 100 ms (`TimedOut`): long enough for whoever only looks whether it is locked.
    Briefly,
    /// `WouldBlock` at once when it is not.
    No,
}

/// Files below a pool's directory.
///
/// # Errors
/// Every method returns the kernel's error as it is; who calls names the operation.
pub trait Store: fmt::Debug + Send + Sync {
    /// Returns the path outside of the pool, for engines and messages.
    fn real(&self, path: &Path) -> PathBuf;

    /// Returns the names in a directory, sorted, without `.` and `..`.
    fn names(&self, dir: &Path) -> io::Result<Vec<OsString>>;

    /// Returns what is known of a file, `None` when it is not there. Links are not followed.
    fn stat(&self, path: &Path) -> io::Result<Option<Stat>>;

    /// Returns the content of a small file (records, at most 1 MiB; larger is `InvalidData`).
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// Locks a file exclusively (`flock(2)`); it is made when it is missing, and is never removed.
    fn lock(&self, path: &Path, wait: Wait) -> io::Result<Lock>;

    /// Returns whether somebody has a file locked exclusively. Makes nothing: a missing file is not locked. Whoever
    /// looks has it locked, together with others who look, for that moment.
    fn is_locked(&self, path: &Path) -> io::Result<bool>;

    // From here on: changes.

    /// Makes a directory; `AlreadyExists` when it is there.
    fn make_dir(&self, path: &Path) -> io::Result<()>;

    /// Makes a new sparse image of `size` zeros; `AlreadyExists` when it is there.
    fn make_image(&self, path: &Path, size: Bytes) -> io::Result<()>;

    /// Makes `to` a new file with the content of `from`, sharing or copying as the driver does. `to` must not
    /// exist. When it fails, `to` is not there. Its modification time is unspecified.
    fn clone_image(&self, from: &Path, to: &Path, progress: &mut dyn Progress) -> io::Result<()>;

    /// Like [`Store::clone_image`] from a file outside of the pool; sparse, sharing where that is possible.
    fn take_in(&self, outside: &Path, to: &Path, progress: &mut dyn Progress) -> io::Result<()>;

    /// Makes a new file outside of the pool with the content of `from`, sparse, sharing where that is possible, and
    /// durable when it returns; `AlreadyExists` when it is there. It is there when it is whole, and not before.
    fn give_out(&self, from: &Path, outside: &Path, progress: &mut dyn Progress) -> io::Result<()>;

    /// Makes a new file `path` with this content; `AlreadyExists` when it is there.
    fn write_new(&self, path: &Path, content: &[u8]) -> io::Result<()>;

    /// Gives a file another name too; `AlreadyExists` when that is there.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Renames a file or a directory. A file at `to` is replaced; also when both are names of one file, which
    /// rename(2) would leave both.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a name of a file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Removes an empty directory; `DirectoryNotEmpty` when it is not.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;

    /// Makes an image larger; `InvalidInput` when that would make it smaller.
    fn grow(&self, path: &Path, size: Bytes) -> io::Result<()>;

    /// Sets the modification time.
    fn set_modified(&self, path: &Path, time: SystemTime) -> io::Result<()>;

    /// Makes the content and the length of a file durable.
    fn sync_file(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
}
