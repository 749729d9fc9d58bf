//! A mounted file system, grown when the host has enlarged the disk below it.
//!
//! Nothing moves and nobody waits: the file system takes the new room while it is in use.

use super::growth::{disk_of, number_in};
use crate::{mounts, root::Root};
use ebbtide_format::units::Sectors;
use ebbtide_init::{
    mountinfo::{self, Mount},
    private_volume::SLACK,
};
use std::{
    fs::{self, File},
    io,
};

/// What is mounted at a place.
#[derive(Debug)]
pub(crate) struct FileSystem {
    place: String,
    /// The device and its size for which everything has been done.
    done: Option<(String, Sectors)>,
    /// What has been told of a failure, and of room that only a larger partition could use.
    failed: Option<String>,
    behind: Sectors,
}

impl FileSystem {
    /// Returns the one at `place`, whatever it is.
    pub(crate) const fn at(place: String) -> Self {
        Self { place, done: None, failed: None, behind: Sectors(0) }
    }

    /// Tells whether it is worth another look although nothing has happened.
    pub(crate) const fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// Gives it what room there is. What fails is told once, and tried again at each look.
    pub(crate) fn look(&mut self, root: &Root) {
        let failed = self.attempt(root).err().map(|error| error.to_string());
        if let Some(text) = &failed
            && failed != self.failed
        {
            log::warn!("{text}");
        }
        self.failed = failed;
    }

    fn attempt(&mut self, root: &Root) -> io::Result<()> {
        let mounts = root.read("proc/self/mountinfo")?;
        let mount = mountinfo::at(&mounts, &self.place).filter(|mount| !mount.fs_read_only);
        let Some(device) = mount.and_then(|mount| device_of(root, &mount)) else { return Ok(()) };
        let size = Sectors(number_in(root, &format!("sys/class/block/{device}/size"))?);
        self.tell_room_behind(root, &device, size)?;
        let seen = Some((device, size));
        if let Some((device, _)) = &seen
            && seen != self.done
        {
            let volume = File::open(root.path(self.place.trim_start_matches('/')))?;
            mounts::grow_mounted(&volume.into(), device, size.bytes())?;
            self.done = seen;
        }
        Ok(())
    }

    /// A table of partitions is not ours to write: says what is needed.
    fn tell_room_behind(&mut self, root: &Root, device: &str, size: Sectors) -> io::Result<()> {
        let (disk, behind) = room_behind(root, device, size)?;
        if behind != self.behind && behind.bytes().0 > SLACK.0 {
            let behind = behind.bytes();
            log::warn!(
                "{disk} has {behind} behind {device}, which stays as it is: enlarge the partition \
                 (growpart, for one), and the file system on it grows"
            );
        }
        self.behind = behind;
        Ok(())
    }
}

/// Returns the device that is mounted. btrfs has a number that is no device's, and names its device.
fn device_of(root: &Root, mount: &Mount) -> Option<String> {
    let path = match mount.number.starts_with("0:") {
        true => root.path(mount.source.strip_prefix('/')?),
        false => root.path(format!("sys/dev/block/{}", mount.number)),
    };
    Some(fs::canonicalize(path).ok()?.file_name()?.to_str()?.to_string())
}

/// Returns the disk that a partition is on and the room between it and what follows; of what is no
/// partition, nothing and none.
fn room_behind(root: &Root, device: &str, size: Sectors) -> io::Result<(String, Sectors)> {
    let sys = format!("sys/class/block/{device}");
    let Some(disk) = disk_of(root, &sys).filter(|_| root.has(format!("{sys}/partition"))) else {
        return Ok((String::new(), Sectors(0)));
    };
    let end = number_in(root, &format!("{sys}/start"))? + size.0;
    let mut next = number_in(root, &format!("sys/class/block/{disk}/size"))?;
    for entry in fs::read_dir(root.path(format!("sys/class/block/{disk}")))? {
        let start = entry?.path().join("start");
        let start = fs::read_to_string(start).ok().and_then(|text| text.trim().parse().ok());
        next = start.filter(|start| *start >= end).map_or(next, |start: u64| next.min(start));
    }
    Ok((disk, Sectors(next.saturating_sub(end))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A disk of 1000 sectors with these partitions: number, start, size.
    fn with_partitions(partitions: &[(u32, u64, u64)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let (devices, class) =
            (folder.path().join("sys/devices/vda"), folder.path().join("sys/class/block"));
        for below in [&devices, &class] {
            fs::create_dir_all(below).unwrap();
        }
        fs::write(devices.join("size"), "1000\n").unwrap();
        symlink("../../devices/vda", class.join("vda")).unwrap();
        for (number, start, size) in partitions {
            let part = devices.join(format!("vda{number}"));
            fs::create_dir(&part).unwrap();
            for (name, value) in
                [("partition", u64::from(*number)), ("start", *start), ("size", *size)]
            {
                fs::write(part.join(name), format!("{value}\n")).unwrap();
            }
            symlink(format!("../../devices/vda/vda{number}"), class.join(format!("vda{number}")))
                .unwrap();
        }
        folder
    }

    #[test]
    fn the_room_behind_a_partition_ends_at_the_next_one_or_at_the_end_of_the_disk() {
        let folder = with_partitions(&[(1, 500, 300), (2, 10, 90), (3, 100, 200)]);
        let root = Root::at(folder.path());
        let room = |device, size| room_behind(&root, device, Sectors(size)).unwrap();
        assert_eq!(room("vda1", 300), ("vda".into(), Sectors(200)));
        assert_eq!(room("vda2", 90), ("vda".into(), Sectors(0)));
        assert_eq!(room("vda3", 200), ("vda".into(), Sectors(200)));
        assert_eq!(room("vda", 1000), (String::new(), Sectors(0)));
    }

    #[test]
    fn a_device_is_known_by_its_number_and_that_of_btrfs_by_its_path() {
        let folder = with_partitions(&[]);
        for place in ["sys/dev/block", "dev/mapper"] {
            fs::create_dir_all(folder.path().join(place)).unwrap();
        }
        symlink("../../devices/vda", folder.path().join("sys/dev/block/254:0")).unwrap();
        fs::write(folder.path().join("dev/vdb"), "").unwrap();
        symlink("../vdb", folder.path().join("dev/mapper/dmroot")).unwrap();
        let root = Root::at(folder.path());
        let device = |line: &str| device_of(&root, &Mount::parse(line).unwrap());
        assert_eq!(device("36 35 254:0 / / rw - ext4 /dev/root rw"), Some("vda".into()));
        let btrfs = "36 35 0:38 / / rw - btrfs /dev/mapper/dmroot rw";
        assert_eq!(device(btrfs), Some("vdb".into()));
        assert_eq!(device("36 35 0:40 / / rw - overlay overlay rw"), None);
    }
}
