//! What the kernel has counted.

use super::Result;
use std::{fs, path::Path};

/// Bytes in a sector of the kernel's counters.
const SECTOR: u64 = 512;

/// Returns a line of `/proc/meminfo`, in KiB.
pub(crate) fn memory(what: &str) -> Result<u64> {
    let text = fs::read_to_string("/proc/meminfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix(what)?.strip_prefix(':'));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.ok_or_else(|| format!("/proc/meminfo has no {what}"))?.parse()?)
}

/// Requests and bytes that a device has done.
#[derive(Clone, Copy, Default)]
pub(crate) struct Done {
    pub(crate) read: u64,
    pub(crate) written: u64,
}

impl Done {
    /// Returns those of a device, by its name in `/dev`.
    pub(crate) fn of(name: &str) -> Result<Self> {
        let text = fs::read_to_string(Path::new("/sys/block").join(name).join("stat"))?;
        let numbers: Vec<u64> = text.split_whitespace().filter_map(|n| n.parse().ok()).collect();
        match numbers.as_slice() {
            [_, _, read, _, _, _, written, ..] => {
                Ok(Self { read: read * SECTOR, written: written * SECTOR })
            }
            _ => Err(format!("{name} has no counters: {text}").into()),
        }
    }

    /// Returns what was done since then.
    pub(crate) const fn since(self, then: Self) -> Self {
        Self { read: self.read - then.read, written: self.written - then.written }
    }

    /// Returns both together.
    pub(crate) const fn and(self, other: Self) -> Self {
        Self { read: self.read + other.read, written: self.written + other.written }
    }
}

/// Returns how many block devices there are that begin so and have something, `loop` or `dm-`.
pub(crate) fn devices(beginning: &str) -> Result<usize> {
    let mut count = 0;
    for entry in fs::read_dir("/sys/block")? {
        let entry = entry?;
        let is_one = entry.file_name().to_string_lossy().starts_with(beginning);
        let is_free = beginning == "loop" && !entry.path().join("loop").exists();
        count += usize::from(is_one && !is_free);
    }
    Ok(count)
}
