//! The snapshots of a pool, as their records tell.

use super::{
    FILE, FORMAT, Snapshot,
    lineage::{Link, faults},
};
use crate::{
    error::{Error, Result},
    pool::Pool,
    record as text,
};
use std::{
    io,
    path::{Path, PathBuf},
};

/// Returns the snapshots of a pool, oldest first, and why others cannot be read. One that comes after itself, or is of
/// itself, is among the others.
///
/// # Errors
/// The directory cannot be read.
pub fn snapshots(pool: &Pool) -> Result<(Vec<Snapshot>, Vec<Error>)> {
    let Loaded { found, refused } = load(pool)?;
    Ok((found, refused.into_iter().map(|(_, error)| error).collect()))
}

/// What is found in the directory of snapshots.
pub(super) struct Loaded {
    /// Those that have a place in the tree, oldest first.
    pub(super) found: Vec<Snapshot>,
    /// The directories of others, and why.
    pub(super) refused: Vec<(PathBuf, Error)>,
}

/// Reads all snapshots.
pub(super) fn load(pool: &Pool) -> Result<Loaded> {
    let (mut found, mut refused) = (Vec::new(), Vec::new());
    for dir in pool.snapshot_dirs()? {
        match read(pool, &dir) {
            Ok(Some(snapshot)) => found.push(snapshot),
            // Removed since the directory was listed.
            Ok(None) => {}
            Err(error) => refused.push((dir, error)),
        }
    }
    let links: Vec<Link> = found.iter().map(Link::from).collect();
    let faults = faults(&links);
    found.retain(|snapshot| match faults.get(&snapshot.uuid) {
        None => true,
        Some(fault) => {
            let dir = snapshot.dir();
            let problem = format!("it {fault}");
            let path = pool.store().real(&dir.join(FILE));
            refused.push((dir, Error::Unreadable { path, problem }));
            false
        }
    });
    found.sort_by_key(|snapshot| (snapshot.time, snapshot.uuid));
    Ok(Loaded { found, refused })
}

/// Reads the record of one snapshot; `None` when it is gone with its directory.
pub(super) fn read(pool: &Pool, dir: &Path) -> Result<Option<Snapshot>> {
    let file = dir.join(FILE);
    let real = pool.store().real(&file);
    let content = match pool.store().read(&file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let there = pool.store().stat(dir);
            if there.map_err(Error::doing(format!("look at {}", dir.display())))?.is_none() {
                return Ok(None);
            }
            return Err(Error::Unreadable { path: real, problem: "it is missing".into() });
        }
        content => content.map_err(Error::doing(format!("read {}", file.display())))?,
    };
    read_unrelated(&content, dir, &real).map(Some)
}

/// Reads a record, whatever others say. `file` is for messages.
pub(crate) fn read_unrelated(content: &[u8], dir: &Path, file: &Path) -> Result<Snapshot> {
    let snapshot: Snapshot = text::parse(content, file, FORMAT)?;
    let wanted = dir.file_name().unwrap_or_default().to_string_lossy();
    if snapshot.uuid.to_string() == wanted {
        return Ok(snapshot);
    }
    let problem = format!("uuid is {}, and its directory is {wanted}", snapshot.uuid);
    Err(Error::Unreadable { path: file.into(), problem })
}
