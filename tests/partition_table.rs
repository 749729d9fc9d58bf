//! Properties of the partition table: what is built is read again by a reader of our own, and what
//! is wrong is not built.

mod gpt_reader;

use ebbtide_format::{
    gpt_seen,
    gpt_table::{Ends, Entry, Table, TableError},
    guid::{Guid, partition_type},
    units::{Bytes, LogicalBlock},
};
use ebbtide_init::{
    layout::{Layout, Purpose, layout},
    options::SwapSize,
};
use gpt_reader::{Found, FoundTable};
use proptest::{array::uniform16, prelude::*};

const NAMES: [&str; 5] =
    ["", "ebbtide-swap", "Öl, 水 and 🌊", "exactly thirty-six units in this one", "x"];
/// 16 TiB.
const LARGEST_DISK: u64 = 1 << 44;

fn blocks() -> impl Strategy<Value = LogicalBlock> {
    prop_oneof![Just(LogicalBlock::B512), Just(LogicalBlock::B4096)]
}

/// A type of all zeros means that the entry is not in use.
fn types() -> impl Strategy<Value = Guid> {
    uniform16(any::<u8>()).prop_filter("in use", |bytes| *bytes != [0; 16]).prop_map(Guid)
}

/// Table 5-5 of the UEFI specification: MBR, header and entries before, entries and header after.
fn usable(block: LogicalBlock, blocks: u64) -> (u64, u64) {
    let entries = 16384 / block.bytes();
    (2 + entries, blocks - 2 - entries)
}

prop_compose! {
    /// Partitions that do not touch: cuts between the usable blocks, every other piece is used.
    fn tables()(block in blocks(), shift in 0..33u32)(
        cuts in prop::collection::btree_set(0..(LARGEST_DISK / 4096) >> shift, 0..24),
        more in 0..1000u64,
        numbers in prop::sample::subsequence((1..=128).collect::<Vec<u32>>(), 12).prop_shuffle(),
        kinds in prop::collection::vec((types(), uniform16(any::<u8>()), 0..NAMES.len()), 12),
        disk in uniform16(any::<u8>()),
        block in Just(block),
    ) -> Table {
        let cuts: Vec<u64> = cuts.into_iter().collect();
        let (first, _) = usable(block, 1 << 40);
        let blocks = first * 2 + cuts.last().map_or(0, |last| last + 1) + more;
        let pieces = cuts.chunks_exact(2).map(|cut| (first + cut[0], first + cut[1]));
        let entries = pieces.zip(numbers).zip(kinds).map(|(((first, last), number), kind)| {
            let (type_guid, guid, name) = kind;
            Entry { number, type_guid, guid: Guid(guid), first, last, name: NAMES[name] }
        });
        Table { disk: Guid(disk), block, blocks, entries: entries.collect() }
    }
}

fn read(table: &Table, ends: &Ends) -> Result<FoundTable, String> {
    let Ends { head, tail_at, tail } = ends;
    let ends = gpt_reader::Ends { head, tail_at: *tail_at, tail };
    gpt_reader::read(&ends, table.block.bytes(), table.blocks)
}

fn as_read(table: &Table) -> FoundTable {
    let (first_usable, last_usable) = usable(table.block, table.blocks);
    let mut entries: Vec<_> = table.entries.iter().map(entry_as_read).collect();
    entries.sort_by_key(|entry| entry.number);
    FoundTable { disk: table.disk.0, first_usable, last_usable, entries }
}

fn entry_as_read(entry: &Entry) -> Found {
    let Entry { number, type_guid, guid, first, last, name } = *entry;
    Found { number, type_guid: type_guid.0, guid: guid.0, first, last, name: name.to_string() }
}

/// The table that belongs to a layout: swap is number 1, the store is number 2.
fn table_of(layout: &Layout, block: LogicalBlock, blocks: u64) -> Table {
    let parts = [(1, layout.swap, partition_type::SWAP), (2, layout.cow, partition_type::COW)];
    let entries = parts.into_iter().filter_map(|(number, extent, type_guid)| {
        let (first, end) = (extent?.start.0 / block.bytes(), extent?.end().0 / block.bytes());
        let guid = Guid([number as u8; 16]);
        Some(Entry { number, type_guid, guid, first, last: end - 1, name: NAMES[1] })
    });
    Table { disk: Guid([9; 16]), block, blocks, entries: entries.collect() }
}

/// Returns what the reader of untrusted tables says of either copy.
fn believed(table: &Table, ends: &Ends) -> [Result<Vec<Found>, gpt_seen::Problem>; 2] {
    let last = ends.tail.len() - table.block.bytes() as usize;
    let backup = gpt_seen::Seen::parse(&ends.tail[last..], table.block, table.blocks - 1);
    let backup = backup.and_then(|seen| {
        let at = seen.entries().start - ends.tail_at;
        seen.believe(&ends.tail[at as usize..])
    });
    [gpt_seen::Table::parse(&ends.head), backup].map(|found| {
        let found = found?;
        assert_eq!((found.block(), found.disk()), (table.block, table.disk));
        assert_eq!(found.last_usable(), usable(table.block, table.blocks).1);
        let entries = found.entries().map(|entry| Found {
            number: entry.number,
            type_guid: entry.type_guid.0,
            guid: entry.guid.0,
            first: entry.first,
            last: entry.last,
            name: entry.name.to_string(),
        });
        Ok(entries.collect())
    })
}

proptest! {
    #[test]
    fn what_is_built_is_seen_and_believed(table in tables()) {
        let ends = table.build().expect("a table without a fault");
        let entries = as_read(&table).entries;
        prop_assert_eq!(believed(&table, &ends), [Ok(entries.clone()), Ok(entries)]);
    }

    #[test]
    fn a_changed_byte_is_not_believed(
        table in tables(), at in any::<prop::sample::Index>(), bit in 0..8u8, is_backup in any::<bool>(),
    ) {
        let mut ends = table.build().expect("a table without a fault");
        let block = table.block.bytes() as usize;
        // The header, and the entries before or after it.
        let (piece, header, entries) = match is_backup {
            true => (&mut ends.tail, 16384, 0),
            false => (&mut ends.head, block, 2 * block),
        };
        let at = at.index(92 + 16384);
        let at = if at < 92 { header + at } else { entries + at - 92 };
        piece[at] ^= 1 << bit;
        let [primary, backup] = believed(&table, &ends);
        prop_assert_eq!((primary.is_ok(), backup.is_ok()), (is_backup, !is_backup), "byte {}", at);
    }

    #[test]
    fn what_is_built_is_read_again(table in tables()) {
        let ends = table.build().expect("a table without a fault");
        prop_assert_eq!(read(&table, &ends), Ok(as_read(&table)));
    }

    #[test]
    fn every_layout_becomes_a_table(
        blocks in 0..LARGEST_DISK / 512, shift in 0..20u32, block in blocks(),
        swap in prop_oneof![
            Just(SwapSize::Auto),
            (0..1u64 << 34).prop_map(|bytes| SwapSize::Fixed(Bytes(bytes))),
        ],
        purpose in prop_oneof![Just(Purpose::SwapAndCow), Just(Purpose::SwapOnly)],
    ) {
        let blocks = (blocks >> shift) / block.sectors();
        let size = Bytes(blocks * block.bytes()).sectors();
        let Ok(layout) = layout(size, block, swap, purpose) else { return Ok(()) };
        let table = table_of(&layout, block, blocks);
        let ends = table.build().expect("a table for a layout");
        prop_assert_eq!(read(&table, &ends), Ok(as_read(&table)));
    }

    #[test]
    fn a_changed_byte_is_noticed(table in tables(), at in any::<prop::sample::Index>(), bit in 0..8u8) {
        let mut ends = table.build().expect("a table without a fault");
        // The 446 bytes of boot code at the start mean nothing to anyone.
        let at = 446 + at.index(ends.head.len() + ends.tail.len() - 446);
        match at.checked_sub(ends.head.len()) {
            None => ends.head[at] ^= 1u8 << bit,
            Some(at) => ends.tail[at] ^= 1u8 << bit,
        }
        prop_assert!(read(&table, &ends).is_err(), "byte {}", at);
    }

    #[test]
    fn an_overlap_is_refused(mut table in tables(), which in any::<prop::sample::Index>()) {
        prop_assume!(!table.entries.is_empty());
        let number = (1..=128).find(|n| table.entries.iter().all(|e| e.number != *n));
        let mut twin = which.get(&table.entries).clone();
        (twin.number, twin.first) = (number.expect("a free number"), twin.last);
        table.entries.push(twin);
        prop_assert!(matches!(table.build(), Err(TableError::Overlap(..))));
    }

    #[test]
    fn a_number_that_is_not_free_or_not_in_the_table_is_refused(
        mut table in tables(), which in any::<prop::sample::Index>(), number in 129..=u32::MAX,
    ) {
        prop_assume!(!table.entries.is_empty());
        let at = which.index(table.entries.len());
        let taken = table.entries[(at + 1) % table.entries.len()].number;
        for bad in [0, 129, number].into_iter().chain((table.entries.len() > 1).then_some(taken)) {
            table.entries[at].number = bad;
            prop_assert!(matches!(table.build(), Err(TableError::Number(n)) if n == bad));
        }
    }

    #[test]
    fn a_partition_outside_the_usable_blocks_is_refused(
        mut table in tables(), which in any::<prop::sample::Index>(), by in 1..100u64,
    ) {
        prop_assume!(!table.entries.is_empty());
        let entry = which.get(&table.entries).clone();
        let (first, last) = usable(table.block, table.blocks);
        let before = (first.saturating_sub(by), entry.last);
        let after = (entry.first, last + by);
        let empty = (entry.last + by, entry.last);
        for bad in [before, after, empty] {
            table.entries = vec![Entry { first: bad.0, last: bad.1, ..entry.clone() }];
            let refused = matches!(table.build(), Err(TableError::Outside { .. }));
            prop_assert!(refused, "{:?}", table);
        }
    }

    #[test]
    fn a_disk_without_a_usable_block_is_refused(block in blocks(), less in 0..100u64) {
        let least = 2 * (2 + 16384 / block.bytes());
        let table = |blocks| Table { disk: Guid([1; 16]), block, blocks, entries: vec![] };
        let refused = table(least.saturating_sub(less + 1)).build();
        let by_size = matches!(refused, Err(TableError::DiskTooSmall { .. }));
        prop_assert!(by_size, "{:?}", refused);
    }
}

#[test]
fn a_disk_with_one_block_between_the_ends_has_room_for_one_partition() {
    for block in [LogicalBlock::B512, LogicalBlock::B4096] {
        // Two ends of 2 + 16384 / block; the front has the MBR, the back does not.
        let front = 2 + 16384 / block.bytes();
        let table = Table {
            disk: Guid([1; 16]),
            block,
            blocks: 2 * front,
            entries: vec![Entry {
                number: 128,
                type_guid: partition_type::COW,
                guid: Guid([2; 16]),
                first: front,
                last: front,
                name: NAMES[2],
            }],
        };
        let ends = table.build().expect("a partition of one block");
        assert_eq!(read(&table, &ends), Ok(as_read(&table)), "{block:?}");
    }
}

/// All that the kernel counts of a disk fits into 63 bits: also the end of the entries.
#[test]
fn entries_that_end_where_nobody_counts_are_refused() {
    for block in [LogicalBlock::B512, LogicalBlock::B4096] {
        let (bytes, countable) = (block.bytes(), (1 << 63) / block.bytes());
        let table = Table { disk: Guid([1; 16]), block, blocks: 1 << 20, entries: vec![] };
        let head = table.build().expect("an empty table").head;
        let seen = |start: u64| {
            let mut header = head[bytes as usize..][..92].to_vec();
            header[72..80].copy_from_slice(&start.to_le_bytes());
            header[16..20].fill(0);
            let sum = gpt_reader::crc32(&header);
            header[16..20].copy_from_slice(&sum.to_le_bytes());
            gpt_seen::Seen::parse(&header, block, 1)
        };
        let last = countable - 16384 / bytes - 1;
        assert_eq!(seen(last).map(|seen| seen.entries().end), Ok((1 << 63) - bytes), "{block:?}");
        for start in [last + 1, countable - 1, countable, u64::MAX] {
            let wanted = gpt_seen::Problem::Field { field: "block of the entries", found: start };
            assert_eq!(seen(start).err(), Some(wanted), "{block:?}");
        }
    }
}
