//! A file or a block device, opened once, and what is known of it.

use super::Node;
use crate::{
    Error, Result,
    error::{Refusal, RefusalKind},
};
use ebbtide_format::units::Bytes;
use nix::libc;
use std::{
    fs::{File, Metadata, OpenOptions},
    io::{self, Seek as _, SeekFrom},
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// What it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A block device.
    Device,
}

/// A file or a block device that is open.
#[derive(Debug)]
pub struct Disk {
    /// As it was named.
    pub path: PathBuf,
    /// The descriptor.
    pub file: File,
    /// What it is.
    pub kind: Kind,
    /// Its length.
    pub size: Bytes,
    /// What it is, by whatever name.
    pub node: Node,
    /// When it was last written to, as the file system says: seconds since 1970, and nanoseconds.
    pub modified: (i64, u32),
}

impl Disk {
    /// Opens it to be read.
    ///
    /// # Errors
    /// It is missing, cannot be read, or is neither a file nor a block device.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_as(path, OpenOptions::new().read(true))
    }

    /// Opens it to be read and written; a block device for ourselves alone, so one that is mounted or mapped is busy.
    ///
    /// # Errors
    /// As [`Disk::open`].
    pub fn open_to_write(path: &Path) -> Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        // Without O_CREAT, O_EXCL is for devices only; open(2).
        if std::fs::metadata(path).is_ok_and(|found| found.file_type().is_block_device()) {
            options.custom_flags(libc::O_EXCL);
            return Self::opened(path, options.open(path));
        }
        Self::open_as(path, &mut options)
    }

    fn open_as(path: &Path, options: &mut OpenOptions) -> Result<Self> {
        // Opening a pipe does not wait.
        Self::opened(path, options.custom_flags(libc::O_NONBLOCK).open(path))
    }

    /// Takes what is open already.
    ///
    /// # Errors
    /// It is neither a file nor a block device.
    pub(crate) fn of(path: &Path, file: File) -> Result<Self> {
        Self::opened(path, Ok(file))
    }

    fn opened(path: &Path, opened: io::Result<File>) -> Result<Self> {
        let failed = || Error::doing(format!("open {}", path.display()));
        let file = opened.map_err(failed())?;
        let found = file.metadata().map_err(failed())?;
        let kind = match found.file_type() {
            kind if kind.is_file() => Kind::File,
            kind if kind.is_block_device() => Kind::Device,
            _ => {
                let text = format!("{} is neither a file nor a block device", path.display());
                return Err(Refusal::new(RefusalKind::Unable, text).into());
            }
        };
        // A device has a length only to those who look for its end.
        let size = (&file).seek(SeekFrom::End(0)).map_err(failed())?;
        let nanoseconds = u32::try_from(found.mtime_nsec()).unwrap_or_default();
        Ok(Self {
            path: path.into(),
            file,
            kind,
            size: Bytes(size),
            node: Node::of(&found),
            modified: (found.mtime(), nanoseconds),
        })
    }

    /// Returns whether what was looked at is this file, or this device by whatever name.
    pub(super) fn is(&self, found: &Metadata) -> bool {
        self.node == Node::of(found)
    }

    /// Asserts that a file is what it was when it was opened: not everybody locks what he writes to.
    ///
    /// # Errors
    /// Somebody wrote to it. A device cannot tell.
    pub(super) fn is_steady(&self) -> Result<()> {
        let found = self
            .file
            .metadata()
            .map_err(Error::doing(format_args!("look at {}", self.path.display())))?;
        let time = (found.mtime(), u32::try_from(found.mtime_nsec()).unwrap_or_default());
        if self.kind == Kind::Device || (found.len(), time) == (self.size.0, self.modified) {
            return Ok(());
        }
        let text = format!("somebody writes to {}", self.path.display());
        Err(Refusal::new(RefusalKind::Busy, text).hint("stop it, and merge again").into())
    }

    /// Returns whether two names are of one file, or of one device.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.node == other.node
    }
}
