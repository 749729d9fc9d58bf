//! A backing and a COW file over it, made by hand, for merges in place.
#![allow(dead_code, clippy::unwrap_used, reason = "tests; each program uses what it needs")]

#[path = "../stores/mod.rs"]
mod stores;

use std::{
    fs::{self, File},
    ops::Range,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{FileExt as _, MetadataExt as _},
    },
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// What kind of COW file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Of {
    /// Of user-mode Linux, version 3.
    Uml,
    /// An exception store.
    Store,
}

impl Of {
    pub(crate) const ALL: [Self; 2] = [Self::Uml, Self::Store];
}

/// Sectors of the device: no whole block, and no whole chunk.
const SECTORS: u64 = 2053;
pub(crate) const SIZE: u64 = SECTORS * 512;
/// From where on the backing is a hole.
const HOLE: u64 = 1024 * 512;
/// Sectors that the COW file of user-mode Linux holds: whole blocks, parts of blocks, in the hole, and the end.
const WRITTEN: [Range<u64>; 6] = [0..8, 13..14, 16..48, 100..103, 1020..1048, 2047..2053];
/// Chunks that the store holds, of 16 sectors, in the order in which they were written.
const CHUNKS: [u64; 6] = [7, 0, 1, 64, 128, 90];
/// When the backing was last written to.
pub(crate) const MODIFIED: (i64, i64) = (1_234_567_890, 123_456_789);

/// A directory with both.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) dir: PathBuf,
    pub(crate) of: Of,
}

impl Bench {
    /// Makes both in a directory.
    pub(crate) fn new(dir: &Path, of: Of) -> Self {
        let bench = Self { dir: dir.into(), of };
        bench.renew();
        bench
    }

    /// Makes both anew, as they were before any merge.
    pub(crate) fn renew(&self) {
        for path in [self.backing(), self.cow(), self.marker()] {
            let _ = fs::remove_file(path);
        }
        self.put_backing();
        self.put_cow(&self.cow());
    }

    pub(crate) fn backing(&self) -> PathBuf {
        self.dir.join("root.img")
    }

    pub(crate) fn cow(&self) -> PathBuf {
        self.dir.join("work.cow")
    }

    pub(crate) fn marker(&self) -> PathBuf {
        self.dir.join("root.img.ebbtide-merge")
    }

    /// Puts what the backing was into its file.
    pub(crate) fn put_backing(&self) {
        put(&self.backing(), &old(), HOLE);
    }

    /// Makes a COW file over the backing.
    pub(crate) fn put_cow(&self, path: &Path) {
        let file = File::create(path).unwrap();
        match self.of {
            Of::Uml => put_uml(&file, &self.backing()),
            Of::Store => store().put(&file, 0, 7),
        }
    }

    /// Writes one sector more into the COW file, or into a chunk of the store, as its kernel would.
    pub(crate) fn write_more(&self) {
        let file = File::options().write(true).open(self.cow()).unwrap();
        match self.of {
            Of::Uml => {
                file.write_all_at(&[0x10], BITMAP + 500 / 8).unwrap();
                file.write_all_at(&[0xab; 512], data() + 500 * 512).unwrap();
            }
            Of::Store => file.write_all_at(&[0xab; 512], store().exceptions[0].1 * CHUNK).unwrap(),
        }
    }

    /// Returns what the backing holds with all of it.
    pub(crate) fn merged(&self) -> Vec<u8> {
        let mut content = old();
        match self.of {
            Of::Uml => {
                for sector in WRITTEN.into_iter().flatten() {
                    content[range(sector)].copy_from_slice(&new(sector));
                }
            }
            Of::Store => store().merge(&mut content, 7),
        }
        content
    }

    /// Returns the same after [`Bench::write_more`].
    pub(crate) fn merged_more(&self) -> Vec<u8> {
        let mut content = self.merged();
        let sector = if self.of == Of::Uml { 500 } else { CHUNKS[0] * 16 };
        content[range(sector)].fill(0xab);
        content
    }

    /// Asserts that the backing has all of `wanted`, the time that it had, and is known to be merged.
    pub(crate) fn is_whole(&self, wanted: &[u8], why: &str) {
        assert!(fs::read(self.backing()).unwrap() == wanted, "{why}: the backing is another");
        let time = times(&self.backing());
        if self.of == Of::Uml {
            assert_eq!(time, MODIFIED, "{why}");
        }
        let marker = fs::read_to_string(self.marker()).unwrap();
        assert!(marker.contains("state = \"merged\""), "{why}: {marker}");
    }
}

/// Returns seconds and nanoseconds of a file's time of modification.
pub(crate) fn times(path: &Path) -> (i64, i64) {
    let found = path.metadata().unwrap();
    (found.mtime(), found.mtime_nsec())
}

/// Returns what the backing was.
pub(crate) fn old() -> Vec<u8> {
    let mut content: Vec<u8> = (0..SECTORS).flat_map(|sector| sector_of(1, sector)).collect();
    content[HOLE as usize..].fill(0);
    content
}

/// Makes a file with content before a hole, and sets its time.
fn put(path: &Path, content: &[u8], hole: u64) {
    let file = File::options().write(true).create(true).truncate(false).open(path).unwrap();
    file.set_len(0).unwrap();
    file.set_len(content.len() as u64).unwrap();
    file.write_all_at(&content[..hole as usize], 0).unwrap();
    set_time(&file);
}

/// Sets the time that the COW file records.
pub(crate) fn set_time(file: &File) {
    let (seconds, nanoseconds) = (MODIFIED.0.unsigned_abs(), MODIFIED.1 as u32);
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds)).unwrap();
}

fn range(sector: u64) -> Range<usize> {
    let at = sector as usize * 512;
    at..at + 512
}

/// Returns what was written to a sector.
fn new(sector: u64) -> Vec<u8> {
    sector_of(2, sector)
}

/// Returns bytes that no other sector and no other seed has.
fn sector_of(seed: u64, sector: u64) -> Vec<u8> {
    stores::content(seed, sector, 512)
}

const CHUNK: u64 = 16 * 512;

fn store() -> stores::Store {
    stores::Store::written(16, SIZE, CHUNKS)
}

/// Where the bitmap is: after the header, on the next whole 4 KiB (arch/um/drivers/cow_user.c, `init_cow_file`).
const BITMAP: u64 = 8192;

/// Where the data is: after the bitmap, on the next whole 4 KiB.
fn data() -> u64 {
    BITMAP + SECTORS.div_ceil(8).next_multiple_of(4096)
}

/// Makes a COW file of version 3.
fn put_uml(file: &File, backing: &Path) {
    let mut head = vec![0; 4128];
    let words = [0x4f4f_4f4d, 3, MODIFIED.0 as u32, 0, SIZE as u32, 512, 4096, 0];
    for (at, word) in words.into_iter().enumerate() {
        head[at * 4..at * 4 + 4].copy_from_slice(&word.to_be_bytes());
    }
    let path = backing.as_os_str().as_bytes();
    head[32..32 + path.len()].copy_from_slice(path);
    file.write_all_at(&head, 0).unwrap();
    let mut bitmap = vec![0; SECTORS.div_ceil(8) as usize];
    for sector in WRITTEN.into_iter().flatten() {
        bitmap[sector as usize / 8] |= 1 << (sector % 8);
        file.write_all_at(&new(sector), data() + sector * 512).unwrap();
    }
    file.write_all_at(&bitmap, BITMAP).unwrap();
    file.set_len(data() + SIZE).unwrap();
}
