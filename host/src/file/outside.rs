//! A file or a disk of somebody else becomes a file of the pool.
//!
//! Whoever it belongs to may write to it meanwhile. A clone of the whole is one moment of it; a copy is not, so a file
//! that is not afterwards what it was before is refused.

use super::{Progress, cannot_share, no_image, sparse};
use ebbtide_format::units::Bytes;
use ebbtide_sys::reflink;
use nix::{errno::Errno, libc};
use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};

/// What a write to a file changes.
struct Seen {
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    links: u64,
}

impl Seen {
    fn of(file: &File) -> io::Result<Self> {
        let found = file.metadata()?;
        Ok(Self {
            size: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
            links: found.nlink(),
        })
    }

    /// Returns whether nobody wrote in between. Who sets the time of modification back moves that of change, which a
    /// name that is added or removed moves too.
    fn is_content_of(&self, later: &Self) -> bool {
        let is_changed = self.changed != later.changed && self.links == later.links;
        (self.size, self.modified) == (later.size, later.modified) && !is_changed
    }
}

/// Opens a file or a disk, whose name may be a link.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC);
    let file = options.open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_file() || kind.is_block_device() { Ok(file) } else { Err(no_image(path)) }
}

/// Makes `to`, an empty file, a clone of `from` where that is possible, else a sparse copy.
///
/// # Errors
/// `ResourceBusy` when `from` changed meanwhile. A disk cannot tell.
pub(crate) fn take(from: &File, to: &File, progress: &mut dyn Progress) -> io::Result<()> {
    let before = Seen::of(from)?;
    match clone(from, to, progress) {
        Err(error) if cannot_share(&error) => {
            log::debug!("copies instead of cloning: {error}");
            to.set_len(0)?;
            match sparse::copy(from, to, progress) {
                // It became shorter, which is said below.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
                ended => ended?,
            }
        }
        ended => ended?,
    }
    if before.is_content_of(&Seen::of(from)?) {
        return Ok(());
    }
    let text = "somebody wrote to it meanwhile; give it when nobody does";
    Err(io::Error::new(io::ErrorKind::ResourceBusy, text))
}

fn clone(from: &File, to: &File, progress: &mut dyn Progress) -> io::Result<()> {
    if !from.metadata()?.is_file() {
        return Err(Errno::EINVAL.into());
    }
    reflink::clone(from, to)?;
    let size = Bytes(to.metadata()?.len());
    progress.bytes(size, size);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt as _;

    /// Somebody who changes a file while it is taken.
    struct Owner<F: FnMut()>(F);

    impl<F: FnMut()> Progress for Owner<F> {
        fn bytes(&mut self, _done: Bytes, _whole: Bytes) {
            (self.0)();
        }
    }

    /// Takes a file of 3 MiB that is changed after each piece.
    fn taken(change: impl Fn(&File)) -> io::Result<()> {
        let (from, to) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        from.write_all_at(&vec![7; 3 << 20], 0).unwrap();
        from.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        take(&from, &to, &mut Owner(|| change(&from)))?;
        assert_eq!(to.metadata().unwrap().len(), 3 << 20);
        Ok(())
    }

    #[test]
    fn a_file_that_changes_meanwhile_is_refused() {
        taken(|_| {}).unwrap();
        let append = |file: &File| file.write_all_at(b"more", 3 << 20).unwrap();
        let overwrite = |file: &File| file.write_all_at(b"other", 0).unwrap();
        let shorten = |file: &File| file.set_len(1 << 20).unwrap();
        let set_back = |file: &File| {
            file.write_all_at(b"other", 0).unwrap();
            file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        };
        for change in [append, overwrite, shorten, set_back] {
            let error = taken(change).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ResourceBusy, "{error}");
        }
    }
}
