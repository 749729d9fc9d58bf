//! By what a COW file or a backing is known again.

use crate::cow::{Disk, Kind};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// A file or a device as it was at some time.
///
/// A device has neither inode nor times: its node is new in each boot, and nobody notes when it is written to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Its absolute path; of a file, without symbolic links. For people, and all there is to know a device by. What is
    /// not UTF-8 in it is replaced.
    pub path: PathBuf,
    /// Bytes.
    pub size: i64,
    /// The number of a file's inode; those past the half of the numbers are negative, for TOML has no others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inode: Option<i64>,
    /// When a file was made, where the file system says: inodes of files that are gone are given to others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    /// When a file's content was last written to, as its inode says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modified: Option<Timestamp>,
    /// When a file's inode last changed, which nobody can set back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed: Option<Timestamp>,
}

/// What became of a file or a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Since {
    /// It is the one, and nobody wrote to it.
    Same,
    /// It is the one, or has its name, and its content may be another.
    Written,
    /// It is another.
    Another,
}

impl Identity {
    /// Returns what an open file or device is known again by, as it is now.
    ///
    /// # Errors
    /// The kernel's; `InvalidData` for times that are thousands of years away.
    pub fn of(disk: &Disk) -> io::Result<Self> {
        let size = i64::try_from(disk.size.0).map_err(|_| io::ErrorKind::InvalidData)?;
        if disk.kind == Kind::Device {
            // What /dev/mapper and /dev/disk link to has a name that is another in each boot.
            let path = text(&std::path::absolute(&disk.path)?);
            let (inode, created, modified, changed) = (None, None, None, None);
            return Ok(Self { path, size, inode, created, modified, changed });
        }
        let found = disk.file.metadata()?;
        Ok(Self {
            path: text(&std::fs::canonicalize(&disk.path)?),
            size: i64::try_from(found.len()).map_err(|_| io::ErrorKind::InvalidData)?,
            inode: Some(found.ino().cast_signed()),
            created: found.created().ok().and_then(|time| Timestamp::try_from(time).ok()),
            modified: Some(time(found.mtime(), found.mtime_nsec())?),
            changed: Some(time(found.ctime(), found.ctime_nsec())?),
        })
    }

    /// Returns what a COW file that was known as `self` is now that it is known as `now`. The time of change does not
    /// count: a new name, another owner change nothing of what it holds.
    pub(crate) fn since(&self, now: &Self) -> Since {
        let is_of_one_kind = self.inode.is_none() == now.inode.is_none();
        if !is_of_one_kind || !self.is_one(now) && self.path != now.path {
            return Since::Another;
        }
        let is_same = self.is_one(now) && self.modified == now.modified;
        if is_same && self.size == now.size { Since::Same } else { Since::Written }
    }

    /// Returns whether it is the same inode, or the same device, whatever it holds.
    pub(crate) fn is_one(&self, now: &Self) -> bool {
        match self.inode {
            Some(_) => (self.inode, self.created) == (now.inode, now.created),
            None => now.inode.is_none() && self.path == now.path,
        }
    }

    /// Returns whether a merge into a backing that was known as `self` can be finished in what is known as `now`: it is the
    /// same, or was put back as it was.
    pub(crate) fn is_still(&self, now: &Self) -> bool {
        let seconds = |time: Option<Timestamp>| time.map(|time| split(time).0);
        let is_put_back =
            self.modified.is_some() && seconds(self.modified) == seconds(now.modified);
        self.size == now.size && (self.is_one(now) || is_put_back)
    }

    /// Returns whether a backing that was known as `self` is surely what it was. Here the time of change counts: content
    /// that was put back from elsewhere, with its time of modification, is not what the merge has left.
    pub(crate) fn is_untouched(&self, now: &Self) -> bool {
        self.since(now) == Since::Same && self.changed == now.changed
    }
}

fn text(path: &Path) -> PathBuf {
    path.to_string_lossy().into_owned().into()
}

/// Returns seconds and nanoseconds since 1970 as a time.
fn time(seconds: i64, nanoseconds: i64) -> io::Result<Timestamp> {
    let nanoseconds = i32::try_from(nanoseconds).map_err(|_| io::ErrorKind::InvalidData)?;
    Timestamp::new(seconds, nanoseconds).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// Returns a time as seconds since 1970 and nanoseconds after them.
pub(crate) fn split(time: Timestamp) -> (i64, i64) {
    let nanoseconds = time.as_nanosecond();
    let part = |part: i128| i64::try_from(part).unwrap_or_default();
    (part(nanoseconds.div_euclid(1_000_000_000)), part(nanoseconds.rem_euclid(1_000_000_000)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cow::Node;
    use ebbtide_format::units::Bytes;
    use std::{fs, path::Path, time::Duration};

    fn identity(path: &Path) -> Identity {
        Identity::of(&Disk::open(path).unwrap()).unwrap()
    }

    #[test]
    fn a_file_is_known_by_inode_size_and_time() {
        let dir = tempfile::tempdir().unwrap();
        let [path, moved] = ["a", "b"].map(|name| dir.path().join(name));
        fs::write(&path, "one").unwrap();
        let was = identity(&path);
        assert_eq!(was.since(&identity(&path)), Since::Same);

        fs::rename(&path, &moved).unwrap();
        assert_eq!(was.since(&identity(&moved)), Since::Same, "another name is no other file");
        fs::write(&moved, "longer").unwrap();
        assert_eq!(was.since(&identity(&moved)), Since::Written);
        fs::write(&path, "one").unwrap();
        assert_eq!(was.since(&identity(&path)), Since::Written, "its name, and another file");
        let third = dir.path().join("c");
        fs::write(&third, "one").unwrap();
        assert_eq!(was.since(&identity(&third)), Since::Another);
    }

    #[test]
    fn an_inode_that_was_given_to_another_file_is_not_that_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        fs::write(&path, "one").unwrap();
        let was = identity(&path);
        std::thread::sleep(Duration::from_millis(20));
        fs::remove_file(&path).unwrap();
        fs::write(&path, "one").unwrap();
        assert!(!was.is_one(&identity(&path)));
    }

    #[test]
    fn content_that_was_put_back_with_its_time_is_not_untouched() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        fs::write(&path, "one").unwrap();
        let was = identity(&path);
        assert!(was.is_untouched(&identity(&path)));
        std::thread::sleep(Duration::from_millis(20));
        let file = fs::File::options().write(true).open(&path).unwrap();
        let time = file.metadata().unwrap().modified().unwrap();
        fs::write(&path, "two").unwrap();
        file.set_modified(time).unwrap();
        assert_eq!(was.since(&identity(&path)), Since::Same);
        assert!(!was.is_untouched(&identity(&path)));
    }

    #[test]
    fn a_device_is_known_by_its_name() {
        let mut disk = Disk::open(Path::new("/proc/self/exe")).unwrap();
        disk.kind = Kind::Device;
        disk.path = "/dev/mapper/cow".into();
        let was = Identity::of(&disk).unwrap();
        assert_eq!((was.inode, was.modified), (None, None));
        disk.node = Node::Device(7);
        assert_eq!(was.since(&Identity::of(&disk).unwrap()), Since::Same);
        disk.size = Bytes(512);
        assert_eq!(was.since(&Identity::of(&disk).unwrap()), Since::Written);
        disk.path = "/dev/mapper/other".into();
        assert_eq!(was.since(&Identity::of(&disk).unwrap()), Since::Another);
    }

    #[test]
    fn times_before_1970_have_whole_seconds_too() {
        for (seconds, nanoseconds) in [(-2, 999_999_999), (0, 0), (-1, 0), (5_000_000_000, 1)] {
            assert_eq!(split(time(seconds, nanoseconds).unwrap()), (seconds, nanoseconds));
        }
        time(i64::MAX, 0).unwrap_err();
    }
}
