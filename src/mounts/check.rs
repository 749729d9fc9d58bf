//! A file system is checked before it is mounted, and what came of it decides how.

use super::{Site, Tally, program};
use std::path::Path;

/// How a file system may be mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// For writing.
    Writable,
    /// For reading alone: it has faults that the check did not dare to repair.
    ReadOnly,
}

/// Checks one of the ext family with the root's own tool: replays the journal and repairs what can be
/// repaired without a question. The kernel does that for XFS and btrfs.
pub(crate) fn ext(site: &Site, disk: &Path, tally: &mut Tally) -> Verdict {
    let node = disk.display();
    let ran = match program::run(site, "e2fsck", &["-p", &node.to_string()]) {
        Ok(ran) => ran,
        Err(error) => {
            log::warn!("private disk {node} is mounted unchecked: {error}");
            return Verdict::Writable;
        }
    };
    for line in ran.lines() {
        log::info!("e2fsck: {line}");
    }
    match ran.status {
        Ok(0) => {}
        Ok(1..4) => log::warn!("private disk {node} had faults; they are repaired"),
        Ok(status @ 4..64) if status & LEFT != 0 => {
            tally.fail(&format_args!(
                "private disk {node} has faults that e2fsck -p does not repair, so it can only be \
                 read (run e2fsck -f on it, on the host or where it is not mounted)"
            ));
            return Verdict::ReadOnly;
        }
        Ok(status) => {
            log::warn!("private disk {node} is mounted unchecked: e2fsck failed, status {status}");
        }
        Err(why) => log::warn!("private disk {node} is mounted unchecked: {why}"),
    }
    Verdict::Writable
}

/// The exit status of e2fsck(8): 1 and 2 are repairs, 4 is faults that are left; the rest says nothing
/// about the file system. A loader has numbers of its own, from 126 on.
const LEFT: i32 = 4;
