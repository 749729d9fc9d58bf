//! Where files lie, and what a file system does about it.

use super::Result;
use ebbtide_sys::{
    fiemap::{self, Extent},
    reflink,
};
use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::Path,
};

/// How much is read at once.
const PIECE: usize = 4 << 20;

/// Returns whether the file system of a directory clones.
pub(crate) fn clones(dir: &Path) -> Result<bool> {
    let [one, other] = ["one", "other"].map(|name| dir.join(name));
    fs::write(&one, vec![1; 4096])?;
    let cloned = reflink::clone(&File::open(&one)?, &File::create_new(&other)?).is_ok();
    fs::remove_file(one)?;
    fs::remove_file(other)?;
    Ok(cloned)
}

/// Returns whether the file system of a directory writes to a new place what is written again, as btrfs does.
pub(crate) fn moves(dir: &Path) -> Result<bool> {
    let path = dir.join("one");
    let file = File::create_new(&path)?;
    let mut seen = Vec::new();
    for byte in [1, 2] {
        file.write_all_at(&vec![byte; PIECE], 0)?;
        file.sync_all()?;
        seen.push(of(&file)?);
    }
    fs::remove_file(path)?;
    Ok(seen[0] != seen[1])
}

/// Returns where a file lies; room after its end comes and goes.
pub(crate) fn of(file: &File) -> Result<Vec<Extent>> {
    let size = file.metadata()?.len();
    let mut all = fiemap::extents(file)?;
    all.retain(|extent| extent.logical < size);
    for extent in &mut all {
        extent.length = extent.length.min(size - extent.logical);
        extent.flags &= !(Extent::LAST | Extent::UNWRITTEN);
    }
    Ok(all)
}

/// Reads what a file has as data, so that it is in the page cache.
pub(crate) fn warm(path: &Path) -> Result<()> {
    let file = File::open(path)?;
    let mut buffer = vec![0; PIECE];
    for extent in fiemap::extents(&file)? {
        let (mut at, end) = (extent.logical, extent.logical + extent.length);
        while at < end {
            let want = buffer.len().min((end - at) as usize);
            let length = file.read_at(&mut buffer[..want], at)?;
            if length == 0 {
                break;
            }
            at += length as u64;
        }
    }
    Ok(())
}
