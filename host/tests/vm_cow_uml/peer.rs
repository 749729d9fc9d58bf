//! The field's own tools, and COW files of the versions that no tool writes any more.

use crate::kernels::Random;
use std::{
    fs::{self, File},
    os::unix::{ffi::OsStrExt as _, fs::FileExt as _, fs::MetadataExt as _},
    path::Path,
    process::Command,
};

/// Runs one of uml-utilities, which has to succeed.
#[track_caller]
fn run(program: &str, arguments: &[&Path], options: &[&str]) {
    let output = Command::new(program).args(options).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {}: {said}", output.status);
}

/// Has `uml_mkcow` make a COW file.
#[track_caller]
pub(crate) fn make(cow: &Path, backing: &Path) {
    run("uml_mkcow", &[cow, backing], &[]);
}

/// Has `uml_moo` merge to a new file.
#[track_caller]
pub(crate) fn merge(cow: &Path, backing: &Path, out: &Path) {
    run("uml_moo", &[cow, out], &["-b", backing.to_str().unwrap()]);
}

/// Has `uml_moo` merge in place.
#[track_caller]
pub(crate) fn merge_in_place(cow: &Path, backing: &Path) {
    run("uml_moo", &[cow], &["-d", "-b", backing.to_str().unwrap()]);
}

/// Which layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    One,
    Two,
    Three,
}

impl Version {
    pub(crate) const ALL: [Self; 3] = [Self::One, Self::Two, Self::Three];

    /// Returns the header, up to the bitmap, for a backing of `size` bytes; arch/um/drivers/cow_user.c.
    fn header(self, backing: &Path, modified: u32, size: u64) -> Vec<u8> {
        let path = |length: usize| {
            let mut path = backing.as_os_str().as_bytes().to_vec();
            path.resize(length, 0);
            path
        };
        let mut header = b"MOOO".to_vec();
        match self {
            Self::One => {
                header.extend(1_u32.to_le_bytes());
                header.extend(path(256));
                header.extend(modified.to_le_bytes());
                header.extend(size.to_le_bytes());
                header.extend(512_u32.to_le_bytes());
            }
            Self::Two => {
                header.reverse();
                header.extend(2_u32.to_be_bytes());
                header.extend(path(4096));
                header.extend(modified.to_be_bytes());
                header.extend(size.to_be_bytes());
                header.extend(512_u32.to_be_bytes());
            }
            Self::Three => {
                header.reverse();
                header.extend(3_u32.to_be_bytes());
                header.extend(modified.to_be_bytes());
                header.extend(size.to_be_bytes());
                header.extend([512_u32, 4096, 0].map(u32::to_be_bytes).as_flattened());
                header.extend(path(4096));
                header.resize(8192, 0);
            }
        }
        header
    }

    /// Returns how many bytes the bitmap has: the older ones round down what should be rounded up.
    fn bitmap(self, size: u64) -> u64 {
        match self {
            Self::Three => size.div_ceil(512).div_ceil(8),
            _ => (size + 511) / (8 * 512),
        }
    }

    /// Returns of how many bytes of a backing of `size` the bitmap tells where they are.
    pub(crate) fn told(self, size: u64) -> u64 {
        (self.bitmap(size) * 8 * 512).min(size)
    }

    /// Writes a COW file with random runs of sectors, and returns what a merge has to make of `content`.
    pub(crate) fn write(
        self,
        cow: &Path,
        backing: &Path,
        content: &[u8],
        random: &mut Random,
    ) -> Vec<u8> {
        let size = content.len() as u64;
        let modified = u32::try_from(fs::metadata(backing).unwrap().mtime()).unwrap();
        let header = self.header(backing, modified, size);
        let (start, length) = (header.len() as u64, self.bitmap(size));
        let data = match self {
            Self::Three => (start + length).next_multiple_of(4096),
            _ => (start + length).next_multiple_of(512),
        };
        let (mut bitmap, mut merged) =
            (vec![0; usize::try_from(length).unwrap()], content.to_vec());
        let file = File::create(cow).unwrap();
        file.write_all_at(&header, 0).unwrap();
        let sectors = (length * 8).min(size.div_ceil(512));
        let mut at = random.of(0..3);
        while at < sectors {
            // Mostly short, sometimes whole words and pages of the bitmap.
            let longest = [2, 20, 200, 5000][usize::try_from(random.of(0..4)).unwrap()];
            let run = random.of(1..longest).min(sectors - at);
            let range = at * 512..((at + run) * 512).min(size);
            let bytes = random.bytes(range.end - range.start);
            file.write_all_at(&bytes, data + range.start).unwrap();
            merged[usize::try_from(range.start).unwrap()..][..bytes.len()].copy_from_slice(&bytes);
            for sector in at..at + run {
                bitmap[usize::try_from(sector / 8).unwrap()] |= 1_u8 << (sector % 8);
            }
            at += run + random.of(1..longest);
        }
        file.write_all_at(&bitmap, start).unwrap();
        file.set_len(file.metadata().unwrap().len().max(data + size.div_ceil(512) * 512)).unwrap();
        merged
    }
}
