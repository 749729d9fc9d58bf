//! Looks at the machine: `/proc`, `/sys`, `/dev` and udev's records below a given root.
//!
//! In: a [`Root`] and the options (for the paths that they name). Out: [`Observed`]. No disk is
//! read; a disk's node is opened once per look, see [`is_ready`].

use crate::root::Root;
use ebbtide_format::{
    guid::Guid,
    units::{Bytes, Sectors},
};
use ebbtide_init::{
    observed::{Disk, Identifiers, Link, Mapped, Mapper, Observed, Partition, Usage},
    options::{Choice, MAPPED_ROOT, Options},
    role::Role,
    step::Marker,
};
use std::{fs, io, os::unix::fs::OpenOptionsExt, path::Path};

/// Looks at everything once.
///
/// # Errors
/// When `/sys/class/block` cannot be listed or the kernel has no random bytes.
pub(crate) fn observe(root: &Root, options: &Options) -> io::Result<Observed> {
    let users = Users::read(root)?;
    let mut disks = Vec::new();
    let mut mapped = Vec::new();
    for name in names(root, Path::new("sys/class/block"), |_| true)? {
        let sys = format!("sys/class/block/{name}");
        if name.starts_with("dm-") {
            let number = root.attribute(format!("{sys}/dev"))?;
            mapped.push(Mapped {
                usage: users.of(root, &sys, &name, &number)?,
                name: root.attribute(format!("{sys}/dm/name"))?,
                uuid: root.attribute(format!("{sys}/dm/uuid"))?,
                // Without a table in operation a device has no size.
                started: value(root, &format!("{sys}/size"))? != 0,
                device: name,
            });
        } else if is_disk(&name) && !root.has(format!("{sys}/partition")) && is_ready(root, &name) {
            disks.push(disk(root, &users, name)?);
        }
    }
    Ok(Observed {
        page: ebbtide_sys::machine::page_size(),
        identifiers: identifiers()?,
        mapper: mapper(root),
        crypt: root.has("sys/module/dm_crypt"),
        link: link(root),
        ready: root.has(Marker::Ready.to_string().trim_start_matches('/')),
        paths: paths(root, options),
        disks,
        mapped,
    })
}

/// Devices in memory and drives with a removable medium are never a disk of ours.
fn is_disk(name: &str) -> bool {
    let family = name.trim_end_matches(|c: char| c.is_ascii_digit());
    !matches!(family, "ram" | "zram" | "fd" | "sr")
}

/// Tells whether the kernel has finished with a new disk.
///
/// A node in `/dev` is there before the partitions are. Opening it waits for the scan of the
/// partition table (both hold the disk's `open_mutex`), and fails while the disk is not open to
/// anyone yet; without this a partitioned root could be seen as one without partitions.
fn is_ready(root: &Root, name: &str) -> bool {
    fs::File::options()
        .read(true)
        .custom_flags(nix::libc::O_NONBLOCK)
        .open(root.path(format!("dev/{name}")))
        .is_ok()
}

fn disk(root: &Root, users: &Users, name: String) -> io::Result<Disk> {
    let sys = format!("sys/class/block/{name}");
    let mut partitions = Vec::new();
    // Among dozens of attributes; the kernel puts the number after the name of the disk.
    for part in names(root, Path::new(&sys), |part| part.starts_with(&name))? {
        let below = format!("{sys}/{part}");
        if root.has(format!("{below}/partition")) {
            let partition = partition(root, users, &below, part)?;
            let at = partitions.partition_point(|p: &Partition| p.index < partition.index);
            partitions.insert(at, partition);
        }
    }
    let number = root.attribute(format!("{sys}/dev"))?;
    // virtio and Xen have it at the disk, NVMe at its controller.
    let serial = [format!("{sys}/serial"), format!("{sys}/device/serial")]
        .iter()
        .map(|path| root.attribute(path))
        .find(|serial| !matches!(serial, Ok(text) if text.is_empty()))
        .transpose()?;
    Ok(Disk {
        size: Sectors(value(root, &format!("{sys}/size"))?),
        block: Bytes(value(root, &format!("{sys}/queue/logical_block_size"))?),
        read_only: value(root, &format!("{sys}/ro"))? != 0,
        discards: value(root, &format!("{sys}/queue/discard_max_bytes"))? != 0,
        serial,
        usage: users.of(root, &sys, &name, &number)?,
        partitions,
        number,
        name,
    })
}

fn partition(root: &Root, users: &Users, sys: &str, name: String) -> io::Result<Partition> {
    let number = root.attribute(format!("{sys}/dev"))?;
    let uevent = root.read(format!("{sys}/uevent"))?;
    let label = uevent.lines().find_map(|l| l.strip_prefix("PARTNAME=")).map(str::to_string);
    let record = root.read(format!("run/udev/data/b{number}"))?;
    let kind = record.lines().find_map(|l| l.strip_prefix("E:ID_PART_ENTRY_TYPE="));
    Ok(Partition {
        index: u32::try_from(value(root, &format!("{sys}/partition"))?).unwrap_or(0),
        size: Sectors(value(root, &format!("{sys}/size"))?),
        read_only: value(root, &format!("{sys}/ro"))? != 0,
        label,
        kind: kind.and_then(Guid::parse),
        usage: users.of(root, sys, &name, &number)?,
        number,
        name,
    })
}

/// Who uses devices, as the kernel lists it.
struct Users {
    swaps: String,
    mounts: String,
}

impl Users {
    fn read(root: &Root) -> io::Result<Self> {
        Ok(Self { swaps: root.read("proc/swaps")?, mounts: root.read("proc/self/mountinfo")? })
    }

    fn of(&self, root: &Root, sys: &str, name: &str, number: &str) -> io::Result<Option<Usage>> {
        let path = format!("/dev/{name}");
        if self.swaps.lines().any(|l| l.split_whitespace().next() == Some(&path)) {
            return Ok(Some(Usage::Swap));
        }
        if let Some(place) = self.mounts.lines().find_map(|line| mounted_at(line, number, &path)) {
            return Ok(Some(Usage::MountedAt(place.to_string())));
        }
        let holders = names(root, Path::new(&format!("{sys}/holders")), |_| true)?;
        let holder = holders.into_iter().next();
        Ok(holder.map(Usage::HeldBy))
    }
}

/// Returns where a device is mounted, if a line of mountinfo is about it:
/// `ID PARENT MAJOR:MINOR ROOT MOUNTPOINT OPTIONS … - TYPE SOURCE OPTIONS`.
///
/// btrfs has a number that is no device's, and names one of its devices as the source.
fn mounted_at<'a>(line: &'a str, number: &str, path: &str) -> Option<&'a str> {
    let mut fields = line.split(' ').skip(2);
    let (found, place) = (fields.next()?, fields.nth(1)?);
    let source = || line.split_once(" - ")?.1.split(' ').nth(1);
    (found == number || source() == Some(path)).then_some(place)
}

fn mapper(root: &Root) -> Mapper {
    if root.has("sys/module/dm_snapshot") {
        Mapper::Ready
    } else if root.has("sys/module/dm_mod") {
        Mapper::WithoutSnapshot
    } else {
        Mapper::Absent
    }
}

fn link(root: &Root) -> Option<Link> {
    let path = root.path(format!("dev/mapper/{MAPPED_ROOT}"));
    match fs::read_link(&path) {
        Ok(to) => Some(file_name(&to).map_or(Link::Other, Link::To)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(_) => path.symlink_metadata().is_ok().then_some(Link::Other),
    }
}

/// Follows the links that the options name, `/dev/disk/by-id/x` for one.
fn paths(root: &Root, options: &Options) -> Vec<(String, String)> {
    let follow = |role: Role| match options.choice(role) {
        Choice::Path(path) => {
            let link = fs::read_link(root.path(path.trim_start_matches('/'))).ok()?;
            Some((path.clone(), file_name(&link)?))
        }
        _ => None,
    };
    Role::ALL.into_iter().filter_map(follow).collect()
}

fn file_name(path: &Path) -> Option<String> {
    path.file_name().map(|name| name.to_string_lossy().into_owned())
}

fn identifiers() -> io::Result<Identifiers> {
    let mut bytes = [[0; 16]; 5];
    ebbtide_sys::machine::random_identifier(bytes.as_flattened_mut())?;
    let [disk, swap, cow, swap_area, mapped] = bytes.map(Guid::from_random);
    Ok(Identifiers { disk, swap, cow, swap_area, mapped })
}

/// Lists what is `wanted` of a directory, in order; one that is not there is empty.
fn names(root: &Root, below: &Path, wanted: impl Fn(&str) -> bool) -> io::Result<Vec<String>> {
    let path = root.path(below);
    let entries = match fs::read_dir(&path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(crate::root::named(&path, &error)),
    };
    // Short lists, kept in order as they grow: a sort would be a percent of the whole binary.
    let mut names = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        if wanted(&name) {
            let at = names.partition_point(|other: &String| **other < *name);
            names.insert(at, name.into_owned());
        }
    }
    Ok(names)
}

/// Reads a number; a file that is missing or holds none counts as 0.
fn value(root: &Root, below: &str) -> io::Result<u64> {
    Ok(root.attribute(below)?.parse().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_known_by_its_number_and_btrfs_by_its_source() {
        let at = |line| mounted_at(line, "254:16", "/dev/vdb");
        assert_eq!(at("36 35 254:16 / /rw rw shared:1 - ext4 /dev/root rw"), Some("/rw"));
        assert_eq!(at("36 35 0:38 /home /rw rw shared:1 - btrfs /dev/vdb rw"), Some("/rw"));
        assert_eq!(at("36 35 0:38 / /rw rw - btrfs /dev/vdb1 rw"), None);
        assert_eq!(at("36 35 254:1 / /dev/vdb rw - ext4 /dev/vda1 rw"), None);
        assert_eq!(at("36 35"), None);
    }
}
