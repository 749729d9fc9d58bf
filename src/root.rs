//! The directory below which the machine is looked at: `/`, or a folder that looks like one.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// A root directory.
#[derive(Clone, Debug)]
pub(crate) struct Root(PathBuf);

impl Root {
    /// Returns the root at `path`.
    pub(crate) fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Returns a path below it; `below` does not begin with a slash.
    pub(crate) fn path(&self, below: impl AsRef<Path>) -> PathBuf {
        self.0.join(below)
    }

    /// Reads a text file; a file that is not there is an empty text.
    ///
    /// # Errors
    /// Any other failure, with the path in it.
    pub(crate) fn read(&self, below: impl AsRef<Path>) -> io::Result<String> {
        let path = self.path(below);
        match fs::read(&path) {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            Err(error) => Err(named(&path, &error)),
        }
    }

    /// Tells whether there is something at a path.
    pub(crate) fn has(&self, below: impl AsRef<Path>) -> bool {
        self.path(below).exists()
    }
}

/// Puts the path into an error, which knows only its number.
pub(crate) fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
