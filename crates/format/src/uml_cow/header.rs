//! The header: as it is written, and as it was checked.

use super::{
    ByteOrder, Problem, Version,
    layout::{Layout, MAGIC},
};
use crate::units::{Bytes, SECTOR};
use core::ops::Range;

/// What stands in a header, and nothing of it checked but that it is one.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    version: Version,
    /// The whole field.
    path: &'a [u8],
    modified: u32,
    size: u64,
    sector: u32,
    alignment: u32,
    format: u32,
}

/// A header whose numbers were checked: no sum of them overflows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    version: Version,
    backing: &'a [u8],
    modified: u32,
    size: u64,
    alignment: u32,
    bitmap: Range<u64>,
    data: u64,
}

/// What the first bytes of a file are read with.
#[derive(Clone, Copy)]
struct Head<'a>(&'a [u8]);

impl<'a> Head<'a> {
    /// Returns the bytes at an offset; they are there when the header was long enough.
    fn field<const N: usize>(self, at: usize) -> Result<[u8; N], Problem> {
        let field = self.0.get(at..).and_then(|rest| rest.first_chunk());
        field.copied().ok_or(Problem::Short { wanted: at + N, found: self.0.len() })
    }

    fn slice(self, range: Range<usize>) -> Result<&'a [u8], Problem> {
        let wanted = range.end;
        self.0.get(range).ok_or(Problem::Short { wanted, found: self.0.len() })
    }

    /// Returns which header it is.
    fn version(self) -> Result<Version, Problem> {
        let magic = self.field(0).map_err(|_| Problem::NotUmlCow)?;
        let order = match (ByteOrder::Little.u32(magic), ByteOrder::Big.u32(magic)) {
            (MAGIC, _) => ByteOrder::Little,
            (_, MAGIC) => ByteOrder::Big,
            _ => return Err(Problem::NotUmlCow),
        };
        match (order, order.u32(self.field(4)?)) {
            (order, 1) => Ok(Version::V1(order)),
            (ByteOrder::Big, 2) => Ok(Version::V2),
            // Where a packed header has its path, which is not empty, an unpacked one has its format, 0.
            (ByteOrder::Big, 3) if self.field(32)? == [0; 4] => Ok(Version::V3Unpacked),
            (ByteOrder::Big, 3) => Ok(Version::V3),
            (_, unknown) => Err(Problem::UnknownVersion(unknown)),
        }
    }
}

impl<'a> Seen<'a> {
    /// Reads a header from the first bytes of a file, up to [`super::HEAD`] of them; fewer are enough where the header is
    /// whole.
    ///
    /// # Errors
    /// [`Problem::NotUmlCow`] when it begins with something else.
    pub fn parse(head: &'a [u8]) -> Result<Self, Problem> {
        let head = Head(head);
        let version = head.version()?;
        let Layout { order, modified, size, sector, alignment, path, end } = version.layout();
        head.slice(0..end)?;
        let (alignment, format) = match alignment {
            Some(at) => (order.u32(head.field(at)?), order.u32(head.field(at + 4)?)),
            None => (order.u32(head.field(sector)?), 0),
        };
        Ok(Self {
            version,
            path: head.slice(path)?,
            modified: order.u32(head.field(modified)?),
            size: order.u64(head.field(size)?),
            sector: order.u32(head.field(sector)?),
            alignment,
            format,
        })
    }

    /// Returns which header it is.
    #[must_use]
    pub const fn version(self) -> Version {
        self.version
    }

    /// Returns what stands for the path of the backing file, up to its first zero byte; it may be empty.
    #[must_use]
    pub fn backing(self) -> &'a [u8] {
        self.path.split(|byte| *byte == 0).next().unwrap_or_default()
    }

    /// Returns what stands for the time when the backing file was last written to, in seconds since 1970.
    #[must_use]
    pub const fn modified(self) -> u32 {
        self.modified
    }

    /// Returns what stands for the size of the backing file.
    #[must_use]
    pub const fn size(self) -> Bytes {
        Bytes(self.size)
    }

    /// Returns the header when all of it makes sense.
    ///
    /// # Errors
    /// What does not.
    pub fn believe(self) -> Result<Header<'a>, Problem> {
        let backing = self.backing();
        if backing.is_empty() {
            return Err(Problem::NoPath);
        }
        if backing.len() == self.path.len() {
            return Err(Problem::EndlessPath);
        }
        // The kernel reckons the length of the bitmap with this number, and with 512 what its bits stand for: another
        // number has never been of any use, and is a damaged one.
        if u64::from(self.sector) != SECTOR {
            return Err(Problem::Sector(self.sector));
        }
        let is_aligned = u64::from(self.alignment) >= SECTOR && self.alignment <= MAX_ALIGNMENT;
        if !self.alignment.is_power_of_two() || !is_aligned {
            return Err(Problem::Alignment(self.alignment));
        }
        if self.format != 0 {
            return Err(Problem::Format(self.format));
        }
        let (bitmap, data) = self.places().ok_or(Problem::Size(self.size))?;
        let Self { version, modified, size, alignment, .. } = self;
        Ok(Header { version, backing, modified, size, alignment, bitmap, data })
    }

    /// Returns where the bitmap and the data are, if a file can be so long.
    fn places(self) -> Option<(Range<u64>, u64)> {
        let alignment = u64::from(self.alignment);
        let header = u64::try_from(self.version.layout().end).ok()?;
        let (start, length) = match self.version {
            // The bytes are rounded up to sectors, but the bits down to bytes: cow_sizes() in cow_user.c.
            Version::V1(_) | Version::V2 => {
                (header, self.size.checked_add(SECTOR - 1)? / SECTOR / 8)
            }
            Version::V3 | Version::V3Unpacked => (
                header.checked_next_multiple_of(alignment)?,
                self.size.div_ceil(SECTOR).div_ceil(8),
            ),
        };
        let end = start.checked_add(length)?;
        let data = end.checked_next_multiple_of(alignment)?;
        let last = data.checked_add(self.size)?.checked_next_multiple_of(alignment)?;
        i64::try_from(last).ok().map(|_| (start..end, data))
    }
}

/// The largest page that a machine with user-mode Linux could have: it writes the size of its own.
const MAX_ALIGNMENT: u32 = 1 << 16;

impl<'a> Header<'a> {
    /// Returns which header it is.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// Returns the path of the backing file; never empty, without a zero byte.
    #[must_use]
    pub const fn backing(&self) -> &'a [u8] {
        self.backing
    }

    /// Returns when the backing file was last written to, in seconds since 1970.
    #[must_use]
    pub const fn modified(&self) -> u32 {
        self.modified
    }

    /// Returns the size of the backing file, and so of the device.
    #[must_use]
    pub const fn size(&self) -> Bytes {
        Bytes(self.size)
    }

    /// Returns the bytes of a sector, which is what one bit stands for.
    #[must_use]
    pub const fn sector(&self) -> u64 {
        SECTOR
    }

    /// Returns where in the file the bitmap is.
    #[must_use]
    pub const fn bitmap(&self) -> Range<u64> {
        self.bitmap.start..self.bitmap.end
    }

    /// Returns how many sectors the device has that have a bit. In versions 1 and 2 up to seven at the end have none.
    #[must_use]
    pub fn bits(&self) -> u64 {
        let bits = (self.bitmap.end - self.bitmap.start).saturating_mul(8);
        bits.min(self.size.div_ceil(SECTOR))
    }

    /// Returns where in the file the data is.
    #[must_use]
    pub const fn data(&self) -> u64 {
        self.data
    }

    /// Returns how long the file is.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.data + self.size
    }

    /// Looks whether a file is as long as its header says, which shows most damages of the numbers that nothing else
    /// depends on.
    ///
    /// The bitmap must be there, and of version 3 all of it, which is made as long as it will ever be. The last sector may
    /// be whole, and a copy may have been filled up to the alignment.
    ///
    /// # Errors
    /// [`Problem::ShortFile`], [`Problem::LongFile`].
    pub fn fits(&self, file: u64) -> Result<(), Problem> {
        self.reaches(file)?;
        let wanted = self.end().next_multiple_of(u64::from(self.alignment));
        if file > wanted { Err(Problem::LongFile { wanted, found: file }) } else { Ok(()) }
    }

    /// Looks whether a device has room for all that its header says; of its end nothing else can be said.
    ///
    /// # Errors
    /// [`Problem::ShortFile`].
    pub fn reaches(&self, device: u64) -> Result<(), Problem> {
        let wanted = match self.version {
            Version::V1(_) | Version::V2 => self.bitmap.end,
            Version::V3 | Version::V3Unpacked => self.end(),
        };
        if device < wanted {
            return Err(Problem::ShortFile { version: self.version, wanted, found: device });
        }
        Ok(())
    }
}
