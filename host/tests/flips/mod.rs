//! COW files of user-mode Linux, version 3, in which single bits flip, and what a plain reader makes of each.
#![allow(clippy::unwrap_used, reason = "a file that cannot be read fails its test")]

use ebbtide::{
    Result,
    cow::{
        Sharing,
        merge::{Options, merge},
    },
    file::Unseen,
};
use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::Path,
};

/// Magic, version, time, size, size of a sector, alignment and format; then the path.
const FIELDS: usize = 32;
const BITMAP: usize = 8192;

/// Reads a COW file whose fields are as they are always written, sector by sector.
fn read(cow: &[u8], backing: &[u8]) -> Vec<u8> {
    let data = data(backing.len());
    let mut content = backing.to_vec();
    for (number, sector) in content.chunks_mut(512).enumerate() {
        if cow[BITMAP + number / 8] >> (number % 8) & 1 == 1 {
            sector.copy_from_slice(&cow[data + number * 512..][..sector.len()]);
        }
    }
    content
}

fn data(size: usize) -> usize {
    (BITMAP + size.div_ceil(512).div_ceil(8)).next_multiple_of(4096)
}

/// Flips bits of all that a COW file is, one at a time: of each field and of the path, of the rest of the header and of the
/// data here and there, of the bitmap as many as `bits`. It is put back as it was; its time is another.
pub(crate) fn is_an_error_or_right(cow: &Path, backing: &Path, bits: usize) {
    let (whole, under) = (fs::read(cow).unwrap(), fs::read(backing).unwrap());
    let device = read(&whole, &under);
    let path = FIELDS..FIELDS + whole[FIELDS..].iter().position(|byte| *byte == 0).unwrap() + 1;
    // Who has it open to write is refused.
    let put = |byte: &[u8], at: usize| {
        File::options().write(true).open(cow).unwrap().write_all_at(byte, at as u64).unwrap();
    };
    let flipped = |bit: usize, given: Option<&Path>| {
        let (at, mut now) = (bit / 8, whole.clone());
        now[at] ^= 1 << (bit % 8);
        put(&now[at..=at], at);
        let merged = merged(cow, given);
        put(&whole[at..=at], at);
        (merged, read(&now, &under))
    };
    assert!(merged(cow, None).unwrap() == device, "as it is");

    for bit in 0..FIELDS * 8 {
        for given in [None, Some(backing)] {
            assert!(flipped(bit, given).0.is_err(), "bit {bit} of the fields, {given:?}");
        }
    }
    for bit in path.start * 8..path.end * 8 {
        assert!(flipped(bit, None).0.is_err(), "bit {bit} of the path");
        // Then the path is of no importance.
        assert!(flipped(bit, Some(backing)).0.unwrap() == device, "bit {bit} of the path");
    }
    for bit in (path.end * 8..BITMAP * 8).step_by(1801) {
        assert!(flipped(bit, None).0.unwrap() == device, "bit {bit} of nothing");
    }
    let sectors = under.len().div_ceil(512);
    let bytes = data(under.len());
    let bitmap = (BITMAP * 8..BITMAP * 8 + sectors).step_by(sectors.div_ceil(bits));
    let data = (bytes * 8..(bytes + under.len()) * 8).step_by(under.len() / 3 + 1);
    let mut others = 0;
    for bit in bitmap.chain(data) {
        let (merged, wanted) = flipped(bit, None);
        others += u32::from(wanted != device);
        assert!(merged.unwrap() == wanted, "bit {bit} of bitmap or data");
    }
    assert!(others > 0, "it counts what is flipped");
    // What the bitmap has more bits for than there are sectors is nothing.
    for bit in BITMAP * 8 + sectors..bytes * 8 {
        if bit % 1801 == 0 || bit < BITMAP * 8 + sectors.next_multiple_of(8) {
            assert!(flipped(bit, None).0.unwrap() == device, "bit {bit} of no sector");
        }
    }
}

/// Returns what a merge makes; where that is an error, there is no file.
fn merged(cow: &Path, backing: Option<&Path>) -> Result<Vec<u8>> {
    let out = cow.with_extension("merged");
    let options = Options { cow, backing, out: &out, sharing: Sharing::Never, force: false };
    let merged = merge(&options, &mut Unseen);
    assert_eq!(merged.is_ok(), out.exists());
    merged?;
    let content = fs::read(&out).unwrap();
    fs::remove_file(out).unwrap();
    Ok(content)
}
