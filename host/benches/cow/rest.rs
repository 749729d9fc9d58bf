//! A file system that has nothing left to do.

use super::Result;
use nix::{sys::statvfs::fstatvfs, unistd::syncfs};
use std::{
    fs::File,
    path::Path,
    thread,
    time::{Duration, Instant},
};

/// How often in a row it is to look the same before it is at rest.
const AT_REST: u32 = 3;
/// How long between two looks.
const LOOK: Duration = Duration::from_millis(20);
/// After how long it is measured as it is.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until the file system of `dir` has done what others left to do: extents of removed files are freed in the
/// background, and whoever comes next would pay for it.
pub(crate) fn settle(dir: &Path) -> Result<()> {
    let file = File::open(dir)?;
    let (began, mut last, mut same) = (Instant::now(), None, 0);
    while same < AT_REST && began.elapsed() < PATIENCE {
        syncfs(&file)?;
        let found = fstatvfs(&file)?;
        let now = (found.blocks_free(), found.files_free());
        same = if last == Some(now) { same + 1 } else { 0 };
        last = Some(now);
        thread::sleep(LOOK);
    }
    Ok(())
}
