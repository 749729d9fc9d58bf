use super::*;
use crate::units::Bytes;
use alloc::{vec, vec::Vec};
use proptest::prelude::*;

const DISK: Bytes = Bytes::gib(2);

/// A disk with these bytes at these offsets and zeros elsewhere, read where it is read.
fn probed(disk: Bytes, written: &[(u64, &[u8])]) -> Probed {
    let mut probed = Probed::new(disk);
    for range in ranges(disk) {
        let mut bytes = vec![0; (range.end - range.start) as usize];
        for (at, content) in written {
            for (place, byte) in (*at..).zip(*content) {
                if range.contains(&place) {
                    bytes[(place - range.start) as usize] = *byte;
                }
            }
        }
        probed.add(range.start, bytes);
    }
    probed
}

fn content(written: &[(u64, &[u8])]) -> Content {
    classify(&probed(DISK, written))
}

fn ext4(size: Bytes) -> Vec<u8> {
    let mut bytes = vec![0; 1024];
    bytes[4..8].copy_from_slice(&((size.0 / 4096) as u32).to_le_bytes());
    bytes[24] = 2;
    bytes[56..58].copy_from_slice(&[0x53, 0xef]);
    bytes[58] = 1;
    bytes[92] = 4;
    bytes[96] = 0xc2;
    bytes[104..120].copy_from_slice(&[7; 16]);
    bytes
}

fn xfs() -> Vec<u8> {
    let mut bytes = vec![0; 1024];
    bytes[..8].copy_from_slice(b"XFSB\0\0\x10\0");
    bytes[8..16].copy_from_slice(&(DISK.0 / 4096).to_be_bytes());
    bytes
}

fn btrfs(at: u64) -> Vec<u8> {
    let mut bytes = vec![0; 1024];
    bytes[48..56].copy_from_slice(&at.to_le_bytes());
    bytes[64..72].copy_from_slice(b"_BHRfS_M");
    bytes[136] = 1;
    bytes[209..217].copy_from_slice(&DISK.0.to_le_bytes());
    bytes
}

fn kind(content: Content) -> Option<(Kind, Bytes, bool)> {
    match content {
        Content::FileSystem(found) => Some((found.kind, found.size, found.clean)),
        _ => None,
    }
}

#[test]
fn zeros_are_blank_and_one_byte_at_any_place_is_not() {
    assert_eq!(content(&[]), Content::Blank);
    for range in ranges(DISK) {
        for at in [range.start, range.end - 1] {
            assert_eq!(content(&[(at, &[1])]), Content::Unknown { at });
        }
    }
}

#[test]
fn knows_file_systems_with_their_size() {
    for (at, bytes, wanted) in
        [(1024, ext4(DISK), Kind::Ext4), (0, xfs(), Kind::Xfs), (65536, btrfs(65536), Kind::Btrfs)]
    {
        assert_eq!(kind(content(&[(at, &bytes)])), Some((wanted, DISK, true)));
    }
}

#[test]
fn tells_the_ext_family_apart_and_whether_it_is_clean() {
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = ext4(DISK);
        change(&mut bytes);
        kind(content(&[(1024, &bytes)])).map(|(kind, _, clean)| (kind, clean))
    };
    assert_eq!(with(&|b| b[96] = 2), Some((Kind::Ext3, true)));
    assert_eq!(with(&|b| (b[92], b[96]) = (0, 2)), Some((Kind::Ext2, true)));
    assert_eq!(with(&|b| b[96] |= 4), Some((Kind::Ext4, false)));
    assert_eq!(with(&|b| b[58] = 0), Some((Kind::Ext4, false)));
    assert_eq!(with(&|b| b[58] = 3), Some((Kind::Ext4, false)));
}

#[test]
fn a_damaged_superblock_and_a_copy_without_its_original_are_remains() {
    let mut block_size = ext4(DISK);
    block_size[24] = 7;
    let mut being_made = xfs();
    being_made[126] = 1;
    let mut two_devices = btrfs(65536);
    two_devices[136] = 2;
    for (at, bytes, of) in [
        (1024, block_size, Kind::Ext4),
        (0, being_made, Kind::Xfs),
        (65536, two_devices, Kind::Btrfs),
        (128 << 20, ext4(DISK), Kind::Ext4),
        ((8 << 20) + 1024, ext4(DISK), Kind::Ext4),
        (64 << 20, btrfs(64 << 20), Kind::Btrfs),
        (DISK.0 / 4, xfs(), Kind::Xfs),
        ((DISK.0 - (1 << 20)) / 4 * 3, xfs(), Kind::Xfs),
    ] {
        assert_eq!(content(&[(at, &bytes)]), Content::Remains { of, at }, "at {at}");
    }
}

#[test]
fn other_systems_have_names() {
    for (at, magic, name) in [
        (0, &b"LUKS\xba\xbe"[..], "LUKS"),
        (1 << 22, b"SKUL\xba\xbe", "LUKS"),
        (512, b"LABELONE", "LVM2"),
        (82, b"FAT32   ", "vfat"),
        (4086, b"SWAPSPACE2", "swap"),
        (512, b"EFI PART", "a partition table (GPT)"),
        (DISK.0 - 512, b"EFI PART", "a partition table (GPT)"),
        (132 << 10, &0xbab10c_u64.to_le_bytes(), "zfs"),
        (DISK.0 - (8 << 10), b"\xfc\x4e\x2b\xa9", "a member of a RAID (md)"),
    ] {
        assert_eq!(content(&[(at, magic)]), Content::Other(name));
    }
    let mut sector = [0; 512];
    sector[446 + 4] = 0x83;
    sector[446 + 12] = 1;
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    assert_eq!(content(&[(0, &sector)]), Content::Other("a partition table (MBR)"));
}

#[test]
fn two_things_that_begin_the_disk_are_a_conflict() {
    let both = content(&[(1024, &ext4(DISK)), (65536, &btrfs(65536))]);
    assert_eq!(both, Content::Several("ext4", "btrfs"));
    let both = content(&[(0, b"LUKS\xba\xbe"), (1024, &ext4(DISK))]);
    assert_eq!(both, Content::Several("ext4", "LUKS"));
}

/// A user of the file system, who is not root, may have written it.
#[test]
fn what_lies_inside_a_file_system_is_its_own_matter() {
    let at = file_system_end(DISK).0;
    for (at, bytes) in
        [(at, marker(DISK)), (1 << 22, b"SKUL\xba\xbe".to_vec()), (DISK.0 - 8192, MD.to_vec())]
    {
        let found = content(&[(1024, &ext4(DISK)), (at, &bytes)]);
        assert_eq!(kind(found), Some((Kind::Ext4, DISK, true)), "at {at}");
    }
    let shorter = Bytes(DISK.0 - (1 << 20));
    let found = content(&[(1024, &ext4(shorter)), (DISK.0 - 8192, &MD)]);
    assert_eq!(found, Content::Other("a member of a RAID (md)"));
}

const MD: [u8; 4] = 0xa92b_4efc_u32.to_le_bytes();

#[test]
fn the_marker_says_that_a_disk_of_this_size_is_being_formatted() {
    let at = file_system_end(DISK).0;
    let marker = marker(DISK);
    assert_eq!((marker.len() as u64, at % MARKER_SIZE), (MARKER_SIZE, 0));
    assert!(at + MARKER_SIZE <= DISK.0 - (128 << 10), "mkfs.xfs wipes the last 128 KiB");
    for half in [&[][..], b"XFSB", b"anything"] {
        assert_eq!(content(&[(0, half), (at, &marker)]), Content::BeingFormatted);
    }
    let made = ext4(file_system_end(DISK));
    assert_eq!(content(&[(1024, &made), (at, &marker)]), Content::BeingFormatted);

    let larger = Bytes(DISK.0 + (64 << 20));
    assert_ne!(classify(&probed(larger, &[(at, &marker)])), Content::BeingFormatted);
    let there = file_system_end(larger).0;
    let found = classify(&probed(larger, &[(there, &marker)]));
    assert_eq!(found, Content::Unknown { at: there }, "the size is another");
}

#[test]
fn a_marker_that_something_else_has_left_standing_counts_for_nothing() {
    let (at, marker) = (file_system_end(DISK).0, marker(DISK));
    for (place, magic, name) in [
        (0, &b"LUKS\xba\xbe"[..], "LUKS"),
        (512, b"LABELONE", "LVM2"),
        (4086, b"SWAPSPACE2", "swap"),
        (1024, b"\x10\x20\xf5\xf2", "f2fs"),
        (132 << 10, &0xbab10c_u64.to_le_bytes(), "zfs"),
        (DISK.0 - 512, b"EFI PART", "a partition table (GPT)"),
    ] {
        assert_eq!(content(&[(place, magic), (at, &marker)]), Content::Other(name));
    }
    let made = file_system_end(DISK);
    for (field, value) in [(44, 1), (47, 1), (52, 1), (53, 1)] {
        let mut mounted = ext4(made);
        mounted[field] = value;
        let found = kind(content(&[(1024, &mounted), (at, &marker)]));
        assert_eq!(found, Some((Kind::Ext4, made, true)), "byte {field}");
    }
}

#[test]
fn ext4_with_multi_mount_protection_is_named() {
    let mut shared = ext4(DISK);
    shared[97] = 1;
    let found = content(&[(1024, &shared)]);
    assert_eq!(found, Content::Other("ext4 with multi-mount protection"));
}

#[test]
fn a_glance_is_enough_for_a_file_system() {
    for (at, bytes) in [(1024, ext4(DISK)), (0, xfs()), (65536, btrfs(65536))] {
        let all = probed(DISK, &[(at, &bytes)]);
        let mut glimpsed = Probed::new(DISK);
        for range in glance(DISK) {
            let length = (range.end - range.start) as usize;
            glimpsed.add(range.start, all.get(range.start, length).unwrap().to_vec());
        }
        assert_eq!(classify(&glimpsed), classify(&all));
    }
}

proptest! {
    #[test]
    fn ranges_rise_and_stay_on_the_disk(sectors in 0u64..1 << 45) {
        let disk = Bytes(sectors * 512);
        for all in [ranges(disk), glance(disk)] {
            let mut end = None;
            for range in all {
                prop_assert!(range.start < range.end && range.end <= disk.0);
                prop_assert!(end.is_none_or(|end| end < range.start));
                prop_assert!(range.start % 512 == 0 && range.end % 512 == 0);
                end = Some(range.end);
            }
            prop_assert!(disk.0 == 0 || end == Some(disk.0), "the end is read");
        }
    }

    #[test]
    fn any_size_has_ranges(bytes: u64) {
        let _ = ranges(Bytes(bytes));
        let _ = glance(Bytes(bytes));
    }

    #[test]
    fn any_damage_to_a_superblock_is_taken_without_a_panic(
        which in 0usize..3,
        changes in prop::collection::vec((0usize..1024, any::<u8>()), 0..40),
        disk in any::<u64>(),
    ) {
        let (at, mut bytes) =
            vec![(1024, ext4(DISK)), (0, xfs()), (65536, btrfs(65536))].swap_remove(which);
        for (place, byte) in changes {
            bytes[place] = byte;
        }
        let mut probed = Probed::new(Bytes(disk));
        let mut head = vec![0; 128 << 10];
        head[at..at + 1024].copy_from_slice(&bytes);
        probed.add(0, head);
        prop_assert_ne!(classify(&probed), Content::BeingFormatted);
    }
}
