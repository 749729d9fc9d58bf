//! Files as wholes: new ones that have their name when they are whole, clones and sparse copies, and which parts are data.
//!
//! In: open files and paths, of a pool or outside of it. Out: files, and the kernel's errors as they are; who calls
//! names the operation.

mod data;
pub(crate) mod outside;
mod progress;
pub(crate) mod share;
pub(crate) mod sparse;
pub(crate) mod whole;

pub(crate) use data::{all_data, next_data, united};
pub use progress::{Progress, Unseen};

use nix::{errno::Errno, libc};
use std::{
    fs::OpenOptions,
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

/// Returns whether the error says that these two files cannot share extents; every other one is a failure.
pub(crate) fn cannot_share(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(
        errno,
        Some(
            Errno::EBADF
                | Errno::EINVAL
                | Errno::EOPNOTSUPP
                | Errno::EXDEV
                | Errno::ENOTTY
                | Errno::ENOSYS
        )
    )
}

/// Makes the names in a directory durable.
pub(crate) fn sync_names(dir: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(libc::O_DIRECTORY | libc::O_CLOEXEC);
    options.open(dir)?.sync_all()
}

pub(crate) fn no_image(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("{} is no regular file", path.display()))
}

/// Returns where a small file is written before it is renamed into place.
pub(crate) fn aside(file: &Path) -> PathBuf {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    file.with_file_name(format!(".aside-{name}"))
}
