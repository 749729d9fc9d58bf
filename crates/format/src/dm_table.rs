//! The text of a device-mapper table line.
//!
//! A line is `START LENGTH TARGET ARGUMENTS`, lengths in sectors. Sources: the kernel's
//! Documentation/admin-guide/device-mapper/snapshot.rst and dm-crypt.rst.

use crate::units::{Chunk, Sectors};
use alloc::{string::String, string::ToString};
use core::fmt;

/// What a snapshot does with its exceptions, and when it is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Store {
    /// `N`: exceptions are kept in memory only. When full, every read fails from then on.
    Transient,
    /// `PO`: exceptions are written too. When full, writes fail and reads go on.
    PersistentOverflow,
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Transient => "N",
            Self::PersistentOverflow => "PO",
        })
    }
}

/// A `snapshot` target over a whole origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Length of the mapped device; the origin is at least as long.
    pub size: Sectors,
    /// Path or `MAJOR:MINOR` of the origin, which is only read.
    pub origin: String,
    /// Path or `MAJOR:MINOR` of the copy-on-write device.
    pub cow: String,
    /// Kind of exception store.
    pub store: Store,
    /// Unit of copying.
    pub chunk: Chunk,
}

impl Snapshot {
    /// The name of the target.
    pub const TARGET: &'static str = "snapshot";

    /// Returns the arguments that follow the target's name.
    #[must_use]
    pub fn arguments(&self) -> String {
        let Self { origin, cow, store, chunk, .. } = self;
        alloc::format!("{origin} {cow} {store} {}", chunk.sectors())
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0 {} {} {}", self.size.0, Self::TARGET, self.arguments())
    }
}

/// A `crypt` target over a whole device, with sectors of 512 bytes.
///
/// Larger ones would be quicker, but what is mapped over the device has blocks of that size then, and
/// a file system with smaller ones could not be mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crypt {
    /// Length of the mapped device, and of the one below.
    pub size: Sectors,
    /// Path or `MAJOR:MINOR` of the device that holds what is encrypted.
    pub device: String,
    /// Description of the key in the kernel's keyring; the key itself is never in a table.
    pub key: String,
}

impl Crypt {
    /// The name of the target.
    pub const TARGET: &'static str = "crypt";
    /// AES in the mode for disks, with the number of the sector as its tweak.
    pub const CIPHER: &'static str = "aes-xts-plain64";
    /// Bytes of a key: XTS takes two of AES-256.
    pub const KEY_BYTES: usize = 64;

    /// Returns the arguments that follow the target's name.
    #[must_use]
    pub fn arguments(&self) -> String {
        let Self { device, key, .. } = self;
        alloc::format!("{} :{}:logon:{key} 0 {device} 0", Self::CIPHER, Self::KEY_BYTES)
    }
}

impl fmt::Display for Crypt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0 {} {} {}", self.size.0, Self::TARGET, self.arguments())
    }
}

/// What a snapshot says of itself in its status line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotStatus {
    /// At work; sizes as the store counts them, metadata included in `used`.
    Active {
        /// Sectors that hold data or metadata.
        used: Sectors,
        /// Sectors that there are.
        total: Sectors,
        /// Sectors of `used` that are metadata.
        metadata: Sectors,
    },
    /// A transient store filled up, or a store could not be read: nothing can be read any more.
    Invalid,
    /// A `PO` store filled up: reads go on, writes fail.
    Overflow,
}

impl SnapshotStatus {
    /// Parses the part of the status line that follows the target's name; the text itself comes
    /// back when it is none.
    ///
    /// # Errors
    /// The text, when it has none of the three forms that the kernel writes.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.trim() {
            "Invalid" => return Ok(Self::Invalid),
            "Overflow" => return Ok(Self::Overflow),
            _ => {}
        }
        let numbers = || {
            let (used, rest) = text.trim().split_once('/')?;
            let (total, metadata) = rest.split_once(' ')?;
            Some(Self::Active {
                used: Sectors(used.parse().ok()?),
                total: Sectors(total.parse().ok()?),
                metadata: Sectors(metadata.trim().parse().ok()?),
            })
        };
        numbers().ok_or_else(|| text.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_the_line_that_dmsetup_takes() {
        let snapshot = Snapshot {
            size: Sectors(2048),
            origin: "/dev/vda".into(),
            cow: "254:34".into(),
            store: Store::PersistentOverflow,
            chunk: Chunk::MIN,
        };
        assert_eq!(snapshot.to_string(), "0 2048 snapshot /dev/vda 254:34 PO 8");
    }

    #[test]
    fn names_the_key_and_does_not_hold_it() {
        let crypt = Crypt { size: Sectors(8), device: "/dev/vdb1".into(), key: "a:b".into() };
        assert_eq!(crypt.to_string(), "0 8 crypt aes-xts-plain64 :64:logon:a:b 0 /dev/vdb1 0");
    }

    #[test]
    fn reads_all_three_states() {
        let active = SnapshotStatus::Active {
            used: Sectors(16),
            total: Sectors(4096),
            metadata: Sectors(8),
        };
        assert_eq!(SnapshotStatus::parse("16/4096 8"), Ok(active));
        assert_eq!(SnapshotStatus::parse("Invalid"), Ok(SnapshotStatus::Invalid));
        assert_eq!(SnapshotStatus::parse("Overflow"), Ok(SnapshotStatus::Overflow));
        assert_eq!(SnapshotStatus::parse("Merge failed"), Err("Merge failed".into()));
    }
}
