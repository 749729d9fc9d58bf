//! What both protocols can do, and how the time of one operation is taken.

use super::Result;
use nix::{sys::statvfs::fstatvfs, unistd::syncfs};
use std::{
    fs::File,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

/// How often in a row a file system is to look the same before it is at rest.
const AT_REST: u32 = 4;
/// How long between two looks.
const LOOK: Duration = Duration::from_millis(25);
/// After how long it is measured as it is.
const PATIENCE: Duration = Duration::from_secs(60);

/// A template and an AppVM on it.
pub(crate) trait Protocol: Sync {
    /// Returns whose it is.
    fn name(&self) -> &'static str;
    /// Starts the template and returns what it writes to.
    fn start_template(&self) -> Result<PathBuf>;
    /// Ends the template, and what it wrote.
    fn discard_template(&self) -> Result<()>;
    /// Ends the template: what it wrote is the new version, and durable when this returns.
    fn commit(&self) -> Result<()>;
    /// What is done in the background after a commit: the next dirty image, and what need not be done before.
    fn afterwards(&self) -> Result<()>;
    /// Starts the AppVM's root.
    fn start_root(&self) -> Result<()>;
    /// Ends the AppVM's root.
    fn stop_root(&self) -> Result<()>;
}

/// Returns what an operation came to, and how long it took.
pub(crate) fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, Duration)> {
    let began = Instant::now();
    let done = work()?;
    Ok((done, began.elapsed()))
}

/// Says how long something took.
pub(crate) fn took(who: &str, shape: &dyn std::fmt::Display, time: Duration, what: &str) {
    println!("took {who} {shape} {} {what}", time.as_nanos());
}

/// Waits until the file system of `dir` has done what others left to do: extents of removed clones are freed in the
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
