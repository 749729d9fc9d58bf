//! Exception stores as the kernel makes them, ways to damage them, and a reader by the kernel's rules that shares nothing
//! with ours: drivers/md/dm-snap-persistent.c.
#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(clippy::unwrap_used, reason = "a store that cannot be made fails its test")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    os::unix::fs::FileExt as _,
};

/// A store under a device that is written to.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    /// Bytes of a chunk.
    pub(crate) chunk: u64,
    /// Bytes of the device.
    pub(crate) device: u64,
    /// Chunks of the store, beyond those in use.
    pub(crate) spare: u64,
    /// Old and new chunks, in the order in which they stand in the metadata.
    pub(crate) exceptions: Vec<(u64, u64)>,
    /// The chunk that is free next.
    pub(crate) next: u64,
}

impl Store {
    /// Returns an empty store with chunks of so many sectors.
    pub(crate) fn new(sectors: u64, device: u64) -> Self {
        // Header and first metadata are the chunks 0 and 1 (`persistent_ctr`).
        Self { chunk: sectors * 512, device, spare: 0, exceptions: Vec::new(), next: 2 }
    }

    /// Returns a store to which these chunks were written, each as often as it is there.
    pub(crate) fn written(sectors: u64, device: u64, olds: impl IntoIterator<Item = u64>) -> Self {
        let mut store = Self::new(sectors, device);
        let mut there = BTreeSet::new();
        for old in olds.into_iter().filter(|old| there.insert(*old)) {
            store.write(old);
        }
        store
    }

    /// Copies a chunk that is not there yet to the next one that is free, not counting metadata (`skip_metadata`).
    pub(crate) fn write(&mut self, old: u64) {
        self.exceptions.push((old, self.next));
        self.next += 1;
        if self.next % (self.per_area() + 1) == 1 {
            self.next += 1;
        }
    }

    /// Leaves a chunk out, as a crash before its exception was written does.
    pub(crate) fn lose(&mut self) {
        self.write(0);
        self.exceptions.pop();
    }

    pub(crate) const fn per_area(&self) -> u64 {
        self.chunk / 16
    }

    /// Returns how many areas have metadata on the disk: a full one is followed by one of zeros.
    pub(crate) fn areas(&self) -> u64 {
        self.exceptions.len() as u64 / self.per_area() + 1
    }

    /// Returns where the metadata of an area is.
    pub(crate) const fn area_at(&self, area: u64) -> u64 {
        (1 + area * (self.per_area() + 1)) * self.chunk
    }

    /// Returns where an exception stands.
    pub(crate) const fn exception_at(&self, index: u64) -> u64 {
        self.area_at(index / self.per_area()) + index % self.per_area() * 16
    }

    /// Returns how long the store is at the least, and with what it has to spare.
    pub(crate) fn size(&self) -> u64 {
        let last = self.exceptions.iter().map(|(_, new)| new + 1).max().unwrap_or(0);
        let metadata = self.area_at(self.areas() - 1) / self.chunk + 1;
        (last.max(metadata) + self.spare) * self.chunk
    }

    /// Writes header and metadata into a file, from `at` on; all else is a hole.
    pub(crate) fn put_metadata(&self, file: &File, at: u64) {
        let whole = file.metadata().unwrap().len().max(at + self.size());
        file.set_len(whole).unwrap();
        let sectors = u32::try_from(self.chunk / 512).unwrap();
        let header = [0x7041_6e53, 1, 1, sectors].map(u32::to_le_bytes).concat();
        file.write_all_at(&header, at).unwrap();
        let mut index = 0;
        for area in self.exceptions.chunks(self.per_area() as usize) {
            let pairs = area.iter().flat_map(|(old, new)| [old.to_le_bytes(), new.to_le_bytes()]);
            file.write_all_at(&pairs.collect::<Vec<_>>().concat(), at + self.exception_at(index))
                .unwrap();
            index += area.len() as u64;
        }
    }

    /// Writes all of it into a file, from `at` on: [`content`] is the data.
    pub(crate) fn put(&self, file: &File, at: u64, seed: u64) {
        self.put_metadata(file, at);
        for (old, new) in &self.exceptions {
            let data = content(seed, *old, self.chunk);
            file.write_all_at(&data, at + new * self.chunk).unwrap();
        }
    }

    /// Returns all of it, without data.
    pub(crate) fn metadata_bytes(&self) -> Vec<u8> {
        let file = tempfile::tempfile().unwrap();
        self.put_metadata(&file, 0);
        let mut bytes = vec![0; usize::try_from(self.size()).unwrap()];
        file.read_exact_at(&mut bytes, 0).unwrap();
        bytes
    }

    /// Writes what [`Store::put`] writes over the device itself, which is what a merge must come to.
    pub(crate) fn merge(&self, device: &mut [u8], seed: u64) {
        for (old, _) in &self.exceptions {
            let at = usize::try_from(old * self.chunk).unwrap();
            let length = device.len().saturating_sub(at).min(self.chunk as usize);
            device[at..at + length].copy_from_slice(&content(seed, *old, self.chunk)[..length]);
        }
    }
}

/// Returns the data of an old chunk, another for each; never zeros.
pub(crate) fn content(seed: u64, old: u64, chunk: u64) -> Vec<u8> {
    let mut state = (seed ^ old.wrapping_mul(0x9e37_79b9_7f4a_7c15)) | 1;
    let words = (0..chunk / 8).map(|_| {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.collect::<Vec<_>>().concat()
}

/// What can be wrong with a store.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Damage {
    /// The first word.
    Magic(u32),
    /// The kernel marked it invalid.
    Invalid,
    /// Another version.
    Version(u32),
    /// Another chunk size, in sectors.
    Chunk(u32),
    /// Another old chunk in the exception of this index.
    Old(u64, u64),
    /// Another new chunk in the exception of this index.
    New(u64, u64),
    /// The file ends here.
    Length(u64),
}

impl Damage {
    /// Damages a file in which a store begins at byte `at`.
    pub(crate) fn put(self, store: &Store, file: &File, at: u64) {
        let word = |word: u32, value: u32| (u64::from(word) * 4, value.to_le_bytes().to_vec());
        let (place, bytes) = match self {
            Self::Magic(value) => word(0, value),
            Self::Invalid => word(1, 0),
            Self::Version(value) => word(2, value),
            Self::Chunk(value) => word(3, value),
            Self::Old(index, old) => (store.exception_at(index), old.to_le_bytes().to_vec()),
            Self::New(index, new) => (store.exception_at(index) + 8, new.to_le_bytes().to_vec()),
            Self::Length(length) => return file.set_len(at + length).unwrap(),
        };
        file.write_all_at(&bytes, at + place).unwrap();
    }
}

/// What the reader by the kernel's rules says: new chunks by old ones, or that it is no store that may be used.
pub(crate) type Read = Result<BTreeMap<u64, u64>, String>;

/// Reads a store over a device of `device` bytes. Where the kernel would go on with something that it never writes, this
/// does not.
pub(crate) fn read(bytes: &[u8], device: u64) -> Read {
    let number = |at: u64, length: u64| -> Result<u64, String> {
        let at = usize::try_from(at).map_err(|e| e.to_string())?;
        let field = bytes.get(at..at + length as usize).ok_or(format!("ends before {at}"))?;
        Ok(field.iter().rev().fold(0, |all, byte| all << 8 | u64::from(*byte)))
    };
    let [magic, valid, version, sectors] = [0, 4, 8, 12].map(|at| number(at, 4));
    match magic? {
        0 => return Ok(BTreeMap::new()),
        0x7041_6e53 => {}
        other => return Err(format!("magic {other:#x}")),
    }
    let (valid, version, sectors) = (valid?, version?, sectors?);
    if valid == 0 || version != 1 || sectors.count_ones() != 1 || sectors > (i32::MAX as u64) >> 9 {
        return Err(format!("valid {valid}, version {version}, chunk {sectors}"));
    }
    let chunk = sectors * 512;
    let whole = bytes.len() as u64 / chunk;
    let (mut olds, mut news) = (BTreeMap::new(), BTreeSet::new());
    for area in 0.. {
        let metadata = 1 + area * (chunk / 16 + 1);
        if metadata >= whole {
            return Err(format!("no area {area}"));
        }
        for index in 0..chunk / 16 {
            let at = metadata * chunk + index * 16;
            let (old, new) = (number(at, 8)?, number(at + 8, 8)?);
            if new == 0 {
                return Ok(olds);
            }
            let is_there = olds.insert(old, new).is_some() || !news.insert(new);
            let is_outside = old > device || old * chunk >= device || new >= whole;
            if is_there || is_outside || (new - 1) % (chunk / 16 + 1) == 0 {
                return Err(format!("area {area}, exception {index}: {old} in {new}"));
            }
        }
    }
    unreachable!()
}
