//! Whether this host has memory for one more machine that nobody waits for.

use crate::error::{Error, Result};
use ebbtide_format::units::Bytes;
use std::{fs, path::Path};

/// What part of the host's memory is left to everything else: a tenth.
const KEPT: u64 = 10;

/// Whether there is room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// There is.
    Enough,
    /// Not beside what is kept for everything else.
    Short {
        /// What could be had without swapping (`MemAvailable`).
        free: Bytes,
        /// How much of it is kept.
        kept: Bytes,
    },
}

/// Returns whether a machine of that much memory would leave a tenth of the host's memory.
///
/// # Errors
/// `/proc/meminfo` is not there, or does not say.
pub(super) fn room_for(machine: Bytes) -> Result<Room> {
    let path = Path::new("/proc/meminfo");
    let text = fs::read_to_string(path).map_err(Error::doing("read /proc/meminfo"))?;
    decide(machine, &text).ok_or_else(|| Error::Unreadable {
        path: path.into(),
        problem: "wanted lines MemTotal and MemAvailable, each with a number of kB".into(),
    })
}

fn decide(machine: Bytes, meminfo: &str) -> Option<Room> {
    let field = |name: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        let number: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(number.saturating_mul(1024))
    };
    let (total, free) = (field("MemTotal")?, field("MemAvailable")?);
    let kept = total / KEPT;
    Some(match free >= machine.0.saturating_add(kept) {
        true => Room::Enough,
        false => Room::Short { free: Bytes(free), kept: Bytes(kept) },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_of_the_memory_is_left_to_others() {
        let meminfo =
            "MemTotal:       10240 kB\nMemFree:        9000 kB\nMemAvailable:    2048 kB\n";
        assert_eq!(decide(Bytes::mib(1), meminfo), Some(Room::Enough));
        let short = Room::Short { free: Bytes::mib(2), kept: Bytes::mib(1) };
        assert_eq!(decide(Bytes(Bytes::mib(1).0 + 1), meminfo), Some(short));
        assert_eq!(decide(Bytes(u64::MAX), meminfo), Some(short));
        assert_eq!(decide(Bytes(0), "MemTotal: 1 kB"), None);
    }
}
