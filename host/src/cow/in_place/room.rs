//! Whether there is room for what a merge will newly allocate.

use crate::{
    Error, Result,
    cow::{Disk, Kind, Runs, Sharing, free::free, transfer::block},
    error::{Refusal, RefusalKind},
    file::next_data,
};
use ebbtide_format::units::Bytes;
use ebbtide_sys::reflink;
use nix::libc;
use std::{fs::OpenOptions, os::unix::fs::OpenOptionsExt as _};

/// What a merge will bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Wanted {
    /// All bytes of all runs.
    pub(super) whole: Bytes,
    /// Those of them that go into holes of the backing.
    pub(super) new: Bytes,
}

/// Reads all runs, which finds whatever is wrong with any of them while nothing is changed.
///
/// # Errors
/// The first that a run gave; the kernel's.
pub(super) fn wanted(runs: Runs<'_>, backing: &Disk) -> Result<Wanted> {
    let mut wanted = Wanted::default();
    for run in runs {
        let run = run?;
        wanted.whole.0 += run.length;
        if backing.kind == Kind::Device {
            continue;
        }
        let (mut at, end) = (run.at, run.range().end);
        while at < end {
            let data = next_data(&backing.file, at..end)
                .map_err(Error::doing(format!("look for holes of {}", backing.path.display())))?;
            let data = data.unwrap_or(end..end);
            wanted.new.0 += data.start - at;
            at = data.end;
        }
    }
    Ok(wanted)
}

/// Asserts that what goes into holes finds room. What is cloned needs none; what is written over finds its own on most
/// file systems, and where it does not, the merge is cut off by that, and is finished by repeating it.
///
/// # Errors
/// There is less.
pub(super) fn suffices(wanted: Wanted, sharing: Sharing, cow: &Disk, backing: &Disk) -> Result<()> {
    let path = backing.path.display();
    let free = free(backing)?;
    if wanted.new <= free || sharing == Sharing::WhereItCan && can_clone(cow, backing)? {
        return Ok(());
    }
    let cow = cow.path.display();
    let text = format!(
        "{} of {cow} go where {path} has holes, and its file system has {free} free",
        wanted.new
    );
    Err(Refusal::new(RefusalKind::Unable, text).hint("make room first").into())
}

/// Returns whether a file in the directory of the backing can share extents with the COW file.
fn can_clone(cow: &Disk, backing: &Disk) -> Result<bool> {
    let Some(block) = block(backing)?.filter(|_| cow.kind == Kind::File) else { return Ok(false) };
    let Ok(real) = std::fs::canonicalize(&backing.path) else { return Ok(false) };
    let mut options = OpenOptions::new();
    options.write(true).custom_flags(libc::O_TMPFILE | libc::O_CLOEXEC);
    let file = options.open(real.parent().unwrap_or(&real));
    // A length of 0 is all of it.
    let length = if cow.size.0 > block { block } else { 0 };
    Ok(file.is_ok_and(|file| reflink::clone_range(&cow.file, 0, length, &file, 0).is_ok()))
}
