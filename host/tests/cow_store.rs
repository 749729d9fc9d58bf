//! Exception stores as the kernel makes them, and damaged ones, become the right runs or an error.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod stores;

use ebbtide::cow::{Cow, Disk, Run, State, store};
use ebbtide_format::{exception_store::Seen, units::Bytes};
use proptest::prelude::*;
use std::{collections::BTreeMap, fs::File, os::unix::fs::FileExt as _};
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
