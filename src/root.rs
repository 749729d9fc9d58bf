//! The directory below which the machine is looked at: `/`, or a folder that looks like one.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

/// The most that an attribute in sysfs holds.
const PAGE: usize = 4096;

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

    /// Reads a text file; a file that is not there, or whose device is not, is an empty text.
    ///
    /// # Errors
    /// Any other failure, with the path in it.
    pub(crate) fn read(&self, below: impl AsRef<Path>) -> io::Result<String> {
        self.read_until(below, |part| part.is_empty())
    }

    /// Reads an attribute, without the blanks around it, in one go: sysfs gives a whole attribute to
    /// a read that has room for a page. One that is not there is an empty text.
    ///
    /// # Errors
    /// Any other failure, with the path in it.
    pub(crate) fn attribute(&self, below: impl AsRef<Path>) -> io::Result<String> {
        let text = self.read_until(below, |part| part.len() < PAGE)?;
        Ok(text.trim().to_string())
    }

    /// Reads parts of at most a page, up to the last one. The files here have no size to ask for.
    fn read_until(
        &self,
        below: impl AsRef<Path>,
        is_last: impl Fn(&[u8]) -> bool,
    ) -> io::Result<String> {
        let path = self.path(below);
        let read = || {
            let mut file = fs::File::open(&path)?;
            let (mut bytes, mut part) = (Vec::new(), [0; PAGE]);
            loop {
                let part = match file.read(&mut part) {
                    Ok(length) => &part[..length],
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => return Err(error),
                };
                bytes.extend_from_slice(part);
                if is_last(part) {
                    return Ok(bytes);
                }
            }
        };
        match read() {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) if is_absence(&error) => Ok(String::new()),
            Err(error) => Err(named(&path, &error)),
        }
    }

    /// Tells whether there is something at a path.
    pub(crate) fn has(&self, below: impl AsRef<Path>) -> bool {
        self.path(below).exists()
    }
}

/// Tells whether an error means that there is nothing to read: no file; a device that has gone since
/// the folder was listed; an attribute that a driver has and its device does not.
fn is_absence(error: &io::Error) -> bool {
    use nix::libc::{ENODEV, ENOENT, ENXIO, EOPNOTSUPP};
    matches!(error.raw_os_error(), Some(ENODEV | ENOENT | ENXIO | EOPNOTSUPP))
}

/// Puts the path into an error, which knows only its number.
pub(crate) fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
