//! COW files of every version of user-mode Linux, made by a writer that shares nothing with the program's reader.

#![allow(clippy::unwrap_used, reason = "a test may end here")]

use ebbtide::{
    cow::{
        Cow, Run, State,
        relocate::{Options, Outcome, Time, relocate},
    },
    file::Unseen,
};
use proptest::prelude::*;
use std::{
    fs::{self, File},
    os::unix::{ffi::OsStrExt as _, fs::FileExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    One { is_little: bool },
    Two,
    Three { is_unpacked: bool },
}

const VERSIONS: [Version; 5] = [
    Version::One { is_little: true },
    Version::One { is_little: false },
    Version::Two,
    Version::Three { is_unpacked: false },
    Version::Three { is_unpacked: true },
];

impl Version {
    /// Returns header, beginning of the bitmap, its bytes, and beginning of the data: `struct cow_header_v*` and
    /// `cow_sizes` of the kernel's arch/um/drivers/cow_user.c, line by line.
    fn lay_out(self, path: &Path, modified: u32, size: u64) -> (Vec<u8>, u64, u64, u64) {
        let mut head = Vec::new();
        let is_little = self == Self::One { is_little: true };
        let u32 = |n: u32| if is_little { n.to_le_bytes() } else { n.to_be_bytes() };
        let u64 = |n: u64| if is_little { n.to_le_bytes() } else { n.to_be_bytes() };
        let field = |room: usize| {
            let mut field = path.as_os_str().as_bytes().to_vec();
            field.resize(room, 0);
            field
        };
        head.extend(u32(0x4f4f_4f4d));
        match self {
            Self::One { .. } | Self::Two => {
                let (number, room) = if self == Self::Two { (2, 4096) } else { (1, 256) };
                head.extend(u32(number));
                head.extend(field(room));
                head.extend(u32(modified));
                head.extend(u64(size));
                head.extend(u32(512));
                let (start, length) = (head.len() as u64, (size + 511) / (8 * 512));
                (head, start, length, (start + length).next_multiple_of(512))
            }
            Self::Three { is_unpacked } => {
                head.extend(u32(3));
                head.extend(u32(modified));
                head.extend(is_unpacked.then_some([0; 4]).into_iter().flatten());
                head.extend(u64(size));
                head.extend(u32(512));
                head.extend(u32(4096));
                head.extend(u32(0));
                head.extend(field(4096));
                head.extend(is_unpacked.then_some([0; 4]).into_iter().flatten());
                let length = size.div_ceil(512).div_ceil(8);
                (head, 8192, length, (8192 + length).next_multiple_of(4096))
            }
        }
    }
}

struct Made {
    dir: tempfile::TempDir,
    data: u64,
    /// Sectors that have a bit.
    bits: u64,
}

impl Made {
    /// Makes a backing of `size` bytes and a COW file with these sectors in it.
    fn new(version: Version, size: u64, sectors: &[u64]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (backing, cow) = (dir.path().join("root.img"), dir.path().join("work.cow"));
        File::create(&backing).unwrap().set_len(size).unwrap();
        let modified = u32::try_from(backing.metadata().unwrap().mtime()).unwrap();
        let (head, start, length, data) = version.lay_out(&backing, modified, size);
        let file = File::create(&cow).unwrap();
        file.set_len(data + size).unwrap();
        file.write_all_at(&head, 0).unwrap();
        let mut bitmap = vec![0_u8; usize::try_from(length).unwrap()];
        for sector in sectors {
            if let Some(byte) = bitmap.get_mut(usize::try_from(sector / 8).unwrap()) {
                *byte |= 1 << (sector % 8);
            }
        }
        file.write_all_at(&bitmap, start).unwrap();
        Self { dir, data, bits: (length * 8).min(size.div_ceil(512)) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn runs_are_the_sectors_that_were_put_in(
        version in prop::sample::select(&VERSIONS[..]),
        size in 1_u64..400_000,
        picks in prop::collection::vec(any::<u64>(), 0..60),
    ) {
        let count = size.div_ceil(512);
        let sectors: Vec<u64> = picks.iter().map(|pick| pick % count).collect();
        let made = Made::new(version, size, &sectors);
        let cow = Cow::open(&made.path("work.cow")).unwrap();
        prop_assert_eq!(cow.state(), &State::Valid);
        let recorded = cow.recorded().unwrap();
        prop_assert_eq!(recorded.size.0, size);
        let mut wanted: Vec<Run> = Vec::new();
        for sector in (0..count).filter(|sector| sectors.contains(sector) && *sector < made.bits) {
            let at = sector * 512;
            let run = Run { at, from: made.data + at, length: 512.min(size - at) };
            match wanted.last_mut() {
                Some(last) if last.joined(run).is_some() => *last = last.joined(run).unwrap(),
                _ => wanted.push(run),
            }
        }
        let found: Vec<Run> = cow.runs(recorded.size).unwrap().map(Result::unwrap).collect();
        prop_assert_eq!(found, wanted);
    }
}

#[test]
fn every_version_gets_another_backing_and_nothing_else_changes() {
    for version in VERSIONS {
        let made = Made::new(version, 10_000, &[3, 4, 15]);
        let (cow, backing) = (made.path("work.cow"), made.path("another-name-of-it.img"));
        let before = fs::read(&cow).unwrap();
        fs::copy(made.path("root.img"), &backing).unwrap();
        let old = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
        File::open(&backing).unwrap().set_modified(old).unwrap();
        let options = Options {
            cow: &cow,
            backing: &backing,
            time: Time::Record,
            compare: Some(&made.path("root.img")),
        };
        let real = backing.canonicalize().unwrap();
        let outcome = relocate(&options, &mut Unseen).unwrap();
        assert_eq!(outcome, Outcome::Moved { backing: real.clone() });
        let (head, ..) = version.lay_out(&real, 1_000_000_000, 10_000);
        let after = fs::read(&cow).unwrap();
        assert!(
            after[..head.len()] == head && after[head.len()..] == before[head.len()..],
            "{version:?}"
        );
        let options = Options { time: Time::Keep, compare: None, ..options };
        assert_eq!(relocate(&options, &mut Unseen).unwrap(), Outcome::Already);
    }
}

#[test]
fn files_of_old_kernels_may_end_where_nothing_was_written_any_more() {
    for version in VERSIONS {
        let made = Made::new(version, 100_000, &[3, 20]);
        let file = File::options().write(true).open(made.path("work.cow")).unwrap();
        file.set_len(made.data + 21 * 512).unwrap();
        let cow = Cow::look(&made.path("work.cow")).unwrap();
        let is_old = !matches!(version, Version::Three { .. });
        assert_eq!(cow.believe().is_ok(), is_old, "{version:?}");
        if is_old {
            let size = cow.recorded().unwrap().size;
            assert_eq!(cow.runs(size).unwrap().filter_map(Result::ok).count(), 2);
            file.set_len(made.data + 21 * 512 - 1).unwrap();
            let cow = Cow::open(&made.path("work.cow")).unwrap();
            cow.runs(size).unwrap().last().unwrap().unwrap_err();
        }
    }
}
