//! The backing's time of modification, by which user-mode Linux knows it again.
//!
//! In the middle of a merge the backing is neither what it was nor what it is to be, and may have any part of both after
//! a power cut. So it gets another time first, and durably: no kernel then takes it for what its COW files are over.

use crate::{
    Error, Result,
    cow::{Disk, marker::split},
    error::{Refusal, RefusalKind},
};
use jiff::Timestamp;
use nix::{
    errno::Errno,
    sys::{stat::futimens, time::TimeSpec},
};
use std::{io, os::unix::fs::MetadataExt as _};

/// Returns the time of which a COW file has the low 32 bits of the seconds: one of those that are `known`, which have the
/// rest of it, if it is one.
pub(super) fn recorded(seconds: u32, known: &[Timestamp]) -> Timestamp {
    let found = known.iter().copied().find(|time| has(*time, seconds));
    found.unwrap_or_else(|| Timestamp::from_second(i64::from(seconds)).unwrap_or_default())
}

/// Returns whether these are the low 32 bits of its seconds, which is all that a COW file records.
fn has(time: Timestamp, seconds: u32) -> bool {
    split(time).0.rem_euclid(1 << 32) == i64::from(seconds)
}

/// Asserts that the time may be set: only the owner of a file may.
///
/// # Errors
/// We are not the owner.
pub(super) fn may_set(backing: &Disk) -> Result<()> {
    let path = backing.path.display();
    let doing = || format!("look at the time of {path}");
    let found = backing.file.metadata().map_err(Error::doing(doing()))?;
    let same = TimeSpec::new(found.mtime(), found.mtime_nsec());
    match futimens(&backing.file, &TimeSpec::UTIME_OMIT, &same) {
        Ok(()) => Ok(()),
        Err(Errno::EPERM) => {
            let text = format!(
                "{path} belongs to somebody else, so its time of modification could not be set back after the merge"
            );
            let hint = "run this as its owner, or merge to a new file";
            Err(Refusal::new(RefusalKind::Unable, text).hint(hint).into())
        }
        Err(errno) => Err(Error::doing(doing())(errno.into())),
    }
}

/// Gives the backing another time than it has, durably.
///
/// # Errors
/// The kernel's.
pub(super) fn unlike(backing: &Disk, wanted: Timestamp) -> Result<()> {
    let now = Timestamp::now();
    let is_another = split(now).0 != split(wanted).0;
    let seconds = split(now).0.saturating_add(i64::from(!is_another));
    set(backing, seconds, 0)
        .map_err(Error::doing(format!("set the time of {}", backing.path.display())))
}

/// Gives the backing its time, durably.
///
/// # Errors
/// The kernel's; another time is read than was set.
pub(in crate::cow) fn restore(backing: &Disk, wanted: Timestamp) -> Result<()> {
    let (seconds, nanoseconds) = split(wanted);
    let doing = || format!("set the time of {} back to {wanted}", backing.path.display());
    set(backing, seconds, nanoseconds).map_err(Error::doing(doing()))?;
    let found = backing.file.metadata().map_err(Error::doing(doing()))?.mtime();
    if found == seconds {
        return Ok(());
    }
    let text = format!("the file system made {found} s of {seconds} s");
    Err(Error::doing(doing())(io::Error::other(text)))
}

fn set(backing: &Disk, seconds: i64, nanoseconds: i64) -> io::Result<()> {
    let time = TimeSpec::new(seconds, nanoseconds);
    log::info!("sets the time of {} to {seconds} s", backing.path.display());
    futimens(&backing.file, &TimeSpec::UTIME_OMIT, &time)?;
    backing.file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, time::SystemTime};

    #[test]
    fn a_recorded_time_is_the_low_half_of_the_seconds() {
        let of = |seconds| Timestamp::new(seconds, 5).unwrap();
        assert_eq!(recorded(7, &[of(8), of(7)]), of(7), "the part of a second is kept");
        assert_eq!(recorded(7, &[of(7 + (1 << 32))]), of(7 + (1 << 32)));
        assert_eq!(recorded(7, &[of(8)]), Timestamp::from_second(7).unwrap());
        assert_eq!(recorded(u32::MAX, &[of(-1)]), of(-1));
    }

    #[test]
    fn the_time_is_another_meanwhile_and_itself_again_in_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("backing");
        fs::write(&path, "x").unwrap();
        let disk = Disk::open_to_write(&path).unwrap();
        for wanted in [Timestamp::now(), Timestamp::from_second(4_000_000_000).unwrap()] {
            restore(&disk, wanted).unwrap();
            may_set(&disk).unwrap();
            let time = || Timestamp::try_from(path.metadata().unwrap().modified().unwrap());
            assert_eq!(split(time().unwrap()).0, split(wanted).0);
            unlike(&disk, wanted).unwrap();
            assert_ne!(split(time().unwrap()).0, split(wanted).0);
        }
        let before = SystemTime::UNIX_EPOCH - std::time::Duration::from_millis(1500);
        restore(&disk, Timestamp::try_from(before).unwrap()).unwrap();
        assert_eq!(path.metadata().unwrap().modified().unwrap(), before);
    }
}
