//! Sizes with their unit in the type: bytes, 512-byte sectors, logical blocks, snapshot chunks.

use core::fmt;

/// Bytes in a sector, the kernel's fixed unit for block device sizes (`SECTOR_SIZE`).
pub const SECTOR: u64 = 512;

/// A size or an offset in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub u64);

impl Bytes {
    /// Returns `n` KiB.
    #[must_use]
    pub const fn kib(n: u64) -> Self {
        Self(n << 10)
    }

    /// Returns `n` MiB.
    #[must_use]
    pub const fn mib(n: u64) -> Self {
        Self(n << 20)
    }

    /// Returns `n` GiB.
    #[must_use]
    pub const fn gib(n: u64) -> Self {
        Self(n << 30)
    }

    /// Returns the whole sectors that this size covers, rounded down.
    #[must_use]
    pub const fn sectors(self) -> Sectors {
        Sectors(self.0 / SECTOR)
    }

    /// Returns the size without what a reader does not want to know: whole MiB from 16 MiB on, else whole
    /// KiB, rounded down; less than a KiB is exact.
    #[must_use]
    pub const fn rounded(self) -> Self {
        match self.0 {
            0..1024 => self,
            0x400..0x100_0000 => Self(self.0 & !0x3ff),
            _ => Self(self.0 & !0xf_ffff),
        }
    }

    /// Parses a size: a whole number and an optional binary suffix `K`, `M`, `G` or `T`, of which a
    /// trailing `iB` or `B` may be part (`64M`, `1GiB`, `4096`). `None` for anything else, also for
    /// a size past 2⁶⁴−1 bytes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, suffix) = text.split_at(end);
        let shift = match suffix {
            "" | "B" => 0,
            "K" | "k" | "KiB" => 10,
            "M" | "m" | "MiB" => 20,
            "G" | "g" | "GiB" => 30,
            "T" | "t" | "TiB" => 40,
            _ => return None,
        };
        let number: u64 = number.parse().ok()?;
        number.checked_mul(1 << shift).map(Self)
    }
}

/// Exact, in the largest binary unit that divides the size: `1088 MiB`, `4 KiB`, `1000 bytes`.
impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u32, &str); 4] = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
        if self.0 != 0 {
            for (shift, unit) in UNITS {
                if self.0.trailing_zeros() >= shift {
                    return write!(f, "{} {unit}", self.0 >> shift);
                }
            }
        }
        write!(f, "{} bytes", self.0)
    }
}

/// A size or an offset in sectors of 512 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sectors(pub u64);

impl Sectors {
    /// Returns the size in bytes; a size that no 64-bit byte count holds saturates.
    #[must_use]
    pub const fn bytes(self) -> Bytes {
        Bytes(self.0.saturating_mul(SECTOR))
    }
}

/// As bytes, see [`Bytes`].
impl fmt::Display for Sectors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes().fmt(f)
    }
}

/// The logical block size of a disk: what it can read or write at the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogicalBlock {
    /// 512 bytes.
    B512,
    /// 4096 bytes.
    B4096,
}

impl LogicalBlock {
    /// Returns the block size with `bytes` bytes, or `None` for a size that no partition table of
    /// ours is written with.
    #[must_use]
    pub const fn from_bytes(bytes: u64) -> Option<Self> {
        match bytes {
            512 => Some(Self::B512),
            4096 => Some(Self::B4096),
            _ => None,
        }
    }

    /// Returns the size in bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        match self {
            Self::B512 => 512,
            Self::B4096 => 4096,
        }
    }

    /// Returns the size in sectors: 1 or 8.
    #[must_use]
    pub const fn sectors(self) -> u64 {
        self.bytes() / SECTOR
    }
}

/// The unit in which a dm snapshot copies: a power of two, 8 to 2048 sectors (4 KiB to 1 MiB).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Chunk(u32);

impl Chunk {
    /// The smallest chunk, 4 KiB.
    pub const MIN: Self = Self(8);
    /// The largest chunk, 1 MiB.
    pub const MAX: Self = Self(2048);

    /// Returns the chunk of `bytes` bytes, or `None` unless it is a power of two from 4 KiB to 1 MiB.
    #[must_use]
    pub const fn from_bytes(bytes: Bytes) -> Option<Self> {
        let sectors = bytes.0 / SECTOR;
        if bytes.0.is_power_of_two()
            && sectors >= Self::MIN.0 as u64
            && sectors <= Self::MAX.0 as u64
        {
            Some(Self(sectors as u32))
        } else {
            None
        }
    }

    /// Returns the size in sectors.
    #[must_use]
    pub const fn sectors(self) -> u64 {
        self.0 as u64
    }

    /// Returns the size in bytes.
    #[must_use]
    pub const fn bytes(self) -> Bytes {
        Sectors(self.0 as u64).bytes()
    }
}

/// As bytes, see [`Bytes`].
impl fmt::Display for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn parses_sizes_with_binary_suffixes() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("4K", 4096),
            ("64M", 64 << 20),
            ("1GiB", 1 << 30),
            ("2T", 2 << 40),
        ] {
            assert_eq!(Bytes::parse(text), Some(Bytes(bytes)), "{text}");
        }
        for text in ["", "K", "-1", "1.5G", "1 G", "1X", "1GG", "99999999999999999999", "16777216T"]
        {
            assert_eq!(Bytes::parse(text), None, "{text}");
        }
    }

    #[test]
    fn shows_the_largest_exact_unit() {
        assert_eq!(Bytes::mib(1088).to_string(), "1088 MiB");
        assert_eq!(Bytes::gib(1).to_string(), "1 GiB");
        assert_eq!(Bytes(1000).to_string(), "1000 bytes");
        assert_eq!(Bytes(0).to_string(), "0 bytes");
        assert_eq!(Sectors(8).to_string(), "4 KiB");
    }

    #[test]
    fn a_rounded_size_is_short() {
        for (bytes, text) in [
            (1000, "1000 bytes"),
            (70_000, "68 KiB"),
            ((16 << 20) - 1, "16383 KiB"),
            ((16 << 20) + 5, "16 MiB"),
            ((3 << 30) + 1, "3 GiB"),
        ] {
            assert_eq!(Bytes(bytes).rounded().to_string(), text);
        }
    }

    #[test]
    fn a_chunk_is_a_power_of_two_from_4_kib_to_1_mib() {
        assert_eq!(Chunk::from_bytes(Bytes::kib(4)), Some(Chunk::MIN));
        assert_eq!(Chunk::from_bytes(Bytes::mib(1)), Some(Chunk::MAX));
        for bytes in [0, 512, 2048, 5000, 12288, 2 << 20, u64::MAX] {
            assert_eq!(Chunk::from_bytes(Bytes(bytes)), None, "{bytes}");
        }
    }
}
