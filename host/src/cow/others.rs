//! Other COW files of the same backing.

use super::{Disk, Kind, Node, image};
use crate::{Error, Result};
use ebbtide_format::uml_cow;
use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs::{self, Metadata},
    io,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

/// A COW file that is written over the backing, or may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Other {
    /// Where it is.
    pub path: PathBuf,
    /// Why it is not sure that it is one of this backing.
    pub doubt: Option<String>,
}

/// Returns the COW files of user-mode Linux other than `cow` that record `backing`, in the directories of both and in
/// `dirs`, but not below those; damaged ones too, and files of which it cannot be told. A store names no backing, and is
/// none of them.
///
/// # Errors
/// A directory cannot be read.
pub fn others(backing: &Disk, cow: &Disk, dirs: &[PathBuf]) -> Result<Vec<Other>> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for dir in directories(&[backing, cow], dirs)? {
        let failed = || Error::doing(looking(&dir));
        for entry in fs::read_dir(&dir).map_err(failed())? {
            let path = entry.map_err(failed())?.path();
            let Ok(file) = fs::metadata(&path) else { continue };
            let is_one = file.is_file() && !cow.is(&file) && !backing.is(&file);
            if is_one && may_be(&file, backing) && seen.insert(Node::of(&file)) {
                found.extend(other(&path, backing));
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// Returns the directories of files, those of what they are links to, and `more`, each once.
///
/// # Errors
/// One of them is not there.
pub(super) fn directories(of: &[&Disk], more: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let beside = of.iter().filter(|disk| disk.kind == Kind::File).flat_map(|disk| {
        let real = fs::canonicalize(&disk.path).ok();
        let dirs = [disk.path.parent(), real.as_deref().and_then(Path::parent)];
        dirs.into_iter().flatten().map(Path::to_path_buf).collect::<Vec<_>>()
    });
    let mut seen = BTreeSet::new();
    let mut dirs = Vec::new();
    for dir in beside.chain(more.iter().cloned()) {
        let dir = if dir == Path::new("") { Path::new(".").into() } else { dir };
        let found = fs::metadata(&dir).map_err(Error::doing(looking(&dir)))?;
        if seen.insert(Node::of(&found)) {
            dirs.push(dir);
        }
    }
    Ok(dirs)
}

fn looking(dir: &Path) -> String {
    format!("look for COW files in {}", dir.display())
}

/// Returns whether a file is large enough for the bitmap of such a backing; a bit is for at most 4 KiB.
fn may_be(file: &Metadata, backing: &Disk) -> bool {
    file.len() >= backing.size.0 / (4096 * 8)
}

/// Returns a file that is a COW file of this backing, or may be.
fn other(path: &Path, backing: &Disk) -> Option<Other> {
    let sure = Other { path: path.into(), doubt: None };
    let doubtful = |doubt: String| Some(Other { doubt: Some(doubt), ..sure.clone() });
    let head = match Disk::open(path).and_then(|disk| image::head(&disk, 0)) {
        Ok(head) => head,
        // What was there a moment ago is no obstacle now.
        Err(error) if error.io_kind() == Some(io::ErrorKind::NotFound) => return None,
        Err(error) => return doubtful(error.chain()),
    };
    let seen = match uml_cow::Seen::parse(&head) {
        Ok(seen) => seen,
        Err(uml_cow::Problem::NotUmlCow) => return None,
        Err(problem) => return doubtful(format!("it {problem}")),
    };
    let recorded = Path::new(OsStr::from_bytes(seen.backing()));
    // Whoever recorded a relative path may have meant any directory; these two are likely.
    let beside = path.parent().map(|dir| dir.join(recorded));
    let places = [Some(recorded.into()), beside].into_iter().flatten();
    let mut found = places
        .filter_map(|place: PathBuf| fs::metadata(place).ok())
        // An empty path is the directory.
        .filter(|found| !found.is_dir())
        .peekable();
    if found.peek().is_some() {
        return found.any(|found| backing.is(&found)).then_some(sure);
    }
    // It was moved, or the path is one of a chroot: what it was by size and time is this one.
    let seconds = backing.modified.0.rem_euclid(1 << 32);
    if seen.size() == backing.size && i64::from(seen.modified()) == seconds {
        return Some(sure);
    }
    seen.believe().err().and_then(|problem| doubtful(format!("it {problem}")))
}
