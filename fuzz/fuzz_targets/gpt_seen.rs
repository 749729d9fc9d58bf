//! Any partition table on any disk: no panic, nothing believed that leads out of the disk, and what `gpt_table` makes
//! reads as it was meant.

#![no_main]

use arbitrary::Arbitrary;
use ebbtide_format::{
    gpt_seen::{self, HEAD, MAX_ENTRIES, Problem, Seen},
    gpt_table::{Entry, Table},
    guid::Guid,
    units::LogicalBlock,
};
use libfuzzer_sys::fuzz_target;

const NAMES: [&str; 3] = ["", "ebbtide-cow", "Öl, 水 and 🌊"];

#[derive(Arbitrary, Debug)]
struct Input {
    large_blocks: bool,
    blocks: u32,
    /// Number, identifier, room before it, length, name.
    entries: Vec<(u8, u8, u8, u8, u8)>,
    /// Entries that are changed: which, and by how much their first and last block.
    moves: Vec<(u8, i8, i8)>,
    /// Bytes that are changed: where from the header on, and what with.
    edits: Vec<(u16, u8)>,
    /// Fields of the header that are changed: which, and to what.
    fields: Vec<(u8, u64)>,
    /// Whether the checksums are made right again.
    sums: bool,
    length: Option<u16>,
}

/// Where the fields of the header are, and how long.
const FIELDS: [(usize, usize); 14] = [
    (8, 4),
    (12, 4),
    (16, 4),
    (20, 4),
    (24, 8),
    (32, 8),
    (40, 8),
    (48, 8),
    (56, 8),
    (72, 8),
    (80, 4),
    (84, 4),
    (88, 4),
    (0, 8),
];

fuzz_target!(|input: Input| {
    let block = if input.large_blocks { LogicalBlock::B4096 } else { LogicalBlock::B512 };
    let table = described(&input, block);
    let Ok(ends) = table.build() else { return };
    let mut disk = ends.head;
    disk.resize(HEAD, 0);
    let is_as_made = input.edits.is_empty() && input.fields.is_empty() && input.moves.is_empty();
    if is_as_made {
        same(&table, &gpt_seen::Table::parse(&disk).expect("a table of ours"));
    }
    change(&mut disk, &input, block.bytes() as usize);
    if let Some(length) = input.length {
        disk.truncate(length.into());
    }
    match gpt_seen::Table::parse(&disk) {
        Ok(found) => believed(&found, &disk),
        Err(problem) => told(problem),
    }
    match Seen::primary(&disk) {
        Ok(seen) => {
            let range = seen.entries();
            assert!(range.end - range.start <= MAX_ENTRIES.0 && range.end < 1 << 63);
            // Entries of something else.
            if let Err(problem) = seen.believe(&disk) {
                told(problem);
            }
        }
        Err(problem) => told(problem),
    }
});

fn described(input: &Input, block: LogicalBlock) -> Table {
    let mut at = 2 + (16 << 10) / block.bytes();
    let entries = input.entries.iter().take(8).map(|(number, id, room, length, name)| {
        let first = at + u64::from(*room);
        at = first + u64::from(*length) + 1;
        Entry {
            number: u32::from(*number),
            type_guid: Guid([id | 1; 16]),
            guid: Guid([*id; 16]),
            first,
            last: at - 1,
            name: NAMES[usize::from(*name) % NAMES.len()],
        }
    });
    let entries = entries.collect();
    // Often just large enough.
    let blocks = if input.blocks.is_multiple_of(2) { at + 33 } else { u64::from(input.blocks) };
    Table { disk: Guid([9; 16]), block, blocks, entries }
}

fn change(disk: &mut [u8], input: &Input, header: usize) {
    for (at, byte) in &input.edits {
        let at = header + usize::from(*at);
        if let Some(place) = disk.get_mut(at) {
            *place = *byte;
        }
    }
    for (entry, first, last) in &input.moves {
        for (at, by) in [(32, first), (40, last)] {
            let at = 2 * header + usize::from(*entry) % 128 * 128 + at;
            let field = &mut disk[at..at + 8];
            let before = u64::from_le_bytes(field.try_into().expect("8 bytes"));
            field.copy_from_slice(&before.wrapping_add_signed(i64::from(*by)).to_le_bytes());
        }
    }
    for (field, value) in &input.fields {
        let (at, length) = FIELDS[usize::from(*field) % FIELDS.len()];
        disk[header + at..header + at + length].copy_from_slice(&value.to_le_bytes()[..length]);
    }
    if !input.sums {
        return;
    }
    let number = |disk: &[u8], at: usize, length: usize| {
        disk[header + at..][..length].iter().rev().fold(0, |all, byte| all << 8 | u64::from(*byte))
    };
    let start = number(disk, 72, 8).wrapping_mul(header as u64) as usize;
    let length = number(disk, 80, 4).wrapping_mul(number(disk, 84, 4)) as usize;
    if let Some(entries) = start.checked_add(length).and_then(|end| disk.get(start..end)) {
        let sum = crc32(entries);
        disk[header + 88..header + 92].copy_from_slice(&sum.to_le_bytes());
    }
    let size = (number(disk, 12, 4) as usize).min(header);
    disk[header + 16..header + 20].fill(0);
    let sum = crc32(&disk[header..header + size]);
    disk[header + 16..header + 20].copy_from_slice(&sum.to_le_bytes());
}

/// A table of ours, not changed.
fn same(made: &Table, found: &gpt_seen::Table<'_>) {
    assert_eq!((made.block, made.disk), (found.block(), found.disk()));
    let mut expected: Vec<_> = made.entries.iter().collect();
    expected.sort_by_key(|entry| entry.number);
    let found: Vec<_> = found.entries().collect();
    assert_eq!(expected.len(), found.len());
    for (made, found) in expected.into_iter().zip(found) {
        assert_eq!(
            (made.number, made.type_guid, made.guid),
            (found.number, found.type_guid, found.guid)
        );
        assert_eq!((made.first, made.last), (found.first, found.last));
        assert_eq!(made.name, found.name.to_string());
    }
}

/// Whatever is believed lies where it may, and has checksums that are right by another reckoning.
fn believed(table: &gpt_seen::Table<'_>, disk: &[u8]) {
    let block = table.block().bytes();
    let header = &disk[block as usize..];
    let size = u32::from_le_bytes(header[12..16].try_into().expect("4 bytes")) as usize;
    let mut summed = header[..size].to_vec();
    let sum = u32::from_le_bytes(summed[16..20].try_into().expect("4 bytes"));
    summed[16..20].fill(0);
    assert_eq!(crc32(&summed), sum);
    let all: Vec<_> = table.entries().collect();
    for (at, entry) in all.iter().enumerate() {
        assert!(entry.first <= entry.last && entry.last <= table.last_usable());
        let bytes = entry.bytes(table.block());
        assert_eq!(u128::from(bytes.start), u128::from(entry.first) * u128::from(block));
        assert_eq!(u128::from(bytes.end), (u128::from(entry.last) + 1) * u128::from(block));
        assert!(entry.name.to_string().chars().count() <= 36);
        for other in &all[..at] {
            assert!(other.number < entry.number);
            assert!(entry.last < other.first || other.last < entry.first);
        }
    }
}

fn told(problem: Problem) {
    assert!(problem.to_string().contains("partition"));
}

/// Bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (0xedb8_8320 * (sum & 1)))
    })
}
