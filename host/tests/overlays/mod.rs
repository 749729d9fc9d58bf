//! COW files of user-mode Linux with random content, and what a merge of them must come to, made byte by byte.
#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(clippy::unwrap_used, reason = "a file that cannot be made fails its test")]

use ebbtide_format::{
    uml_cow::{self, Seen, mark},
    units::Bytes,
};
use std::{
    fs::{self, File},
    ops::Range,
    os::unix::{ffi::OsStrExt as _, fs::FileExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
};

/// What is written to a device: so many sectors from one on, all bytes of which are this one.
#[derive(Debug, Clone)]
pub(crate) struct Write {
    pub(crate) sectors: Range<u64>,
    pub(crate) byte: u8,
}

/// A backing and a COW file in a directory.
#[derive(Debug)]
pub(crate) struct Overlay {
    pub(crate) backing: PathBuf,
    pub(crate) cow: PathBuf,
    /// What a merge must come to.
    pub(crate) wanted: Vec<u8>,
}

/// Makes a backing of `size` bytes in which every third piece of 64 KiB is a hole.
pub(crate) fn backing(path: &Path, size: u64) -> Vec<u8> {
    let file = File::create_new(path).unwrap();
    file.set_len(size).unwrap();
    let mut content = vec![0; usize::try_from(size).unwrap()];
    for (number, piece) in content.chunks_mut(64 << 10).enumerate().filter(|(n, _)| n % 3 != 2) {
        piece.fill(u8::try_from(number % 250 + 1).unwrap());
        file.write_all_at(piece, (number as u64) << 16).unwrap();
    }
    content
}

impl Overlay {
    /// Makes both in `dir`, the COW file with a header of this version.
    pub(crate) fn new(dir: &Path, version: u8, size: u64, writes: &[Write]) -> Self {
        let (path, cow) = (dir.join("backing"), dir.join("cow"));
        let mut wanted = backing(&path, size);
        let modified = u32::try_from(fs::metadata(&path).unwrap().mtime()).unwrap();
        let head = head(version, &path, modified, size);
        put(&cow, &head, size, writes, &mut wanted);
        Self { backing: path, cow, wanted }
    }
}

/// Writes a COW file, and the same into what it must come to. Old versions have no bits for some sectors at the end.
fn put(cow: &Path, head: &[u8], size: u64, writes: &[Write], wanted: &mut [u8]) {
    let header = Seen::parse(head).unwrap().believe().unwrap();
    let places = header.bitmap();
    let mut bitmap = vec![0; usize::try_from(places.end - places.start).unwrap()];
    let file = File::create_new(cow).unwrap();
    file.write_all_at(head, 0).unwrap();
    for Write { sectors, byte } in writes {
        let end = sectors.end.min(bitmap.len() as u64 * 8).min(size.div_ceil(512));
        if sectors.start >= end {
            continue;
        }
        let sectors = sectors.start..end;
        mark(&mut bitmap, 0, sectors.clone());
        let bytes = sectors.start * 512..(sectors.end * 512).min(size);
        let content = vec![*byte; usize::try_from(bytes.end - bytes.start).unwrap()];
        file.write_all_at(&content, header.data() + bytes.start).unwrap();
        wanted[usize::try_from(bytes.start).unwrap()..][..content.len()].copy_from_slice(&content);
    }
    file.write_all_at(&bitmap, places.start).unwrap();
    let end = header.data() + size;
    file.set_len(end.max(file.metadata().unwrap().len())).unwrap();
}

/// Returns a header, by the layout of the kernel's arch/um/drivers/cow_user.c.
fn head(version: u8, backing: &Path, modified: u32, size: u64) -> Vec<u8> {
    let path = backing.as_os_str().as_bytes();
    if version == 3 {
        return uml_cow::head(path, modified, Bytes(size)).unwrap();
    }
    let is_big = version == 2;
    let word = |number: u32| if is_big { number.to_be_bytes() } else { number.to_le_bytes() };
    let long = |number: u64| if is_big { number.to_be_bytes() } else { number.to_le_bytes() };
    let mut field = vec![0; if version == 1 { 256 } else { 4096 }];
    field[..path.len()].copy_from_slice(path);
    [
        word(0x4f4f_4f4d).to_vec(),
        word(version.into()).to_vec(),
        field,
        word(modified).to_vec(),
        long(size).to_vec(),
        word(512).to_vec(),
    ]
    .concat()
}
