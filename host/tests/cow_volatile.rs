//! Volatile disks as a guest of ours divides them, with a store in their partition for copy-on-write.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod stores;

use ebbtide::cow::{Cow, Disk, Run, volatile};
use ebbtide_format::{
    gpt_table::{Entry, Table},
    guid::{Guid, partition_type},
    units::{Bytes, LogicalBlock},
};
use std::{ops::Range, os::unix::fs::FileExt as _};
use stores::Store;
use tempfile::NamedTempFile;

const MIB: u64 = 1 << 20;
const BLOCKS: [LogicalBlock; 2] = [LogicalBlock::B512, LogicalBlock::B4096];

/// A disk and what is on it.
struct Volatile {
    block: LogicalBlock,
    size: u64,
    parts: Vec<(u32, Guid, Range<u64>)>,
}

impl Volatile {
    /// 1 MiB for the table, swap, the store up to the last whole MiB before the backup of the table.
    fn usual(block: LogicalBlock) -> Self {
        let parts = vec![
            (1, partition_type::SWAP, MIB..9 * MIB),
            (2, partition_type::COW, 9 * MIB..79 * MIB),
        ];
        Self { block, size: 80 * MIB, parts }
    }

    fn file(&self) -> NamedTempFile {
        let block = self.block.bytes();
        let entries = self.parts.iter().map(|(number, type_guid, range)| Entry {
            number: *number,
            type_guid: *type_guid,
            guid: Guid([*number as u8; 16]),
            first: range.start / block,
            last: range.end / block - 1,
            name: "ebbtide-cow",
        });
        let table = Table {
            disk: Guid([7; 16]),
            block: self.block,
            blocks: self.size / block,
            entries: entries.collect(),
        };
        let ends = table.build().unwrap();
        let file = NamedTempFile::new().unwrap();
        file.as_file().set_len(self.size).unwrap();
        file.as_file().write_all_at(&ends.head, 0).unwrap();
        file.as_file().write_all_at(&ends.tail, ends.tail_at).unwrap();
        file
    }
}

fn window(file: &NamedTempFile) -> Result<Option<Range<u64>>, String> {
    volatile::window(&Disk::open(file.path()).unwrap()).map_err(|error| error.chain())
}

fn runs(file: &NamedTempFile, device: u64) -> Result<Vec<Run>, String> {
    let cow = Cow::open(file.path()).map_err(|error| error.chain())?;
    let runs = cow.runs(Bytes(device)).map_err(|error| error.chain())?;
    runs.map(|run| run.map_err(|error| error.chain())).collect()
}

/// A store of two areas over a device of 1200 KiB − 512.
fn store() -> Store {
    Store::written(8, 300 * 4096 - 512, (0..300).rev())
}

#[test]
fn the_store_is_where_the_table_says() {
    for block in BLOCKS {
        let file = Volatile::usual(block).file();
        store().put_metadata(file.as_file(), 9 * MIB);
        assert_eq!(window(&file), Ok(Some(9 * MIB..79 * MIB)));
        let runs = runs(&file, store().device).unwrap();
        assert_eq!(runs.len(), 300);
        for run in &runs {
            let (_, new) = store().exceptions[299 - (run.at / 4096) as usize];
            assert_eq!(run.from, 9 * MIB + new * 4096);
        }
        assert_eq!(runs[299].length, 4096 - 512);
    }
}

#[test]
fn a_store_that_grew_with_the_disk_goes_on_behind_its_partition() {
    for block in BLOCKS {
        let file = Volatile::usual(block).file();
        let mut store = Store { spare: 20_000, ..store() };
        store.exceptions[200].1 = 19_000;
        store.put_metadata(file.as_file(), 9 * MIB);
        // The old backup is in the middle now. The end is as for the disk of before: 1 MiB, less than a table's.
        file.as_file().set_len(100 * MIB).unwrap();
        assert_eq!(window(&file), Ok(Some(9 * MIB..99 * MIB)));
        assert!(
            runs(&file, store.device)
                .unwrap()
                .iter()
                .any(|run| run.from == 9 * MIB + 19_000 * 4096)
        );
        // Some KiB are no whole MiB, and what a table needs at the end is not the store's.
        file.as_file().set_len(101 * MIB + 4096).unwrap();
        assert_eq!(window(&file), Ok(Some(9 * MIB..100 * MIB)));
        file.as_file().set_len(101 * MIB + 32768).unwrap();
        assert_eq!(window(&file), Ok(Some(9 * MIB..101 * MIB)));
    }
}

#[test]
fn a_store_before_another_partition_does_not_grow() {
    let mut disk = Volatile::usual(LogicalBlock::B512);
    disk.parts = vec![
        (1, partition_type::SWAP, 50 * MIB..60 * MIB),
        (2, partition_type::COW, MIB..50 * MIB),
    ];
    let file = disk.file();
    file.as_file().set_len(100 * MIB).unwrap();
    assert_eq!(window(&file), Ok(Some(MIB..50 * MIB)));
}

#[test]
fn a_disk_that_was_cut_has_what_is_left() {
    for block in BLOCKS {
        let file = Volatile::usual(block).file();
        store().put_metadata(file.as_file(), 9 * MIB);
        file.as_file().set_len(40 * MIB + 300).unwrap();
        assert_eq!(window(&file), Ok(Some(9 * MIB..40 * MIB + 300)));
        assert_eq!(runs(&file, store().device).unwrap().len(), 300);
        file.as_file().set_len(9 * MIB + store().size() - 1).unwrap();
        let said = runs(&file, store().device).unwrap_err();
        assert!(said.contains("past the end of the store"), "{said}");
        file.as_file().set_len(9 * MIB).unwrap();
        let said = window(&file).unwrap_err();
        assert!(
            said.contains("truncated: partition 2 begins at 9 MiB, and the disk ends at 9 MiB"),
            "{said}"
        );
    }
}

#[test]
fn a_partition_too_small_for_its_store_is_an_error() {
    let mut disk = Volatile::usual(LogicalBlock::B512);
    disk.parts = vec![
        (1, partition_type::SWAP, 10 * MIB..60 * MIB),
        (2, partition_type::COW, 9 * MIB..10 * MIB),
    ];
    let file = disk.file();
    store().put_metadata(file.as_file(), 9 * MIB);
    let said = runs(&file, store().device).unwrap_err();
    assert!(
        said.contains("area 0, exception 254: new chunk 256 is past the end of the store"),
        "{said}"
    );
}

#[test]
fn a_damaged_table_is_refused_unless_its_backup_is_whole() {
    for block in BLOCKS {
        let size = block.bytes();
        // In the header and in the entries of the primary table.
        for at in [size + 24, size + 60, 2 * size + 40, 2 * size + 16383] {
            let file = Volatile::usual(block).file();
            file.as_file().write_all_at(&[0xa5], at).unwrap();
            assert_eq!(window(&file), Ok(Some(9 * MIB..79 * MIB)), "{at}");
            file.as_file().write_all_at(&[0xff; 40], 80 * MIB - size).unwrap();
            let said = window(&file).unwrap_err();
            assert!(said.contains("checksum") || said.contains("own block"), "{said}");
        }
    }
}

#[test]
fn a_disk_that_is_not_ours_has_no_store() {
    let mut disk = Volatile::usual(LogicalBlock::B512);
    disk.parts.pop();
    assert_eq!(window(&disk.file()), Ok(None));
    let blank = NamedTempFile::new().unwrap();
    for size in [0, 511, 513, 4096, 5000, MIB] {
        blank.as_file().set_len(size).unwrap();
        assert_eq!(window(&blank), Ok(None));
    }
    disk.parts.push((2, partition_type::COW, 9 * MIB..10 * MIB));
    disk.parts.push((9, partition_type::COW, 10 * MIB..11 * MIB));
    let said = window(&disk.file()).unwrap_err();
    assert!(said.contains("partitions 2 and 9 are both for copy-on-write"), "{said}");
}

#[test]
fn a_store_without_a_table_is_refused_by_its_kind() {
    let file = Volatile::usual(LogicalBlock::B512).file();
    file.as_file().write_all_at(b"what was copied first", 9 * MIB).unwrap();
    let said = runs(&file, store().device).unwrap_err();
    assert!(said.contains("no table (N)"), "{said}");
    // The first chunk that was copied may be zeros.
    file.as_file().write_all_at(&[0; 512], 9 * MIB).unwrap();
    file.as_file().write_all_at(b"copied later", 10 * MIB).unwrap();
    let said = runs(&file, store().device).unwrap_err();
    assert!(said.contains("no table (N)"), "{said}");
}
