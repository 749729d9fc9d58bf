//! Sizes as a type: what goes into disks and memory, and what comes out of their counters.

use std::fmt;

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Size(u64);

impl Size {
    /// Returns a size of `count` bytes.
    pub const fn bytes(count: u64) -> Self {
        Self(count)
    }

    /// Returns a size of `count` KiB.
    pub const fn kib(count: u64) -> Self {
        Self(count << 10)
    }

    /// Returns a size of `count` MiB.
    pub const fn mib(count: u64) -> Self {
        Self(count << 20)
    }

    /// Returns a size of `count` GiB.
    pub const fn gib(count: u64) -> Self {
        Self(count << 30)
    }

    /// Returns a size of `count` sectors of 512 bytes.
    pub const fn sectors(count: u64) -> Self {
        Self(count * 512)
    }

    /// Returns the number of bytes.
    pub const fn as_bytes(self) -> u64 {
        self.0
    }

    /// Returns the number of whole sectors of 512 bytes.
    pub const fn as_sectors(self) -> u64 {
        self.0 / 512
    }

    /// Returns the number of whole MiB.
    pub const fn as_mib(self) -> u64 {
        self.0 >> 20
    }

    /// Returns the difference to an earlier count, zero when that was larger.
    pub const fn since(self, earlier: Self) -> Self {
        Self(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, shift) in [("GiB", 30), ("MiB", 20), ("KiB", 10)] {
            if self.0 != 0 && self.0.trailing_zeros() >= shift {
                return write!(f, "{} {unit}", self.0 >> shift);
            }
        }
        write!(f, "{} bytes", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_the_largest_unit_that_divides_it() {
        assert_eq!(Size::gib(2).to_string(), "2 GiB");
        assert_eq!(Size::mib(1536).to_string(), "1536 MiB");
        assert_eq!(Size::sectors(3).to_string(), "1536 bytes");
        assert_eq!(Size::bytes(0).to_string(), "0 bytes");
    }
}
