//! Headers of every version, made by a writer that shares nothing with the reader.

use super::*;
use crate::units::Bytes;
use alloc::{format, string::ToString, vec, vec::Vec};
use core::ops::Range;
use proptest::prelude::*;

const VERSIONS: [Version; 5] = [
    Version::V1(ByteOrder::Little),
    Version::V1(ByteOrder::Big),
    Version::V2,
    Version::V3,
    Version::V3Unpacked,
];

/// What stands in a header.
#[derive(Clone, Debug)]
struct Written {
    version: Version,
    path: Vec<u8>,
    modified: u32,
    size: u64,
    sector: u32,
    alignment: u32,
    format: u32,
}

impl Written {
    fn new(version: Version, size: u64) -> Self {
        let path = b"/srv/root.img".to_vec();
        Self { version, path, modified: 7, size, sector: 512, alignment: 4096, format: 0 }
    }

    /// Appends the fields one after the other, as the compiler lays out the structures of cow_user.c.
    fn bytes(&self) -> Vec<u8> {
        let number = |number: u32| match self.version {
            Version::V1(ByteOrder::Little) => number.to_le_bytes(),
            _ => number.to_be_bytes(),
        };
        let size = match self.version {
            Version::V1(ByteOrder::Little) => self.size.to_le_bytes(),
            _ => self.size.to_be_bytes(),
        };
        let path = |room| {
            let mut path = self.path.clone();
            path.resize(room, 0);
            path
        };
        let mut head = number(0x4f4f_4f4d).to_vec();
        match self.version {
            Version::V1(_) | Version::V2 => {
                let is_first = self.version != Version::V2;
                head.extend(number(if is_first { 1 } else { 2 }));
                head.extend(path(if is_first { 256 } else { 4096 }));
                head.extend(number(self.modified));
                head.extend(size);
                head.extend(number(self.sector));
            }
            Version::V3 | Version::V3Unpacked => {
                let is_unpacked = self.version == Version::V3Unpacked;
                head.extend(number(3));
                head.extend(number(self.modified));
                head.extend(vec![0; if is_unpacked { 4 } else { 0 }]);
                head.extend(size);
                head.extend(number(self.sector));
                head.extend(number(self.alignment));
                head.extend(number(self.format));
                head.extend(path(4096));
                head.extend(vec![0; if is_unpacked { 4 } else { 0 }]);
            }
        }
        head
    }
}

fn read(head: &[u8]) -> Result<Header<'_>, Problem> {
    Seen::parse(head)?.believe()
}

#[test]
fn every_version_is_read_as_it_was_written() {
    for version in VERSIONS {
        let written = Written { modified: 0x8765_4321, ..Written::new(version, 0x0001_2345_6789) };
        let head = written.bytes();
        let header = read(&head).unwrap();
        assert_eq!(header.version(), version);
        assert_eq!(header.backing(), b"/srv/root.img");
        assert_eq!((header.modified(), header.size()), (0x8765_4321, Bytes(0x0001_2345_6789)));
    }
}

#[test]
fn bitmap_and_data_are_where_the_kernel_has_them() {
    // cow_sizes() in cow_user.c, by hand; of versions 1 and 2, nine sectors have a bitmap of one byte.
    let places = [
        (280..281, 512),
        (280..281, 512),
        (4120..4121, 4608),
        (8192..8194, 12288),
        (8192..8194, 12288),
    ];
    for (version, (bitmap, data)) in VERSIONS.into_iter().zip(places) {
        let head = Written::new(version, 9 * 512).bytes();
        let header = read(&head).unwrap();
        assert_eq!((header.bitmap(), header.data()), (bitmap, data), "{version}");
        assert_eq!(header.end(), data + 9 * 512);
    }
}

#[test]
fn the_last_sectors_of_old_versions_have_no_bit() {
    // Seen: the kernel writes such a bit behind the bitmap and neither it nor uml_moo reads it again.
    for (size, old, new) in
        [(0, 0, 0), (1, 0, 1), (8 * 512 - 511, 8, 8), (4096, 8, 8), (4097, 8, 9), (15 * 512, 8, 15)]
    {
        for version in VERSIONS {
            let wanted =
                if matches!(version, Version::V3 | Version::V3Unpacked) { new } else { old };
            let head = Written::new(version, size).bytes();
            assert_eq!(read(&head).unwrap().bits(), wanted, "{size} {version}");
        }
    }
}

#[test]
fn an_alignment_moves_bitmap_and_data() {
    let at = |version, alignment| {
        let head = Written { alignment, ..Written::new(version, 1000) }.bytes();
        let header = read(&head).unwrap();
        (header.bitmap().start, header.data())
    };
    assert_eq!(at(Version::V3, 512), (4608, 5120));
    assert_eq!(at(Version::V3Unpacked, 512), (4608, 5120));
    assert_eq!(at(Version::V3, 65536), (65536, 131_072));
}

/// What was done to a header.
type Damage = fn(&mut Written);

#[test]
fn refuses_what_no_kernel_writes() {
    let head = |change: Damage| {
        let mut written = Written::new(Version::V3, 4096);
        change(&mut written);
        written.bytes()
    };
    let cases: [(Damage, Problem); 11] = [
        (|w| w.sector = 1024, Problem::Sector(1024)),
        (|w| w.sector = 0, Problem::Sector(0)),
        (|w| w.alignment = 0, Problem::Alignment(0)),
        (|w| w.alignment = 4097, Problem::Alignment(4097)),
        (|w| w.alignment = 256, Problem::Alignment(256)),
        (|w| w.alignment = 1 << 17, Problem::Alignment(1 << 17)),
        (|w| w.format = 1, Problem::Format(1)),
        (|w| w.path = vec![b'x'; 4096], Problem::EndlessPath),
        (|w| w.size = u64::MAX, Problem::Size(u64::MAX)),
        (|w| w.size = 1 << 63, Problem::Size(1 << 63)),
        (|w| w.size = (1 << 63) - 8192, Problem::Size((1 << 63) - 8192)),
    ];
    for (change, wanted) in cases {
        assert_eq!(read(&head(change)), Err(wanted));
    }
    // Without a path it is read as an unpacked one, which has none either.
    let mut empty = head(|w| w.path = Vec::new());
    empty.resize(HEAD, 0);
    assert_eq!(read(&empty), Err(Problem::NoPath));
    let old = Written { path: Vec::new(), ..Written::new(Version::V2, 4096) };
    assert_eq!(read(&old.bytes()), Err(Problem::NoPath));
}

#[test]
fn refuses_what_is_cut_off_or_of_another_version() {
    for version in VERSIONS {
        let head = Written::new(version, 4096).bytes();
        for length in 0..head.len() {
            let wanted = if length < 4 { "is not a COW file" } else { "its header alone" };
            let problem = read(&head[..length]).unwrap_err().to_string();
            assert!(problem.contains(wanted), "{length}: {problem}");
        }
    }
    let number = |order: ByteOrder, version: u32| {
        let mut head = vec![0; HEAD];
        head[..4].copy_from_slice(&order.bytes(0x4f4f_4f4d));
        head[4..8].copy_from_slice(&order.bytes(version));
        read(&head).unwrap_err()
    };
    for version in [0, 4, 1 << 24] {
        assert_eq!(number(ByteOrder::Big, version), Problem::UnknownVersion(version));
    }
    // From version 2 on, all are big endian.
    for version in [2, 3] {
        assert_eq!(number(ByteOrder::Little, version), Problem::UnknownVersion(version));
    }
    assert_eq!(read(&[0; HEAD]), Err(Problem::NotUmlCow));
}

#[test]
fn the_length_of_a_file_shows_damages() {
    for version in VERSIONS {
        let head = Written::new(version, 1000).bytes();
        let header = read(&head).unwrap();
        let is_old = !matches!(version, Version::V3 | Version::V3Unpacked);
        assert_eq!(header.fits(header.end()), Ok(()));
        assert_eq!(header.fits(header.end() + 24), Ok(()), "a whole last sector");
        assert_eq!(header.fits(header.end() - 1).is_ok(), is_old, "{version}");
        assert_eq!(header.fits(header.bitmap().end).is_ok(), is_old);
        header.fits(header.bitmap().end - 1).unwrap_err();
        assert!(header.fits(header.end() + 8192).is_err());
        assert_eq!(header.reaches(header.end() + 8192), Ok(()));
    }
}

#[test]
fn another_alignment_never_fits() {
    for (size, version) in
        [(1, Version::V3), (1 << 20, Version::V3), (200 << 20, Version::V3Unpacked)]
    {
        let real = Written::new(version, size).bytes();
        let real = read(&real).unwrap();
        for alignment in (9..=16).map(|shift| 1 << shift) {
            let damaged = Written { alignment, ..Written::new(version, size) }.bytes();
            let damaged = read(&damaged).unwrap();
            let is_right = (damaged.bitmap(), damaged.data()) == (real.bitmap(), real.data());
            assert_eq!(damaged.fits(real.end()).is_ok(), is_right, "{alignment}");
        }
    }
}

#[test]
fn a_new_header_is_the_one_of_version_3() {
    let written = Written { modified: 77, ..Written::new(Version::V3, 1_000_001) };
    assert_eq!(head(b"/srv/root.img", 77, Bytes(1_000_001)), Ok(written.bytes()));
    head(&[b'x'; 4095], 0, Bytes(0)).unwrap();
    let long = Err(Problem::LongPath { room: 4095, found: 4096 });
    assert_eq!(head(&[b'x'; 4096], 0, Bytes(0)), long);
    assert_eq!(head(b"", 0, Bytes(0)), Err(Problem::NoPath));
    assert_eq!(head(b"a\0b", 0, Bytes(0)), Err(Problem::NoPath));
    assert_eq!(head(b"a", 0, Bytes(u64::MAX)), Err(Problem::Size(u64::MAX)));
}

/// Returns a header with writes done to it.
fn with(head: &[u8], writes: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let mut head = head.to_vec();
    for (at, bytes) in writes {
        let at = usize::try_from(*at).unwrap();
        head[at..at + bytes.len()].copy_from_slice(bytes);
    }
    head
}

#[test]
fn a_relocated_header_differs_in_path_and_time_alone() {
    for version in VERSIONS {
        let written =
            Written { path: b"/a/long/path/of/it".to_vec(), ..Written::new(version, 4096) };
        let head = written.bytes();
        for path in ["/b", "/a/long/path/of/them/all", "x"] {
            let writes = relocated(&head, path.as_bytes(), 9).unwrap();
            let wanted = Written { path: path.into(), modified: 9, ..written.clone() };
            assert_eq!(with(&head, &writes), wanted.bytes(), "{version}");
            // Where both are in one sector, one write has both.
            assert_eq!(writes.len(), if version == Version::V2 { 2 } else { 1 }, "{version}");
        }
        assert_eq!(relocated(&head, &written.path, 7), Ok(Vec::new()));
        assert_eq!(relocated(&head, &written.path, 8).unwrap().len(), 1);
        let room = if matches!(version, Version::V1(_)) { 255 } else { 4095 };
        relocated(&head, &vec![b'x'; room], 0).unwrap();
        let long = relocated(&head, &vec![b'x'; room + 1], 0);
        assert_eq!(long, Err(Problem::LongPath { room, found: room + 1 }));
    }
    assert_eq!(relocated(&[0; HEAD], b"x", 0), Err(Problem::NotUmlCow));
}

#[test]
fn what_follows_the_old_path_stays() {
    // The kernel writes whatever was in the memory that it got.
    let mut head = Written::new(Version::V3, 4096).bytes();
    head[100..4128].fill(0xa5);
    let writes = relocated(&head, b"/b", 7).unwrap();
    assert_eq!(writes, [(33, b"b\0\0\0\0\0\0\0\0\0\0\0".to_vec())]);
}

/// Returns what bits say, one after the other.
fn naive(bitmap: &[u8], first: u64, sectors: u64) -> Vec<Range<u64>> {
    let mut runs: Vec<Range<u64>> = Vec::new();
    for bit in 0..sectors.min(bitmap.len() as u64 * 8) {
        if bitmap[usize::try_from(bit / 8).unwrap()] & (1 << (bit % 8)) == 0 {
            continue;
        }
        match runs.last_mut() {
            Some(last) if last.end == first + bit => last.end += 1,
            _ => runs.push(first + bit..first + bit + 1),
        }
    }
    runs
}

#[test]
fn runs_end_where_their_numbers_do() {
    assert!(runs(&[0xff; 2], u64::MAX - 3, 16).eq(core::iter::once(u64::MAX - 3..u64::MAX)));
    assert_eq!(runs(&[0xff; 2], u64::MAX, 16).count(), 0);
    assert_eq!(runs(&[], 0, u64::MAX).count(), 0);
    assert!(runs(&[0xff; 2], 8, u64::MAX).eq(core::iter::once(8..24)));
}

proptest! {
    #[test]
    fn runs_are_what_the_bits_say(
        bytes in prop::collection::vec(prop_oneof![Just(0_u8), Just(0xff), any::<u8>()], 0..60),
        first in any::<u32>(),
        sectors in 0_u64..500,
    ) {
        let first = u64::from(first);
        let found: Vec<_> = runs(&bytes, first, sectors).collect();
        prop_assert_eq!(found, naive(&bytes, first, sectors));
    }

    #[test]
    fn every_size_has_a_place_for_its_bits_and_its_data(
        version in prop::sample::select(&VERSIONS[..]),
        size in prop_oneof![0_u64..100_000, 0..(64_u64 << 40), any::<u64>()],
    ) {
        let head = Written::new(version, size).bytes();
        match read(&head) {
            Ok(header) => {
                let bitmap = header.bitmap();
                prop_assert!(bitmap.start >= head.len() as u64 && bitmap.end <= header.data());
                prop_assert!(header.bits() <= (bitmap.end - bitmap.start) * 8);
                let missing = size.div_ceil(512) - header.bits();
                let is_old = !matches!(version, Version::V3 | Version::V3Unpacked);
                let most = if is_old { 7 } else { 0 };
                prop_assert!(missing <= most);
                prop_assert_eq!(header.end() - header.data(), size);
            }
            Err(problem) => {
                prop_assert!(size > (1 << 62));
                prop_assert_eq!(problem, Problem::Size(size));
            }
        }
    }

    #[test]
    fn a_byte_that_changes_is_an_error_or_changes_nothing_but_path_time_and_size(
        version in prop::sample::select(&VERSIONS[..]),
        size in 1_u64..1_000_000,
        at in 0_usize..4136,
        byte in any::<u8>(),
    ) {
        let head = Written::new(version, size).bytes();
        let real = read(&head).unwrap();
        let mut damaged = head.clone();
        let at = at % damaged.len();
        damaged[at] = byte;
        let Ok(found) = read(&damaged) else { return Ok(()) };
        if found.fits(real.end()).is_err() {
            return Ok(());
        }
        let is_same = (found.bitmap(), found.data()) == (real.bitmap(), real.data());
        prop_assert!(is_same || found.size() != real.size(), "{}", format!("{found:?}"));
    }
}
