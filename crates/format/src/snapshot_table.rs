//! The table of a snapshot in operation, as device-mapper tells it.
//!
//! `ORIGIN COW STORE CHUNK [FEATURES]`, devices as `MAJOR:MINOR` and the chunk in sectors. Source:
//! `snapshot_status` in the kernel's drivers/md/dm-snap.c, `persistent_status` and
//! `transient_status` beside it.

use crate::units::Chunk;
use alloc::string::{String, ToString};

/// Where exceptions are kept, and what happens when there is no room for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `N`: in memory. When full, every read fails.
    Transient,
    /// `P`: in the store too. When full, every read fails.
    Persistent,
    /// `PO`: in the store too. When full, writes fail and reads go on.
    PersistentOverflow,
}

impl Kind {
    /// Returns the kernel's word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Transient => "N",
            Self::Persistent => "P",
            Self::PersistentOverflow => "PO",
        }
    }
}

/// A snapshot that is mapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotTable {
    /// Number of the origin, `MAJOR:MINOR`.
    pub origin: String,
    /// Number of the copy-on-write device.
    pub cow: String,
    /// Kind of store.
    pub kind: Kind,
    /// Unit of copying.
    pub chunk: Chunk,
}

impl SnapshotTable {
    /// Parses the arguments that follow the target's name; `None` for what no kernel writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let mut device = || words.next().filter(|w| is_number(w)).map(str::to_string);
        let (origin, cow) = (device()?, device()?);
        let kind = match words.next()? {
            "N" => Kind::Transient,
            "P" => Kind::Persistent,
            "PO" => Kind::PersistentOverflow,
            _ => return None,
        };
        let sectors: u32 = words.next()?.parse().ok()?;
        let chunk = Chunk::from_bytes(crate::units::Sectors(sectors.into()).bytes())?;
        Some(Self { origin, cow, kind, chunk })
    }
}

/// Tells whether a word is a device number: it goes into paths.
fn is_number(word: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    word.split_once(':').is_some_and(|(major, minor)| digits(major) && digits(minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_kernel_writes() {
        let table = SnapshotTable::parse("254:0 254:34 PO 8").unwrap();
        assert_eq!((table.origin.as_str(), table.cow.as_str()), ("254:0", "254:34"));
        assert_eq!((table.kind, table.chunk), (Kind::PersistentOverflow, Chunk::MIN));
        let table = SnapshotTable::parse("7:0 253:1 N 2048 1 discard_zeroes_cow").unwrap();
        assert_eq!((table.kind.word(), table.chunk), ("N", Chunk::MAX));
    }

    #[test]
    fn nothing_else_passes() {
        for text in [
            "",
            "254:0",
            "254:0 254:1 N",
            "254:0 254:1 X 8",
            "a:b 254:1 N 8",
            "../x 254:1 N 8",
            "1:0 1:1 N 9",
        ] {
            assert_eq!(SnapshotTable::parse(text), None, "{text}");
        }
    }
}
