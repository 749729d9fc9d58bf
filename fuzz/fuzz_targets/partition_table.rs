//! Any partition table: it is built as it was described, or refused; it never panics.

#![no_main]

#[path = "../../tests/gpt_reader/mod.rs"]
mod gpt_reader;

use arbitrary::Arbitrary;
use ebbtide_format::{
    gpt_table::{Entry, Table},
    guid::Guid,
    units::LogicalBlock,
};
use gpt_reader::{Ends, Found};
use libfuzzer_sys::fuzz_target;

const NAMES: [&str; 4] = ["", "ebbtide-swap", "Öl, 水 and 🌊", "x"];

#[derive(Arbitrary, Debug)]
struct Input {
    disk: [u8; 16],
    large_blocks: bool,
    shift: u8,
    blocks: u64,
    entries: Vec<InputEntry>,
}

/// Positions count from the start of the disk, and mostly lie on it; numbers are mostly good.
#[derive(Arbitrary, Debug)]
struct InputEntry {
    number: u8,
    type_guid: [u8; 16],
    guid: [u8; 16],
    first: u64,
    length: u32,
    name: u8,
}

impl InputEntry {
    fn entry(&self, blocks: u64) -> Entry {
        let mut type_guid = self.type_guid;
        // All zeros would mean that the entry is not in use.
        type_guid[0] |= 1;
        let first = self.first % blocks.saturating_add(2);
        Entry {
            number: self.number.into(),
            type_guid: Guid(type_guid),
            guid: Guid(self.guid),
            first,
            last: (first + u64::from(self.length)).saturating_sub(1),
            name: NAMES[usize::from(self.name) % NAMES.len()],
        }
    }
}

fuzz_target!(|input: Input| {
    let block = if input.large_blocks { LogicalBlock::B4096 } else { LogicalBlock::B512 };
    // A disk ends where the kernel's signed count of bytes does; small ones matter more.
    let blocks = (input.blocks % (1 << 63) / block.bytes()) >> (input.shift % 64);
    let entries = input.entries.iter().map(|entry| entry.entry(blocks)).collect();
    let table = Table { disk: Guid(input.disk), block, blocks, entries };
    let Ok(ends) = table.build() else { return };
    let read = Ends { head: &ends.head, tail_at: ends.tail_at, tail: &ends.tail };
    let found = gpt_reader::read(&read, block.bytes(), blocks).expect("a table without a fault");
    let mut wanted: Vec<_> = table.entries.iter().map(as_read).collect();
    wanted.sort_by_key(|entry| entry.number);
    assert_eq!(found.entries, wanted);
    assert_eq!(found.disk, input.disk);
    assert_eq!(found.first_usable * block.bytes(), ends.head.len() as u64);
    assert_eq!((found.last_usable + 1) * block.bytes(), ends.tail_at);
});

fn as_read(entry: &Entry) -> Found {
    let Entry { number, type_guid, guid, first, last, name } = *entry;
    Found { number, type_guid: type_guid.0, guid: guid.0, first, last, name: name.to_string() }
}
