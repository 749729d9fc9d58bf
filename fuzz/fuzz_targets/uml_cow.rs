//! Any COW file of user-mode Linux: no panic, and what a reader says that goes field by field and bit by bit.

#![no_main]

use arbitrary::Arbitrary;
use ebbtide_format::{
    uml_cow::{HEAD, Header, Problem, Seen, Version, head, relocated, runs},
    units::Bytes,
};
use libfuzzer_sys::fuzz_target;
use std::ops::Range;

#[derive(Arbitrary, Debug)]
struct Input {
    /// Mostly a header of this version that can be believed.
    version: u8,
    path: Vec<u8>,
    modified: u32,
    size: u64,
    shift: u8,
    writes: Vec<(u16, u8)>,
    cut: u16,
    file: u64,
    bitmap: Vec<u8>,
    first: u64,
    sectors: u64,
    new_path: Vec<u8>,
    new_modified: u32,
}

fuzz_target!(|input: Input| {
    let path: Vec<u8> = input.path.iter().copied().filter(|byte| *byte != 0).collect();
    let size = input.size >> (input.shift % 64);
    let mut bytes = written(input.version, &path, input.modified, size);
    for (at, byte) in &input.writes {
        let length = bytes.len();
        if let Some(place) = bytes.get_mut(usize::from(*at) % length.max(1)) {
            *place = *byte;
        }
    }
    bytes.truncate(bytes.len() - usize::from(input.cut) % 64 * usize::from(input.cut % 2));
    let believed = Seen::parse(&bytes).and_then(Seen::believe);
    let wanted = read(&bytes);
    match &believed {
        Ok(header) => {
            let wanted = wanted.expect("what is believed makes sense");
            assert_eq!(header.version().to_string(), wanted.version);
            assert_eq!(header.backing(), wanted.path);
            assert_eq!((header.modified(), header.size().0), (wanted.modified, wanted.size));
            assert_eq!((header.bitmap(), header.data()), (wanted.bitmap, wanted.data));
            places(header, input.file);
            moved(&bytes, header, &input.new_path, input.new_modified);
        }
        Err(problem) => {
            assert!(wanted.is_none(), "{problem}");
            assert!(relocated(&bytes, b"x", 0).is_err() && !problem.to_string().is_empty());
        }
    }
    new(&input.new_path, input.new_modified, size);
    bits(&input.bitmap, input.first, input.sectors);
});

/// Returns a header, its fields one after the other.
fn written(version: u8, path: &[u8], modified: u32, size: u64) -> Vec<u8> {
    let number = |number: u32| {
        if version.is_multiple_of(6) { number.to_le_bytes() } else { number.to_be_bytes() }
    };
    let size = if version.is_multiple_of(6) { size.to_le_bytes() } else { size.to_be_bytes() };
    let field = |room: usize| {
        let mut field = b"/srv/".to_vec();
        field.extend(path);
        field.resize(room, 0);
        field
    };
    let magic = number(0x4f4f_4f4d);
    match version % 6 {
        0 | 1 => {
            [&magic[..], &number(1), &field(256), &number(modified), &size, &number(512)].concat()
        }
        2 => {
            [&magic[..], &number(2), &field(4096), &number(modified), &size, &number(512)].concat()
        }
        3 => [
            &magic[..],
            &number(3),
            &number(modified),
            &size,
            &number(512),
            &number(4096),
            &[0; 4],
            &field(4096),
        ]
        .concat(),
        4 => [
            &magic[..],
            &number(3),
            &number(modified),
            &[0; 4],
            &size,
            &number(512),
            &number(4096),
            &[0; 4],
            &field(4096),
            &[0; 4],
        ]
        .concat(),
        _ => field(HEAD),
    }
}

/// What is in a header that makes sense.
struct Wanted {
    version: &'static str,
    path: Vec<u8>,
    modified: u32,
    size: u64,
    bitmap: Range<u64>,
    data: u64,
}

/// Reads a header as cow_user.c does, with numbers of 128 bits.
fn read(bytes: &[u8]) -> Option<Wanted> {
    let is_little = bytes.get(..4)? == b"MOOO";
    if !is_little && bytes.get(..4)? != b"OOOM" {
        return None;
    }
    let number = |at: usize, length: usize| {
        let field = bytes.get(at..at + length)?;
        let add = |all: u64, byte: &u8| all << 8 | u64::from(*byte);
        Some(if is_little { field.iter().rev().fold(0, add) } else { field.iter().fold(0, add) })
    };
    let (version, modified, size, sector, alignment, path, room, end) =
        match (number(4, 4)?, is_little) {
            (1, true) => ("1 (little endian)", 264, 268, 276, None, 8, 256, 280),
            (1, false) => ("1 (big endian)", 264, 268, 276, None, 8, 256, 280),
            (2, false) => ("2", 4104, 4108, 4116, None, 8, 4096, 4120),
            (3, false) if number(32, 4)? != 0 => ("3", 8, 12, 20, Some(24), 32, 4096, 4128),
            (3, false) => ("3 (unpacked)", 8, 16, 24, Some(28), 36, 4096, 4136),
            _ => return None,
        };
    if bytes.len() < end {
        return None;
    }
    let field = &bytes[path..path + room];
    let length = field.iter().position(|byte| *byte == 0)?;
    let alignment = alignment.map(|at| (number(at, 4), number(at + 4, 4)));
    let (align, format) = match alignment {
        Some((align, format)) => (align?, format?),
        None => (512, 0),
    };
    let is_align = [512, 1024, 2048, 4096, 8192, 16384, 32768, 65536].contains(&align);
    if length == 0 || number(sector, 4)? != 512 || !is_align || format != 0 {
        return None;
    }
    let size = number(size, 8)?;
    let (wide, align, end) = (u128::from(size), u128::from(align), end as u128);
    let (start, bits) = match alignment {
        None => (end, (wide + 511) / (8 * 512)),
        Some(_) => (end.div_ceil(align) * align, wide.div_ceil(512).div_ceil(8)),
    };
    let data = (start + bits).div_ceil(align) * align;
    let end = (data + wide).div_ceil(align) * align;
    i64::try_from(end).ok()?;
    Some(Wanted {
        version,
        path: field[..length].to_vec(),
        modified: number(modified, 4)? as u32,
        size,
        bitmap: start as u64..(start + bits) as u64,
        data: data as u64,
    })
}

/// Looks at what a header says of a file.
fn places(header: &Header<'_>, file: u64) {
    assert!(header.bits() <= (header.bitmap().end - header.bitmap().start) * 8);
    assert!(header.bits() <= header.size().0.div_ceil(header.sector()));
    assert_eq!(header.end(), header.data() + header.size().0);
    let is_old = matches!(header.version(), Version::V1(_) | Version::V2);
    for file in [file, file % (header.end() + 2), header.end() - 1, header.end(), header.end() + 1]
    {
        let reaches = header.reaches(file).is_ok();
        assert_eq!(reaches, file >= if is_old { header.bitmap().end } else { header.end() });
        assert!(reaches || header.fits(file).is_err());
    }
    assert_eq!(header.fits(header.end()), Ok(()));
}

/// Gives a header another path and time: nothing else of it changes.
fn moved(bytes: &[u8], header: &Header<'_>, path: &[u8], modified: u32) {
    let room = if matches!(header.version(), Version::V1(_)) { 255 } else { 4095 };
    let writes = match relocated(bytes, path, modified) {
        Ok(writes) => writes,
        Err(problem) => {
            let is_path = path.is_empty() || path.contains(&0);
            let wanted = if is_path {
                Problem::NoPath
            } else {
                Problem::LongPath { room, found: path.len() }
            };
            assert_eq!(problem, wanted);
            return assert!(is_path || path.len() > room);
        }
    };
    let mut new = bytes.to_vec();
    for (at, bytes) in &writes {
        new[*at as usize..][..bytes.len()].copy_from_slice(bytes);
    }
    let again = Seen::parse(&new).and_then(Seen::believe).expect("a header");
    assert_eq!((again.version(), again.size()), (header.version(), header.size()));
    assert_eq!((again.bitmap(), again.data()), (header.bitmap(), header.data()));
    assert_eq!((again.backing(), again.modified()), (path, modified));
    assert_eq!(relocated(&new, path, modified), Ok(Vec::new()));
    let is_same = (header.backing(), header.modified()) == (path, modified);
    assert_eq!(writes.is_empty(), is_same);
}

/// Makes a new header, which is read as it was meant.
fn new(path: &[u8], modified: u32, size: u64) {
    let Ok(bytes) = head(path, modified, Bytes(size)) else {
        let is_path = path.is_empty() || path.contains(&0) || path.len() > 4095;
        return assert!(is_path || size > i64::MAX.unsigned_abs() / 2);
    };
    let header = Seen::parse(&bytes).and_then(Seen::believe).expect("a header");
    assert_eq!(header.version(), Version::V3);
    assert_eq!((header.backing(), header.modified(), header.size().0), (path, modified, size));
}

/// Reads a bitmap bit by bit.
fn bits(bitmap: &[u8], first: u64, sectors: u64) {
    let count = sectors.min(bitmap.len() as u64 * 8).min(u64::MAX - first);
    let mut wanted: Vec<Range<u64>> = Vec::new();
    for bit in (0..count).filter(|bit| bitmap[(bit / 8) as usize] >> (bit % 8) & 1 != 0) {
        let sector = first + bit;
        match wanted.last_mut() {
            Some(last) if last.end == sector => last.end += 1,
            _ => wanted.push(sector..sector + 1),
        }
    }
    assert_eq!(runs(bitmap, first, sectors).collect::<Vec<_>>(), wanted);
}
