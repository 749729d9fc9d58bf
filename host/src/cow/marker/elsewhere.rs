//! Markers of merges into a device, which lie beside the COW files that were merged, wherever these are.

use super::{Identity, Marker, Since, State, place, read};
use crate::{
    Error, Result,
    cow::{Disk, Kind},
};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Returns the markers in `dirs`, but not below those, of merges into a device of COW files other than `cow`, and where they lie.
/// There are none of a file: its only marker is beside it. They name the device as `backing` is named.
///
/// # Errors
/// A directory cannot be read. A marker that cannot be read is a warning in the log.
pub(in crate::cow) fn elsewhere(
    cow: Option<&Identity>,
    backing: &Disk,
    dirs: &[PathBuf],
) -> Result<Vec<(PathBuf, Marker)>> {
    let mut found = Vec::new();
    if backing.kind == Kind::File {
        return Ok(found);
    }
    let failed = |dir: &Path| Error::doing(format!("look for markers in {}", dir.display()));
    let now = Identity::of(backing).map_err(failed(&backing.path))?;
    for dir in dirs {
        for file in markers(dir).map_err(failed(dir))? {
            match read(&file) {
                Ok(Some(marker))
                    if cow.is_none_or(|cow| marker.cow.since(cow) == Since::Another) =>
                {
                    let marker = into(marker, backing, &now);
                    found.extend(marker.map(|marker| (file, marker)));
                }
                Ok(_) => {}
                Err(error) => log::warn!(
                    "whether it is the marker of a merge into {} is not known: {}",
                    backing.path.display(),
                    error.chain()
                ),
            }
        }
    }
    Ok(found)
}

/// Returns what has the name of a marker in a directory, in order.
fn markers(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        found.push(entry?.path());
    }
    found.retain(|path| place::beside_which(path).is_some());
    found.sort();
    Ok(found)
}

/// Returns a marker if it is of a merge into this device, which it may know by another node or link.
fn into(mut marker: Marker, backing: &Disk, now: &Identity) -> Option<Marker> {
    let was = &marker.backing;
    let is_it = was.path == now.path || fs::metadata(&was.path).is_ok_and(|it| backing.is(&it));
    if was.inode.is_some() || !is_it {
        return None;
    }
    marker.backing.path.clone_from(&now.path);
    if let State::Merged { after, .. } = &mut marker.state {
        after.path.clone_from(&now.path);
        // Numbers of devices are given to others.
        if after.size != now.size {
            return None;
        }
    }
    Some(marker)
}
