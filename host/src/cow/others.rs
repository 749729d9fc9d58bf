//! Other COW files of the same backing.

use super::{Disk, Kind, Node, image};
use crate::{Error, Result};
use ebbtide_format::uml_cow;
use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

/// Returns the COW files of user-mode Linux other than `cow` that record `backing`, in the directories of both and in
/// `dirs`, but not below those. A store names no backing, and is none of them.
///
/// # Errors
/// A directory cannot be read. A file that cannot be read is a warning in the log.
pub fn others(backing: &Disk, cow: &Disk, dirs: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let beside = [backing, cow].into_iter().filter(|disk| disk.kind == Kind::File);
    let beside = beside.flat_map(|disk| {
        let real = fs::canonicalize(&disk.path).ok();
        let dirs = [disk.path.parent(), real.as_deref().and_then(Path::parent)];
        dirs.into_iter().flatten().map(Path::to_path_buf).collect::<Vec<_>>()
    });
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for dir in beside.chain(dirs.iter().cloned()) {
        let dir = if dir == Path::new("") { Path::new(".").into() } else { dir };
        let failed = || Error::doing(format!("look for COW files in {}", dir.display()));
        if !seen.insert(Node::of(&fs::metadata(&dir).map_err(failed())?)) {
            continue;
        }
        for entry in fs::read_dir(&dir).map_err(failed())? {
            let path = entry.map_err(failed())?.path();
            let Ok(file) = fs::metadata(&path) else { continue };
            let is_one = file.is_file() && !cow.is(&file) && !backing.is(&file);
            if is_one && seen.insert(Node::of(&file)) && names(&path, backing) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Returns whether a file is a COW file that records this backing.
fn names(path: &Path, backing: &Disk) -> bool {
    let head = match Disk::open(path).and_then(|disk| image::head(&disk, 0)) {
        Ok(head) => head,
        Err(error) => {
            log::warn!(
                "whether it is a COW file of {} is not known: {}",
                backing.path.display(),
                error.chain()
            );
            return false;
        }
    };
    let header = uml_cow::Seen::parse(&head).and_then(uml_cow::Seen::believe);
    let header = match header {
        Ok(header) => header,
        Err(uml_cow::Problem::NotUmlCow) => return false,
        Err(problem) => {
            log::warn!("{} is a damaged COW file: it {problem}", path.display());
            return false;
        }
    };
    let recorded = Path::new(OsStr::from_bytes(header.backing()));
    // Whoever recorded a relative path may have meant any directory; these two are likely.
    let beside = path.parent().map(|dir| dir.join(recorded));
    let places = [Some(recorded.into()), beside].into_iter().flatten();
    let mut found = places.filter_map(|place: PathBuf| fs::metadata(place).ok()).peekable();
    if found.peek().is_none() {
        // It was moved, or the path is one of a chroot: what it was by size and time is this one.
        let seconds = backing.modified.0.rem_euclid(1 << 32);
        return header.size() == backing.size && i64::from(header.modified()) == seconds;
    }
    found.any(|found| backing.is(&found))
}
