//! A file system is checked before it is mounted, and what came of it decides how.

use super::{Site, Tally, program};
use std::path::Path;

/// How a file system may be mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// For writing.
    Writable,
    /// For writing, but as large as it is: nobody has looked at it.
    Unchecked,
    /// For reading alone: it has faults that the check did not dare to repair, or was cut at it.
    ReadOnly,
}

/// Checks one of the ext family with the root's own tool: replays the journal and repairs what can be
/// repaired without a question. The kernel does that for XFS and btrfs.
pub(crate) fn ext(site: &Site, disk: &Path, tally: &mut Tally) -> Verdict {
    let node = disk.display();
    log::info!("checking {node}");
    let ran = program::run(site, "e2fsck", &["-p", &node.to_string()], program::LONG);
    for line in ran.iter().flat_map(program::Ran::lines) {
        log::info!("e2fsck: {line}");
    }
    let came = match ran {
        Ok(ran) => judge(ran.status, ran.missing),
        // It was not started, so nothing is half done.
        Err(error) => Came::Unchecked(error.to_string()),
    };
    match came {
        Came::Clean => Verdict::Writable,
        Came::Repaired => {
            log::warn!("private disk {node} had faults; they are repaired");
            Verdict::Writable
        }
        Came::Unchecked(why) => {
            log::warn!("private disk {node} is mounted unchecked: {why}");
            Verdict::Unchecked
        }
        Came::Faulty => {
            tally.fail(&format_args!(
                "private disk {node} has faults that e2fsck -p does not repair, so it can only be \
                 read (run e2fsck -f on it, on the host or where it is not mounted)"
            ));
            Verdict::ReadOnly
        }
        Came::Cut(why) => {
            tally.fail(&format_args!(
                "private disk {node} was not checked to the end, so it can only be read: {why}"
            ));
            Verdict::ReadOnly
        }
    }
}

/// What came of a check.
#[derive(Debug, PartialEq, Eq)]
enum Came {
    Clean,
    Repaired,
    /// Faults are left.
    Faulty,
    /// Nobody has looked at it, and nobody has touched it.
    Unchecked(String),
    /// It may be half repaired.
    Cut(String),
}

/// The exit status of e2fsck(8): 1 and 2 are repairs, 4 is faults that are left; the rest says nothing
/// about the file system. A loader has numbers of its own, from 126 on.
fn judge(status: Result<i32, String>, missing: bool) -> Came {
    match status {
        Ok(0) => Came::Clean,
        Ok(1..4) => Came::Repaired,
        Ok(status @ 4..64) if status & LEFT != 0 => Came::Faulty,
        Ok(status) => Came::Unchecked(format!("e2fsck failed, status {status}")),
        Err(why) if missing => Came::Unchecked(why),
        Err(why) => Came::Cut(why),
    }
}

const LEFT: i32 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_check_that_ended_well_or_never_began_leaves_it_writable() {
        let why = "why".to_string();
        for (status, missing, came) in [
            (Ok(0), false, Came::Clean),
            (Ok(1), false, Came::Repaired),
            (Ok(3), false, Came::Repaired),
            (Ok(4), false, Came::Faulty),
            (Ok(12), false, Came::Faulty),
            (Ok(8), false, Came::Unchecked("e2fsck failed, status 8".to_string())),
            (Ok(127), false, Came::Unchecked("e2fsck failed, status 127".to_string())),
            (Err(why.clone()), true, Came::Unchecked(why.clone())),
            (Err(why.clone()), false, Came::Cut(why)),
        ] {
            let text = format!("{status:?}");
            assert_eq!(judge(status, missing), came, "{text}");
        }
    }
}
