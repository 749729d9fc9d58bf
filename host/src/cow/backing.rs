//! The backing of a COW file: found, and proved to be the one that was written over.

use super::{
    Cow, Disk,
    image::{self, Recorded},
};
use crate::{
    Error, Result,
    error::{Refusal, RefusalKind},
};
use ebbtide_format::units::Bytes;
use jiff::Timestamp;
use std::{
    io,
    path::{Path, PathBuf},
};

/// The backing of a COW file.
#[derive(Debug)]
pub struct Backing {
    /// The file or the device, open to be read.
    pub disk: Disk,
}

/// Why a file is not the backing of a COW file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mismatch {
    /// It has another size.
    Size {
        /// What the COW file says.
        wanted: Bytes,
        /// What it has.
        found: Bytes,
    },
    /// It was written to since.
    Modified {
        /// What the COW file says, in seconds since 1970.
        wanted: u32,
        /// When it was last written to, in seconds since 1970.
        found: i64,
    },
}

impl Backing {
    /// Opens the backing of a COW file: `given`, or else what the COW file names.
    ///
    /// # Errors
    /// None is named; it is missing, or cannot be opened; it is a COW file, or that COW file itself; it has another size or
    /// was written to since.
    pub fn find(cow: &Cow, given: Option<&Path>) -> Result<Self> {
        let backing = Self::open(cow, given)?;
        match cow.recorded().and_then(|recorded| backing.mismatch(&recorded)) {
            Some(mismatch) => Err(backing.refusal(cow, &mismatch).into()),
            None => Ok(backing),
        }
    }

    /// Opens it without a look at size and time.
    ///
    /// # Errors
    /// As [`Backing::find`], but for those.
    pub fn open(cow: &Cow, given: Option<&Path>) -> Result<Self> {
        let path = path(cow, given)?;
        let disk = Disk::open(&path).map_err(|error| match (error.io_kind(), given) {
            (Some(io::ErrorKind::NotFound), None) => missing(cow, &path).into(),
            _ => error,
        })?;
        let refuse = |text: String| Err(Error::from(Refusal::new(RefusalKind::Rule, text)));
        if disk.is_same(&cow.disk) {
            let (cow, path) = (cow.disk.path.display(), path.display());
            return refuse(format!("{path} is {cow} itself, and cannot be its backing file"));
        }
        if image::is_cow(&image::head(&disk, 0)?) {
            let cow = cow.disk.path.display();
            return refuse(format!(
                "{} is a COW file, and cannot be the backing file of {cow}",
                path.display()
            ));
        }
        Ok(Self { disk })
    }

    /// Returns the size of the device that the COW file was written as.
    #[must_use]
    pub const fn size(&self) -> Bytes {
        self.disk.size
    }

    /// Returns why it is not what a COW file says of its backing.
    #[must_use]
    pub fn mismatch(&self, recorded: &Recorded) -> Option<Mismatch> {
        if self.disk.size != recorded.size {
            return Some(Mismatch::Size { wanted: recorded.size, found: self.disk.size });
        }
        let found = self.disk.modified.0;
        // The COW file has room for 32 bits of it.
        let is_same = found.rem_euclid(1 << 32) == i64::from(recorded.modified);
        (!is_same).then_some(Mismatch::Modified { wanted: recorded.modified, found })
    }

    fn refusal(&self, cow: &Cow, mismatch: &Mismatch) -> Refusal {
        let (cow, path) = (cow.disk.path.display(), self.disk.path.display());
        match mismatch {
            Mismatch::Size { wanted, found } => Refusal::new(
                RefusalKind::Rule,
                format!("{cow} was made for a backing file of {wanted}; {path} has {found}"),
            ),
            Mismatch::Modified { wanted, found } => Refusal::new(
                RefusalKind::Rule,
                format!(
                    "{cow} was made for a backing file that was last written to at {}; {path} was at {}",
                    time((*wanted).into()),
                    time(*found)
                ),
            )
            .hint(format!(
                "if its content is the same, 'ebbtide cow move --mtime record {cow} {path}' makes them fit"
            )),
        }
    }
}

/// Returns where the backing is.
fn path(cow: &Cow, given: Option<&Path>) -> Result<PathBuf> {
    if let Some(given) = given {
        return Ok(given.into());
    }
    match cow.recorded() {
        Some(recorded) => Ok(resolved(&recorded.backing, &cow.disk.path)),
        None => {
            let text = format!("{} does not say what it was written over", cow.disk.path.display());
            Err(Refusal::new(RefusalKind::Invalid, text).hint("give --backing FILE").into())
        }
    }
}

/// Returns where a path leads that the COW file at `cow` records.
pub(super) fn resolved(recorded: &Path, cow: &Path) -> PathBuf {
    cow.parent().unwrap_or(Path::new("")).join(recorded)
}

fn missing(cow: &Cow, path: &Path) -> Refusal {
    let (cow, path) = (cow.disk.path.display(), path.display());
    let text = format!("{cow} was written over {path}, which is missing");
    Refusal::new(RefusalKind::Missing, text).hint(format!(
        "give it by --backing FILE, or let 'ebbtide cow move {cow} NEW-BACKING' record where it is"
    ))
}

/// Returns a time for people, and for whoever compares them.
fn time(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or_else(|_| format!("{seconds} s"), |time| time.to_string())
}
