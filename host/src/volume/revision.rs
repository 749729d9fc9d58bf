//! A version that is kept: its number and the time at which it was last written to.
//!
//! In file names it stands behind the clean image's name: `root.img.7@2026-11-20T10:00:00Z`, and without a number,
//! `root.img@2026-11-20T10:00:00Z`, in trees from before there were numbers. These are Qubes' names of revisions in
//! a file-reflink pool.

use jiff::Timestamp;
use std::{fmt, str::FromStr};

/// A kept version. Ordered by age, oldest first: those without a number are older than all that have one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision {
    /// Counts up from 1.
    pub number: Option<u64>,
    /// When its content was last changed, to the second.
    pub time: Timestamp,
}

/// As it stands behind the clean image's name, `.7@2026-11-20T10:00:00Z` or `@2026-11-20T10:00:00Z`.
impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(number) = self.number {
            write!(f, ".{number}")?;
        }
        write!(f, "@{:.0}", self.time)
    }
}

/// Reads what `Display` writes, and nothing else.
impl FromStr for Revision {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (number, time) = text.split_once('@').ok_or(())?;
        let number = match number.strip_prefix('.') {
            Some(digits) => Some(digits.parse().map_err(drop)?),
            None if number.is_empty() => None,
            None => return Err(()),
        };
        let time = time.parse().map_err(drop)?;
        let revision = Self { number, time };
        if revision.to_string() == text { Ok(revision) } else { Err(()) }
    }
}
