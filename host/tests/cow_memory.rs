//! `cow info` of devices of 16 TiB, in little memory.

#![allow(clippy::unwrap_used, reason = "a test may end here")]

use nix::sys::resource::{UsageWho, getrusage};
use std::{os::unix::fs::FileExt as _, path::Path, process::Command};

const DEVICE: u64 = 16 << 40;
/// In KiB.
const LIMIT: i64 = 64 << 10;

/// Returns what `cow info --json` says of changed bytes and runs, and the most memory that it had, in KiB.
fn info(cow: &Path) -> (u64, u64, i64) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ebbtide"));
    let output = command.args(["cow", "info", "--json"]).arg(cow).output().unwrap();
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let number = |name: &str| value[name].as_u64().unwrap();
    // Of the one program that was run.
    (number("changed"), number("runs"), getrusage(UsageWho::RUSAGE_CHILDREN).unwrap().max_rss())
}

#[test]
fn a_uml_file_for_16_tib_is_looked_at_in_little_memory() {
    // Version 2, whose file may end before the device does: path @8, time @4104, size @4108, sector @4116.
    let mut header = vec![0; 4120];
    header[..8].copy_from_slice(b"OOOM\0\0\0\x02");
    header[8..13].copy_from_slice(b"/gone");
    header[4108..4116].copy_from_slice(&DEVICE.to_be_bytes());
    header[4116..].copy_from_slice(&512_u32.to_be_bytes());
    let bitmap = DEVICE / 512 / 8;
    let data = (4120 + bitmap).next_multiple_of(512);
    let cow = tempfile::NamedTempFile::new().unwrap();
    cow.as_file().set_len(data + (1 << 40)).unwrap();
    cow.as_file().write_all_at(&header, 0).unwrap();
    // Every other sector of two pieces far from each other.
    let piece = vec![0b0101_0101; 200_000];
    cow.as_file().write_all_at(&piece, 4120).unwrap();
    cow.as_file().write_all_at(&piece, 4120 + (200 << 20)).unwrap();
    let (changed, runs, most) = info(cow.path());
    assert_eq!((changed, runs), (1_600_000 * 512, 1_600_000));
    assert!(most < LIMIT, "{most} KiB");
}

#[test]
fn a_store_for_16_tib_is_looked_at_in_little_memory() {
    const CHUNK: u64 = 4096;
    const PER_AREA: u64 = CHUNK / 16;
    const AREAS: u64 = 4200;
    let store = tempfile::NamedTempFile::new().unwrap();
    let file = store.as_file();
    file.set_len((2 + AREAS * (PER_AREA + 1)) * CHUNK).unwrap();
    file.write_all_at(&[0x7041_6e53, 1, 1, 8].map(u32::to_le_bytes).concat(), 0).unwrap();
    let mut area_bytes = Vec::with_capacity(4096);
    for area in 0..AREAS {
        let before = area * (PER_AREA + 1);
        area_bytes.clear();
        for number in 0..PER_AREA {
            // All over the device: an odd number times each is another chunk of 2^32.
            let old = (area * PER_AREA + number) * 2_654_435_761 % (DEVICE / CHUNK);
            area_bytes.extend([old, before + 2 + number].map(u64::to_le_bytes).concat());
        }
        file.write_all_at(&area_bytes, (1 + before) * CHUNK).unwrap();
    }
    let (changed, runs, most) = info(store.path());
    assert_eq!((changed, runs), (AREAS * PER_AREA * CHUNK, AREAS * PER_AREA));
    assert!(most < LIMIT, "{most} KiB");
}
