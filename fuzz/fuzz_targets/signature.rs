//! Any disk: what is on it gets a name without a panic, and only zeros are ever blank.

#![no_main]

use arbitrary::Arbitrary;
use ebbtide_format::{
    signature::{Content, Probed, classify, glance, marker, ranges},
    units::Bytes,
};
use ebbtide_init::{
    options::Options,
    private_volume::{Decision, PrivateDisk, decide},
};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input {
    sectors: u64,
    shift: u8,
    with_marker: bool,
    read_only: bool,
    writes: Vec<(u8, u32, Vec<u8>)>,
}

fuzz_target!(|input: Input| {
    // Small disks matter more; and all of what is read is held in memory.
    let disk = Bytes(((input.sectors % (1 << 40)) >> (16 + input.shift % 24)) * 512);
    let ranges = ranges(disk);
    let mut pieces: Vec<_> =
        ranges.iter().map(|range| vec![0; (range.end - range.start) as usize]).collect();
    if ranges.is_empty() {
        return;
    }
    for (piece, at, bytes) in &input.writes {
        let piece = &mut pieces[usize::from(*piece) % ranges.len()];
        let at = *at as usize % piece.len();
        let length = bytes.len().min(piece.len() - at);
        piece[at..at + length].copy_from_slice(&bytes[..length]);
    }
    if input.with_marker
        && let Some(at) = ebbtide_format::signature::file_system_end(disk).0.checked_sub(1)
    {
        put(&ranges, &mut pieces, at + 1, &marker(disk));
    }

    let zeros = pieces.iter().all(|piece| piece.iter().all(|byte| *byte == 0));
    let content = read(disk, &ranges, &ranges, &pieces);
    assert_eq!(content == Content::Blank, zeros);
    let glimpsed = read(disk, &glance(disk), &ranges, &pieces);
    if let Content::FileSystem(_) = glimpsed {
        // What a glance believes, a whole look never calls blank.
        assert_ne!(content, Content::Blank);
    }
    let described = PrivateDisk {
        name: "vdb".to_string(),
        size: disk,
        read_only: input.read_only,
        discards: true,
        mounted_at: None,
    };
    match decide(&described, content, &Options::default()) {
        Ok(Decision::Format { size, again, .. }) => {
            assert!(again || zeros);
            assert!(!again || input.with_marker || !input.writes.is_empty());
            assert!(!input.read_only && size.0 + 4096 <= disk.0 && size.0 % 4096 == 0);
        }
        Ok(Decision::Use { file_system, .. }) => assert!(file_system.size <= disk),
        Ok(Decision::Leave) => panic!("nobody asked for that"),
        Err(refusal) => assert!(refusal.to_string().contains("vdb")),
    }
});

type Range = std::ops::Range<u64>;

fn put(ranges: &[Range], pieces: &mut [Vec<u8>], at: u64, bytes: &[u8]) {
    for (range, piece) in ranges.iter().zip(pieces) {
        if range.contains(&at) && at + bytes.len() as u64 <= range.end {
            let from = (at - range.start) as usize;
            piece[from..from + bytes.len()].copy_from_slice(bytes);
        }
    }
}

/// Reads the `wanted` ranges, all of which lie in pieces that are there.
fn read(disk: Bytes, wanted: &[Range], ranges: &[Range], pieces: &[Vec<u8>]) -> Content {
    let mut probed = Probed::new(disk);
    for part in wanted {
        let (range, piece) = ranges
            .iter()
            .zip(pieces)
            .find(|(range, _)| range.start <= part.start && part.end <= range.end)
            .expect("a whole look reads all that a glance reads");
        let (from, to) = (part.start - range.start, part.end - range.start);
        probed.add(part.start, piece[from as usize..to as usize].to_vec());
    }
    classify(&probed)
}
