//! A blank disk gets a file system, and a power cut at any moment leaves it as good as blank.
//!
//! The marker is on the disk before mkfs begins, and is erased when all that mkfs wrote is on the disk:
//! a disk with the marker was never mounted, and is formatted again.

use super::{Site, program};
use crate::{direct, root::named};
use ebbtide_format::{
    signature::{Kind, MARKER_SIZE, marker},
    units::Bytes,
};
use std::{fs::File, io, path::Path};

/// What is made where.
pub(crate) struct Making<'a> {
    /// The disk's node.
    pub(crate) disk: &'a Path,
    /// Its size.
    pub(crate) disk_size: Bytes,
    /// The kind of the file system.
    pub(crate) kind: Kind,
    /// Its size; the marker lies behind it.
    pub(crate) size: Bytes,
    /// Whether it is thrown away with the machine.
    pub(crate) disposable: bool,
}

/// Makes a file system with the root's own tools.
///
/// # Errors
/// With the reason; what mkfs said is in the log then. Without the tool the disk is blank as before.
pub(crate) fn format(site: &Site, making: &Making<'_>) -> io::Result<()> {
    let Making { disk, disk_size, size, .. } = making;
    write(disk, &marker(*disk_size), *size)?;
    let (name, arguments) = command(making);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let ran = program::run(site, name, &arguments, program::LONG);
    if !ran.as_ref().is_ok_and(|ran| !ran.missing) {
        // It was never started: nothing has been made, so nothing has to be made again.
        erase(disk, *size)?;
    }
    let ran = ran?;
    if !matches!(ran.status, Ok(0)) {
        for line in ran.lines() {
            log::error!("{name}: {line}");
        }
    }
    match ran.status {
        Ok(0) => {
            // What mkfs wrote through the page cache is on the disk before the marker is gone.
            let all = File::options().write(true).open(disk);
            all.and_then(|file| file.sync_all()).map_err(|error| named(disk, &error))?;
            erase(disk, *size)
        }
        Ok(status) => Err(io::Error::other(format!("{name} failed with status {status}"))),
        Err(why) => Err(io::Error::other(why)),
    }
}

/// Returns the program and its arguments. The disk is blank, so nothing is discarded.
fn command(making: &Making<'_>) -> (&'static str, Vec<String>) {
    let size = making.size.0;
    let (name, options, size, size_last) = match making.kind {
        Kind::Xfs => ("mkfs.xfs", "-f -q -K -L private -d", format!("size={size}"), false),
        Kind::Btrfs => ("mkfs.btrfs", "-f -q -K -L private -b", size.to_string(), false),
        _ => {
            // Nobody but users writes here, so nothing is kept back for root.
            let options = "-q -F -L private -m 0 -E lazy_itable_init=1,nodiscard";
            ("mkfs.ext4", options, format!("{}k", size >> 10), true)
        }
    };
    let mut arguments: Vec<String> = options.split(' ').map(str::to_string).collect();
    if size_last && making.disposable {
        arguments.extend(["-O", "^has_journal"].map(str::to_string));
    }
    let at = arguments.len();
    arguments.push(making.disk.display().to_string());
    arguments.insert(if size_last { at + 1 } else { at }, size);
    (name, arguments)
}

fn erase(disk: &Path, at: Bytes) -> io::Result<()> {
    write(disk, &[0; MARKER_SIZE as usize], at)
}

/// Writes past the page cache and waits until it is on the disk; refused while anybody uses the disk.
fn write(disk: &Path, bytes: &[u8], at: Bytes) -> io::Result<()> {
    let file = direct::open_alone(disk)?;
    let written = direct::write(&file, bytes, at.0).and_then(|()| file.sync_data());
    written.map_err(|error| named(disk, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mkfs_is_told_where_to_end() {
        let line = |kind, disposable| {
            let (disk, size) = (Path::new("/dev/vdb"), Bytes::mib(511));
            let disk_size = Bytes::mib(512);
            let (name, arguments) = command(&Making { disk, disk_size, kind, size, disposable });
            format!("{name} {}", arguments.join(" "))
        };
        let ext4 = "mkfs.ext4 -q -F -L private -m 0 -E lazy_itable_init=1,nodiscard";
        assert_eq!(line(Kind::Ext4, false), format!("{ext4} /dev/vdb 523264k"));
        assert_eq!(line(Kind::Ext4, true), format!("{ext4} -O ^has_journal /dev/vdb 523264k"));
        let xfs = "mkfs.xfs -f -q -K -L private -d size=535822336 /dev/vdb";
        assert_eq!(line(Kind::Xfs, true), xfs);
        let btrfs = "mkfs.btrfs -f -q -K -L private -b 535822336 /dev/vdb";
        assert_eq!(line(Kind::Btrfs, false), btrfs);
    }
}
