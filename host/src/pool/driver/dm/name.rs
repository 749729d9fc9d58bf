//! The names of mapped devices: which files they are over, by file system and inode, whatever these are called.
//!
//! ```text
//! origin-DEV:INO                 what a running VM writes to: base INO on file system DEV
//! snapshot-DEV:INO-DEV:INO       a version: base and store
//! copy-DEV:INO                   a writable copy of a version, in store INO, dropped at stop
//! volatile-DEV:INO               a file that is dropped at stop
//! ```
//! DEV is hexadecimal and INO decimal, as `stat -c %D:%i` prints them. Links and renames change nothing of it.

use crate::pool::store::Inode;
use std::{fmt, str::FromStr};

/// The name of a device of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    /// What a running VM writes to.
    Origin(Inode),
    /// A version.
    Snapshot {
        /// The file that the origin writes to.
        base: Inode,
        /// The file with what the base had when it was this version.
        store: Inode,
    },
    /// A writable copy of a version, by its own store.
    Copy(Inode),
    /// A file that is dropped at stop.
    Volatile(Inode),
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inode = |of: &Inode| format!("{:x}:{}", of.device, of.number);
        match self {
            Self::Origin(base) => write!(f, "origin-{}", inode(base)),
            Self::Snapshot { base, store } => {
                write!(f, "snapshot-{}-{}", inode(base), inode(store))
            }
            Self::Copy(store) => write!(f, "copy-{}", inode(store)),
            Self::Volatile(file) => write!(f, "volatile-{}", inode(file)),
        }
    }
}

/// Reads what `Display` writes, and nothing else: every other device is somebody else's.
impl FromStr for Name {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let inode = |text: &str| {
            let (device, number) = text.split_once(':').ok_or(())?;
            let device = u64::from_str_radix(device, 16).map_err(drop)?;
            Ok(Inode { device, number: number.parse().map_err(drop)? })
        };
        let (kind, rest) = text.split_once('-').ok_or(())?;
        let name = match (kind, rest.split_once('-')) {
            ("origin", None) => Self::Origin(inode(rest)?),
            ("copy", None) => Self::Copy(inode(rest)?),
            ("volatile", None) => Self::Volatile(inode(rest)?),
            ("snapshot", Some((base, store))) => {
                Self::Snapshot { base: inode(base)?, store: inode(store)? }
            }
            _ => return Err(()),
        };
        if name.to_string() == text { Ok(name) } else { Err(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_stat_prints_and_reads_back() {
        let base = Inode { device: 0xfd01, number: 1234 };
        let store = Inode { device: 0xfd01, number: 99 };
        for (name, text) in [
            (Name::Origin(base), "origin-fd01:1234"),
            (Name::Snapshot { base, store }, "snapshot-fd01:1234-fd01:99"),
            (Name::Copy(store), "copy-fd01:99"),
            (Name::Volatile(store), "volatile-fd01:99"),
        ] {
            assert_eq!(name.to_string(), text);
            assert_eq!(text.parse(), Ok(name));
        }
    }

    #[test]
    fn names_of_others_are_not_ours() {
        for text in [
            "dmroot",
            "origin-",
            "origin-fd01",
            "origin-FD01:1",
            "origin-fd01:01",
            "origin-fd01:1-fd01:2",
            "snapshot-fd01:1",
            "vg-snapshot-1:2",
            "snapshot-1:2-3:4-5:6",
        ] {
            assert_eq!(text.parse::<Name>(), Err(()), "{text}");
        }
    }
}
