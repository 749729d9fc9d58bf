//! The backing of a COW file: found, and proved to be the one that was written over.

use super::{
    Cow, Disk, Kind,
    image::Recorded,
    marker::{self, Identity, Marker, Since},
    nested::nested,
    others::directories,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    /// Opens the backing of a COW file: `given`, or else what the COW file names. A relative name is one below the current
    /// directory, as it is to user-mode Linux and its tools.
    ///
    /// A merge of this very COW file into it that is unfinished is no obstacle: it overwrote nothing but what is in the COW
    /// file.
    ///
    /// # Errors
    /// None is named; it is missing, or cannot be opened; it is a COW file, or that COW file itself; it has another size or
    /// was written to since; a merge of another COW file into it is unfinished, or came after the last write to this one.
    pub fn find(cow: &Cow, given: Option<&Path>) -> Result<Self> {
        let backing = Self::open(cow, given)?;
        let unfinished = backing.unfinished(cow)?;
        backing.is_overtaken(cow)?;
        let mismatch = cow.recorded().and_then(|recorded| backing.mismatch(&recorded));
        match (mismatch, unfinished) {
            (None, _) | (Some(Mismatch::Modified { .. }), true) => Ok(backing),
            (Some(mismatch), _) => Err(backing.refusal(cow, mismatch).into()),
        }
    }

    /// Opens it without a look at size, time, and merges into it.
    ///
    /// # Errors
    /// As [`Backing::find`], but for those.
    pub fn open(cow: &Cow, given: Option<&Path>) -> Result<Self> {
        let path = named(cow, given)?;
        let disk = Disk::open(&path).map_err(|error| match (error.io_kind(), given) {
            (Some(io::ErrorKind::NotFound), None) => missing(cow, &path).into(),
            _ => error,
        })?;
        let refuse = |text: String| Err(Error::from(Refusal::new(RefusalKind::Rule, text)));
        if disk.is_same(&cow.disk) {
            let (cow, path) = (cow.disk.path.display(), path.display());
            return refuse(format!("{path} is {cow} itself, and cannot be its own backing"));
        }
        if let Some(found) = nested(&disk)? {
            let (cow, path) = (cow.disk.path.display(), path.display());
            return refuse(format!("{path} is {found}, and cannot be the backing of {cow}"));
        }
        Ok(Self { disk })
    }

    /// Returns the size of the device that was written to.
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

    /// Returns the marker of a merge in place into it, and where that lies; none for two devices, where only who began it
    /// knows its place.
    ///
    /// # Errors
    /// It cannot be read, or is no marker.
    pub fn marker(&self, cow: &Cow) -> Result<Option<(PathBuf, Marker)>> {
        let Ok(file) = marker::beside(&cow.disk, &self.disk, None) else { return Ok(None) };
        Ok(marker::read(&file)?.map(|marker| (file, marker)))
    }

    /// Returns whether a merge of this COW file into it is unfinished, so that it has another time. What was put in its
    /// place since is known by its own.
    ///
    /// # Errors
    /// One of another COW file is.
    pub(super) fn unfinished(&self, cow: &Cow) -> Result<bool> {
        let elsewhere = self.elsewhere(cow, &[])?;
        if let Some((file, marker)) = elsewhere.iter().find(|(_, marker)| marker.is_unfinished()) {
            return Err(marker.unfinished(file).into());
        }
        let found = self.marker(cow)?;
        let Some((file, marker)) = found.filter(|(_, marker)| marker.is_unfinished()) else {
            return Ok(false);
        };
        if is_of(&marker, cow)? {
            return Ok(marker.backing.is_still(&identity(&self.disk)?));
        }
        Err(marker.unfinished(&file).into())
    }

    /// Looks whether another COW file was merged into it after the last write to this one.
    ///
    /// # Errors
    /// One was.
    pub(super) fn is_overtaken(&self, cow: &Cow) -> Result<()> {
        for (file, marker) in self.marker(cow)?.into_iter().chain(self.elsewhere(cow, &[])?) {
            if let Some(refusal) = self.overtaken(cow, &file, &marker)? {
                return Err(refusal.into());
            }
        }
        Ok(())
    }

    /// Returns markers of merges of other COW files into it, if it is a device, from the directory of the COW file and `dirs`.
    ///
    /// # Errors
    /// A directory cannot be read.
    pub(super) fn elsewhere(&self, cow: &Cow, dirs: &[PathBuf]) -> Result<Vec<(PathBuf, Marker)>> {
        if self.disk.kind == Kind::File {
            return Ok(Vec::new());
        }
        let dirs = directories(&[&cow.disk], dirs)?;
        marker::elsewhere(Some(&identity(&cow.disk)?), &self.disk, &dirs)
    }

    /// Returns what is said of a COW file over which the merge of another one has gone, as the marker in `file` has it.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn overtaken(
        &self,
        cow: &Cow,
        file: &Path,
        marker: &Marker,
    ) -> Result<Option<Refusal>> {
        let (cow_now, backing_now) = (identity(&cow.disk)?, identity(&self.disk)?);
        let Some((other, at)) = marker.overtook(&cow_now, &backing_now) else { return Ok(None) };
        let (path, cow) = (self.disk.path.display(), cow.disk.path.display());
        // The one that was merged may have had this one's place.
        let newer = if other == cow_now.path { "a newer " } else { "" };
        let text = format!(
            "{path} is not what {cow} was written over: {newer}{} was merged into it at {at}, after the last write to {cow}",
            other.display()
        );
        let hint = format!("if {path} was put back as it was before, remove {}", file.display());
        Ok(Some(Refusal::new(RefusalKind::Rule, text).hint(hint)))
    }

    /// Returns what is said of that.
    pub(super) fn refusal(&self, cow: &Cow, mismatch: Mismatch) -> Refusal {
        let (cow, path) = (cow.disk.path.display(), self.disk.path.display());
        match mismatch {
            Mismatch::Size { wanted, found } => {
                let text = format!("{cow} was written over a file of {wanted}; {path} has {found}");
                Refusal::new(RefusalKind::Rule, text)
            }
            Mismatch::Modified { wanted, found } => {
                let (wanted, found) = (time(wanted.into()), time(found));
                let text = format!(
                    "{cow} was written over a file that was last written to at {wanted}; {path} was at {found}"
                );
                Refusal::new(RefusalKind::Rule, text).hint(format!(
                    "if its content is the same all the same, 'ebbtide cow move --mtime record {cow} {path}' says so"
                ))
            }
        }
    }
}

/// Returns whether the merge that a marker tells of is one of this COW file, as it is.
///
/// # Errors
/// The kernel's.
pub fn is_of(marker: &Marker, cow: &Cow) -> Result<bool> {
    Ok(marker.cow.since(&identity(&cow.disk)?) == Since::Same)
}

/// Returns what a file or a device is known again by, as it is now.
pub(super) fn identity(disk: &Disk) -> Result<Identity> {
    Identity::of(disk).map_err(Error::doing(format!("look at {}", disk.path.display())))
}

/// Returns where the backing is: `given`, or else what the COW file names.
///
/// # Errors
/// None is named.
pub fn named(cow: &Cow, given: Option<&Path>) -> Result<PathBuf> {
    if let Some(given) = given {
        return Ok(given.into());
    }
    cow.recorded().map(|recorded| recorded.backing).ok_or_else(|| {
        let text = format!("{} does not say what it was written over", cow.disk.path.display());
        Refusal::new(RefusalKind::Invalid, text).hint("give --backing FILE").into()
    })
}

fn missing(cow: &Cow, path: &Path) -> Refusal {
    let (cow, shown) = (cow.disk.path.display(), path.display());
    let here = if path.is_absolute() { "" } else { ", below the current directory" };
    let text = format!("{cow} was written over {shown}{here}, which is missing");
    Refusal::new(RefusalKind::Missing, text).hint(format!(
        "give it by --backing FILE, or have 'ebbtide cow move {cow} NEW-BACKING' record where it is"
    ))
}

/// Returns a time for people, and for whoever compares them.
fn time(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or_else(|_| format!("{seconds} s"), |time| time.to_string())
}
