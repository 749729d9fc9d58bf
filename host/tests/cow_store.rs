//! Exception stores as the kernel makes them, and damaged ones, become the right runs or an error.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod stores;

use ebbtide::cow::{Disk, Run, store};
use ebbtide_format::{exception_store::Seen, units::Bytes};
use proptest::prelude::*;
use std::{collections::BTreeMap, os::unix::fs::FileExt as _};
use stores::{Damage, Store};
use tempfile::NamedTempFile;

const CHUNKS: [u64; 5] = [1, 8, 16, 32, 256];

/// Puts the metadata of a store into a file.
fn file(store: &Store) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    store.put_metadata(file.as_file(), 0);
    file
}

/// Reads the runs of the store in a file by passes of `kept`.
fn runs(file: &NamedTempFile, device: u64, kept: usize) -> Result<Vec<Run>, String> {
    let disk = Disk::open(file.path()).unwrap();
    let mut head = vec![0; disk.size.0.min(16) as usize];
    disk.file.read_exact_at(&mut head, 0).unwrap();
    let header = match Seen::parse(&head).map_err(|problem| problem.to_string())? {
        Seen::Empty => return Ok(Vec::new()),
        seen => seen.believe(disk.size).map_err(|problem| problem.to_string())?,
    };
    let runs = store::runs_by(&disk, 0..disk.size.0, &header, Bytes(device), kept);
    runs.map(|run| run.map_err(|error| error.chain())).collect()
}

/// Takes runs apart into chunks, and checks their order.
fn chunks(runs: &[Run], chunk: u64, device: u64) -> BTreeMap<u64, u64> {
    let mut chunks = BTreeMap::new();
    for run in runs {
        assert!(run.length > 0 && run.at + run.length <= device, "{run:?}");
        assert!(run.length % chunk == 0 || run.at + run.length == device, "{run:?}");
        for step in 0..run.length.div_ceil(chunk) {
            chunks.insert(run.at / chunk + step, run.from / chunk + step);
        }
    }
    for pair in runs.windows(2) {
        assert!(pair[0].at + pair[0].length <= pair[1].at, "{pair:?}");
        assert_eq!(pair[0].joined(pair[1]), None);
    }
    chunks
}

prop_compose! {
    /// A store of up to three areas and some, with its exceptions a little out of order and chunks lost to crashes.
    fn stores_of(largest: usize)(which in 0..largest, tail in 0_u64..131_072, spare in 0_u64..3)(
        count in 0..(if which < 3 { CHUNKS[which] as usize * 32 * 7 / 2 } else { 1200 }),
        length in 1_u64..40,
        seed in any::<u64>(),
        lost in prop::collection::btree_set(0_usize..3000, 0..4),
        swapped in prop::collection::vec(0_usize..3000, 0..20),
        (which, tail, spare) in Just((which, tail, spare)),
    ) -> Store {
        let chunk = CHUNKS[which] * 512;
        let chunks = count as u64 * 3 / 2 + 1;
        let device = (chunks - 1) * chunk + 1 + tail % chunk;
        let mut store = Store::new(CHUNKS[which], device);
        store.spare = spare;
        let mut left: std::collections::BTreeSet<u64> = (0..chunks).collect();
        let mut state = seed | 1;
        while store.exceptions.len() < count {
            // Pieces of some chunks each, here and there.
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let start = (state >> 33) % chunks;
            for old in start..(start + 1 + (state >> 20) % length).min(chunks) {
                if left.remove(&old) {
                    if lost.contains(&store.exceptions.len()) {
                        store.lose();
                    }
                    store.write(old);
                }
            }
        }
        for at in swapped {
            if at + 2 < store.exceptions.len() {
                store.exceptions.swap(at, at + 2);
            }
        }
        store
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn runs_are_what_a_naive_reader_reads(store in stores_of(5), kept in 1_usize..300) {
        let file = file(&store);
        let naive: BTreeMap<u64, u64> = store.exceptions.iter().copied().collect();
        for kept in [kept, usize::MAX / 4] {
            let runs = runs(&file, store.device, kept).unwrap();
            prop_assert_eq!(chunks(&runs, store.chunk, store.device), naive.clone());
        }
    }
}

#[test]
fn stores_of_several_areas_are_read_with_every_chunk() {
    for sectors in CHUNKS {
        let per_area = sectors * 32;
        // Exactly full areas, one less and one more, written from both ends of the device to its middle.
        for count in [per_area - 1, per_area, per_area + 1, 3 * per_area, 3 * per_area + 5] {
            let olds = (0..count).map(|n| if n % 2 == 0 { n / 2 } else { count - 1 - n / 2 });
            let store = Store::written(sectors, count * sectors * 512 - 100, olds);
            let runs = runs(&file(&store), store.device, 1000).unwrap();
            let naive = store.exceptions.iter().copied().collect();
            assert_eq!(chunks(&runs, store.chunk, store.device), naive, "{sectors}, {count}");
        }
    }
}

#[test]
fn what_was_written_in_a_row_is_one_run_in_each_area() {
    let store = Store::written(8, 600 * 4096, 0..600);
    let runs = runs(&file(&store), store.device, 2).unwrap();
    // 4096 / 16 = 256 chunks between the metadata chunks 1, 258 and 515.
    let run = |old: u64, new: u64, count: u64| Run {
        at: old * 4096,
        from: new * 4096,
        length: count * 4096,
    };
    assert_eq!(runs, [run(0, 2, 256), run(256, 259, 256), run(512, 516, 88)]);
}

#[test]
fn a_partial_last_chunk_is_clipped() {
    let store = Store::written(32, 3 * 16384 + 512, [3, 2]);
    let runs = runs(&file(&store), store.device, 10).unwrap();
    let expected = [(2, 3, 16384), (3, 2, 512)].map(|(old, new, length)| Run {
        at: old * 16384,
        from: new * 16384,
        length,
    });
    assert_eq!(runs, expected);
}

/// A store of two full areas and some, 512 bytes a chunk, 32 exceptions an area, over 100 chunks.
fn three_areas() -> Store {
    Store::written(1, 100 * 512 - 100, (0..70).map(|n| n * 37 % 100))
}

/// Damages a store, and returns what is said of it.
fn said(store: &Store, damage: Damage) -> Result<Vec<Run>, String> {
    let file = file(store);
    damage.put(store, file.as_file(), 0);
    runs(&file, store.device, 1000)
}

#[test]
fn each_bad_exception_is_named_with_its_place() {
    let store = three_areas();
    let (_, new) = store.exceptions[20];
    let old = |old| format!("old chunk {old} is past the end of the origin, which has 100 chunks");
    let end = store.size() / 512;
    let past =
        |new| format!("new chunk {new} is past the end of the store, which has {end} whole chunks");
    for (damage, text) in [
        (Damage::Old(40, 100), format!("area 1, exception 8: {}", old(100))),
        (Damage::Old(0, u64::MAX), format!("area 0, exception 0: {}", old(u64::MAX))),
        (Damage::New(69, end), format!("area 2, exception 5: {}", past(end))),
        (Damage::New(69, 1 << 56), format!("area 2, exception 5: {}", past(1 << 56))),
        (Damage::New(7, 1), "area 0, exception 7: new chunk 1 is metadata of the store".into()),
        (Damage::New(7, 34), "area 0, exception 7: new chunk 34 is metadata of the store".into()),
        (
            Damage::Old(50, store.exceptions[33].0),
            format!(
                "area 1, exception 18: old chunk {} is in area 1, exception 1 too",
                store.exceptions[33].0
            ),
        ),
        (
            Damage::New(50, new),
            format!("area 1, exception 18: new chunk {new} is in area 0, exception 20 too"),
        ),
    ] {
        let said = said(&store, damage).unwrap_err();
        assert!(said.contains(&text), "{damage:?}: {said}\nwanted {text}");
    }
}

#[test]
fn what_leads_out_is_an_error_before_the_first_run() {
    let store = three_areas();
    let file = file(&store);
    Damage::Old(69, 100).put(&store, file.as_file(), 0);
    let disk = Disk::open(file.path()).unwrap();
    let header = Seen::Header { valid: 1, version: 1, chunk: 1 }.believe(disk.size).unwrap();
    let mut runs = store::runs_by(&disk, 0..disk.size.0, &header, Bytes(store.device), 3);
    runs.next().unwrap().unwrap_err();
    assert!(runs.next().is_none(), "an error is the last that comes");
}

#[test]
fn a_chunk_that_is_there_twice_is_found_by_any_number_of_passes() {
    let store = three_areas();
    for twice in [1, 33, 69] {
        let file = file(&store);
        let (old, _) = store.exceptions[0];
        Damage::Old(twice, old).put(&store, file.as_file(), 0);
        for kept in [1, 2, 3, 10, 100] {
            let said = runs(&file, store.device, kept).unwrap_err();
            assert!(
                said.contains(&format!("old chunk {old} is in area 0, exception 0 too")),
                "{said}"
            );
        }
    }
    // In the middle of a run, and more often than a pass keeps.
    let mut store = Store::written(8, 600 * 4096, 0..20);
    for _ in 0..7 {
        store.write(11);
    }
    for kept in [1, 2, 3, 100] {
        let said = runs(&file(&store), store.device, kept).unwrap_err();
        assert!(
            said.contains("area 0, exception 20: old chunk 11 is in area 0, exception 11 too"),
            "{said}"
        );
    }
}

#[test]
fn a_store_that_is_cut_anywhere_is_an_error_unless_nothing_is_missing() {
    let store = three_areas();
    let bytes = store.metadata_bytes();
    let cut = (0..=store.size()).step_by(128).chain([store.size() - 1]);
    for length in cut {
        let said = said(&store, Damage::Length(length));
        assert_eq!(said.is_ok(), length == store.size(), "{length}: {said:?}");
        let naive = stores::read(&bytes[..length as usize], store.device);
        assert_eq!(said.is_ok(), naive.is_ok(), "{length}: {naive:?}");
    }
}

#[test]
fn a_full_area_wants_the_next_whole() {
    let mut store = Store::written(1, 64 * 512, 0..64);
    assert_eq!(store.size(), (store.area_at(2)) + 512, "the next metadata ends the store");
    assert_eq!(said(&store, Damage::Length(store.size())).unwrap().len(), 2);
    for less in [1, 512] {
        let said = said(&store, Damage::Length(store.size() - less)).unwrap_err();
        assert!(said.contains("truncated: wanted area 2"), "{said}");
    }
    // With one exception less, nobody looks for it.
    store.exceptions.pop();
    assert_eq!(said(&store, Damage::Length(store.size())).unwrap().len(), 2);
}

#[test]
fn exceptions_after_the_end_are_of_another_time() {
    let mut store = three_areas();
    let (before, _) = store.exceptions.split_at(40);
    let mut before = before.to_vec();
    let read = said(&store, Damage::New(40, 0)).unwrap();
    assert_eq!(chunks(&read, 512, store.device), before.drain(..).collect());
    // The same where a full area is followed by an empty one, which is followed by what was there before.
    store.exceptions[32..].fill((99, 0));
    let read = runs(&file(&store), store.device, 5).unwrap();
    assert_eq!(chunks(&read, 512, store.device), store.exceptions[..32].iter().copied().collect());
}

#[test]
fn a_header_that_no_kernel_uses_is_refused() {
    let store = three_areas();
    for damage in [
        Damage::Magic(0x70416e54),
        Damage::Invalid,
        Damage::Version(0),
        Damage::Version(2),
        Damage::Chunk(0),
        Damage::Chunk(3),
        Damage::Chunk(1 << 22),
        Damage::Chunk(u32::MAX),
    ] {
        said(&store, damage).unwrap_err();
    }
    assert_eq!(said(&store, Damage::Magic(0)), Ok(vec![]));
}

#[test]
fn a_store_of_many_tib_is_read_by_what_it_holds() {
    // 8 TiB in chunks of 512 bytes: the last exceptions lead to its end.
    let mut store = Store::written(1, 8 << 40, [0, (8 << 31) - 1, 5]);
    let whole = (8 << 40) / 512 - 1;
    store.exceptions.push((7, whole));
    let runs = runs(&file(&store), store.device, 2).unwrap();
    assert_eq!(runs.len(), 4);
    assert_eq!((runs[2].at, runs[2].from), (7 * 512, whole * 512));
    assert_eq!(runs[3].at, (8 << 40) - 512);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_bits_that_flip_are_an_error_or_read_as_the_kernel_reads_them(
        store in stores_of(2),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..8), 1..4),
        kept in 1_usize..50,
    ) {
        // Header and metadata, where a flip means something; mostly where exceptions are.
        let mut places: Vec<u64> = (0..16).collect();
        for area in 0..store.areas() {
            places.extend(store.area_at(area)..store.area_at(area) + store.chunk);
        }
        let file = file(&store);
        let mut bytes = store.metadata_bytes();
        for (index, bit) in flips {
            let at = *index.get(&places);
            bytes[at as usize] ^= 1 << bit;
            file.as_file().write_all_at(&bytes[at as usize..][..1], at).unwrap();
        }
        let naive = stores::read(&bytes, store.device);
        let ours = runs(&file, store.device, kept);
        match (naive, ours) {
            (Ok(naive), Ok(ours)) => {
                // A flip in the header makes another chunk of it.
                let chunk = u64::from(u32::from_le_bytes(bytes[12..16].try_into().unwrap())) * 512;
                prop_assert_eq!(chunks(&ours, chunk, store.device), naive);
            }
            (naive, ours) => prop_assert_eq!(naive.is_ok(), ours.is_ok(), "{:?} {:?}", naive, ours),
        }
    }
}

#[test]
fn a_store_with_a_flipped_bit_is_an_error_or_read_as_it_is() {
    for sectors in [1, 8] {
        let device = 300 * 512 * sectors;
        let store = Store::written(sectors, device, (0..40).chain(60..100).map(|n| n * 7 % 300));
        let file = file(&store);
        let whole = store.metadata_bytes();
        let bits = |from: u64, bytes: u64| from * 8..(from + bytes) * 8;
        // The header; and of each area the first, some in the middle, and its end.
        let step = (store.chunk as usize / 10).next_multiple_of(16);
        let metadata = (0..store.areas()).map(|area| store.area_at(area));
        let places = metadata.flat_map(|at| (at..at + store.chunk).step_by(step));
        let mut is_read = [0, 0];
        for bit in bits(0, 16).chain(places.flat_map(|at| bits(at, 16))) {
            let (at, mut now) = ((bit / 8) as usize, whole.clone());
            now[at] ^= 1 << (bit % 8);
            file.as_file().write_all_at(&now[at..=at], bit / 8).unwrap();
            let found = runs(&file, device, 1000);
            file.as_file().write_all_at(&whole[at..=at], bit / 8).unwrap();
            is_read[usize::from(found.is_ok())] += 1;
            if let Ok(found) = found {
                let wanted = stores::read(&now, device);
                assert_eq!(Ok(chunks(&found, store.chunk, device)), wanted, "bit {bit}");
            }
        }
        assert!(is_read[0] > 100 && is_read[1] > 20, "{is_read:?}");
    }
}
