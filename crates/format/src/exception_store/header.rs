//! The header of a store: as it was seen, and as it is believed.

use super::{EXCEPTION, Exception, Problem};
use crate::units::{Bytes, SECTOR};
use core::ops::Range;

/// Bytes of the header, all that [`Seen::parse`] looks at.
pub const HEAD: usize = 16;
/// "SnAp".
pub const MAGIC: u32 = 0x7041_6e53;
/// The only version there is.
pub const VERSION: u32 = 1;
/// The largest chunk that the kernel takes, in sectors: a power of two whose bytes an `int` holds.
pub const MAX_CHUNK: u32 = 1 << 21;

/// A header, with nothing of it believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A magic of 0: the kernel would make a new store here, and so would it of any disk that begins
    /// with zeros, many file systems among them.
    Empty,
    /// A header.
    Header {
        /// Not 0 while the store may be used.
        valid: u32,
        /// Version of the format.
        version: u32,
        /// Sectors of a chunk.
        chunk: u32,
    },
}

impl Seen {
    /// Reads the first [`HEAD`] bytes of a store.
    ///
    /// # Errors
    /// There are fewer, or the magic is neither a store's nor 0.
    pub fn parse(head: &[u8]) -> Result<Self, Problem> {
        let short = Problem::Short { found: head.len() };
        let (fields, _) = head.split_at_checked(HEAD).ok_or(short)?;
        let (words, _) = fields.as_chunks::<4>();
        let [magic, valid, version, chunk] = *words else { return Err(short) };
        match u32::from_le_bytes(magic) {
            0 => Ok(Self::Empty),
            MAGIC => Ok(Self::Header {
                valid: u32::from_le_bytes(valid),
                version: u32::from_le_bytes(version),
                chunk: u32::from_le_bytes(chunk),
            }),
            found => Err(Problem::NotStore { found }),
        }
    }

    /// Returns the header of a store of `store` bytes whose exceptions may be read.
    ///
    /// # Errors
    /// The store is empty, of another version, marked invalid, or has no room for its first metadata; or no
    /// kernel takes its chunk size.
    pub fn believe(self, store: Bytes) -> Result<Header, Problem> {
        let Self::Header { valid, version, chunk } = self else { return Err(Problem::Empty) };
        if version != VERSION {
            return Err(Problem::Version { found: version });
        }
        if !chunk.is_power_of_two() || chunk > MAX_CHUNK {
            return Err(Problem::ChunkSize { found: chunk });
        }
        if valid == 0 {
            return Err(Problem::Invalid);
        }
        let header = Header { sectors: chunk, chunks: store.0 / (u64::from(chunk) * SECTOR) };
        match header.area(0) {
            Some(_) => Ok(header),
            None => Err(Problem::Truncated {
                found: store,
                wanted: Bytes(header.chunk().0.saturating_mul(2)),
            }),
        }
    }
}

/// The header of a store that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Sectors of a chunk, a power of two up to [`MAX_CHUNK`].
    sectors: u32,
    /// Whole chunks that the store has room for; their bytes fit into 64 bits.
    chunks: u64,
}

impl Header {
    /// Returns the size of a chunk: a power of two from 512 bytes to 1 GiB.
    #[must_use]
    pub const fn chunk(&self) -> Bytes {
        Bytes(self.sectors as u64 * SECTOR)
    }

    /// Returns how many whole chunks the store has room for, header and metadata among them.
    #[must_use]
    pub const fn chunks(&self) -> u64 {
        self.chunks
    }

    /// Returns how many exceptions a metadata chunk holds.
    #[must_use]
    pub const fn per_area(&self) -> u64 {
        self.chunk().0 / EXCEPTION
    }

    /// Returns which bytes of the store are the metadata of an area; `None` when the store ends before they do.
    #[must_use]
    pub const fn area(&self, area: u64) -> Option<Range<u64>> {
        let Some(before) = area.checked_mul(self.per_area() + 1) else { return None };
        if before >= self.chunks.saturating_sub(1) {
            return None;
        }
        let start = (1 + before) * self.chunk().0;
        Some(start..start + self.chunk().0)
    }

    /// Returns where in the store the data of a new chunk is, in bytes.
    ///
    /// The number is right for exceptions that were [checked](Self::check).
    #[must_use]
    pub const fn data(&self, new: u64) -> u64 {
        new.saturating_mul(self.chunk().0)
    }

    /// Tells whether an exception can be one of this store over an origin of `origin` bytes.
    ///
    /// # Errors
    /// The old chunk begins at the end of the origin or after it; or the new one is the header or metadata, or
    /// is not whole in the store.
    pub const fn check(&self, exception: Exception, origin: Bytes) -> Result<(), Problem> {
        let Exception { old, new } = exception;
        let chunks = origin.0.div_ceil(self.chunk().0);
        if old >= chunks {
            return Err(Problem::OldPastEnd { old, chunks });
        }
        if new >= self.chunks {
            return Err(Problem::NewPastEnd { new, chunks: self.chunks });
        }
        if new == 0 || new % (self.per_area() + 1) == 1 {
            return Err(Problem::NewIsMetadata { new });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exception_store::room_for_all;
    use crate::units::{Chunk, Sectors};

    fn head(words: [u32; 4]) -> [u8; HEAD] {
        let mut head = [0; HEAD];
        for (place, word) in head.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        head
    }

    fn believed(words: [u32; 4], store: u64) -> Result<Header, Problem> {
        Seen::parse(&head(words)).unwrap().believe(Bytes(store))
    }

    fn header(chunk: u32, store: u64) -> Header {
        believed([MAGIC, 1, 1, chunk], store).unwrap()
    }

    #[test]
    fn the_magic_is_what_the_kernel_writes() {
        assert_eq!(&head([MAGIC, 1, 1, 8])[..4], b"SnAp");
        assert_eq!(
            Seen::parse(&head([MAGIC, 7, 1, 8])),
            Ok(Seen::Header { valid: 7, version: 1, chunk: 8 })
        );
        assert_eq!(Seen::parse(&head([0, 1, 1, 8])), Ok(Seen::Empty));
        assert_eq!(Seen::parse(&head([0xef53, 1, 1, 8])), Err(Problem::NotStore { found: 0xef53 }));
        assert_eq!(Seen::parse(&[0; 15]), Err(Problem::Short { found: 15 }));
    }

    #[test]
    fn only_what_a_kernel_would_use_is_believed() {
        assert_eq!(Seen::Empty.believe(Bytes(u64::MAX)), Err(Problem::Empty));
        assert_eq!(believed([MAGIC, 1, 2, 7], 1 << 20), Err(Problem::Version { found: 2 }));
        assert_eq!(believed([MAGIC, 0, 1, 8], 1 << 20), Err(Problem::Invalid));
        for chunk in [0, 3, 12, 1 << 22, 1 << 31, u32::MAX] {
            let error = believed([MAGIC, 1, 1, chunk], u64::MAX);
            assert_eq!(error, Err(Problem::ChunkSize { found: chunk }));
        }
        for shift in 0..=21 {
            assert_eq!(header(1 << shift, u64::MAX).chunk(), Bytes(512 << shift));
        }
        let (found, wanted) = (Bytes(8191), Bytes(8192));
        assert_eq!(believed([MAGIC, 1, 1, 8], 8191), Err(Problem::Truncated { found, wanted }));
        header(8, 8192);
    }

    #[test]
    fn metadata_comes_before_every_full_area_of_data() {
        // 512 / 16 = 32 exceptions: metadata is chunk 1, 34, 67.
        let store = header(1, 68 * 512);
        assert_eq!(store.per_area(), 32);
        let areas: [_; 4] = core::array::from_fn(|area| store.area(area as u64));
        let at = |chunk: u64| Some(chunk * 512..(chunk + 1) * 512);
        assert_eq!(areas, [at(1), at(34), at(67), None]);
        assert_eq!(header(1, 68 * 512 - 1).area(2), None);
        assert_eq!(store.area(u64::MAX), None);
        assert_eq!(store.data(2), 1024);
    }

    #[test]
    fn an_exception_leads_from_the_origin_to_data() {
        let (store, origin) = (header(1, 68 * 512), Bytes(10 * 512 + 1));
        let check = |old, new| store.check(Exception { old, new }, origin);
        for new in [2, 33, 35, 66] {
            assert_eq!(check(10, new), Ok(()));
        }
        for new in [0, 1, 34, 67] {
            assert_eq!(check(0, new), Err(Problem::NewIsMetadata { new }));
        }
        for new in [68, u64::MAX] {
            assert_eq!(check(0, new), Err(Problem::NewPastEnd { new, chunks: 68 }));
        }
        for old in [11, u64::MAX] {
            assert_eq!(check(old, 2), Err(Problem::OldPastEnd { old, chunks: 11 }));
        }
    }

    #[test]
    fn what_has_room_for_all_has_it() {
        for (chunk, chunks) in [(Chunk::MIN, 0), (Chunk::MIN, 255), (Chunk::MIN, 256)] {
            let room = room_for_all(Sectors(chunks * chunk.sectors()), chunk).bytes();
            let store = header(u32::try_from(chunk.sectors()).unwrap(), room.0);
            // The area that ends it is there, and the one after that is not needed.
            assert!(store.area(chunks / store.per_area()).is_some());
            assert_eq!(store.area(chunks / store.per_area() + 1), None);
        }
    }
}
