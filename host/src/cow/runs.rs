//! What a COW file holds, in the order of the device.

use crate::Result;
use std::ops::Range;

/// Bytes of the device that are in the COW file, in one piece in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// First byte in the device.
    pub at: u64,
    /// First byte in the COW file.
    pub from: u64,
    /// Bytes; never 0, and never past the end of the device.
    pub length: u64,
}

impl Run {
    /// Returns which bytes of the device they are.
    #[must_use]
    pub const fn range(&self) -> Range<u64> {
        self.at..self.at + self.length
    }

    /// Returns both as one, when `next` follows without a gap in the device and in the COW file.
    #[must_use]
    pub fn joined(self, next: Self) -> Option<Self> {
        let follows = self.at + self.length == next.at && self.from + self.length == next.from;
        follows.then(|| Self { length: self.length + next.length, ..self })
    }
}

/// Runs in the order of the device: none overlaps another, and none could be joined with the next. An error is the last
/// that comes.
pub type Runs<'a> = Box<dyn Iterator<Item = Result<Run>> + 'a>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_one_piece_in_both_is_one_run() {
        let run = |at, from| Run { at, from, length: 512 };
        assert_eq!(run(0, 100).joined(run(512, 612)), Some(Run { length: 1024, ..run(0, 100) }));
        assert_eq!(run(0, 100).joined(run(512, 700)), None);
        assert_eq!(run(0, 100).joined(run(1024, 612)), None);
    }
}
