//! Signatures that are only known by name: enough to say what a disk is, not to use it.
//!
//! Places and magics are those of libblkid (util-linux, libblkid/src/superblocks and
//! libblkid/src/partitions), which has them from each system's own headers; disk images by the
//! signatures that QEMU probes for (block/qcow2.c, vmdk.c, vhdx.c), UML's from
//! arch/um/drivers/cow_user.c.

use super::probed::{Fields, Probed};

type Named = (u64, &'static [u8], &'static str);

/// What lies in the first 1024 bytes, where no user of a file system can write.
const START: [Named; 29] = [
    (0, b"LUKS\xba\xbe", "LUKS"),
    (0, b"LABELONE", LVM),
    (512, b"LABELONE", LVM),
    (512, b"EFI PART", GPT),
    (3, b"NTFS    ", "ntfs"),
    (3, b"EXFAT   ", "exfat"),
    (3, b"ReFS\0\0\0\0", "refs"),
    (3, b"-FVE-FS-", "BitLocker"),
    (54, b"FAT12   ", VFAT),
    (54, b"FAT16   ", VFAT),
    (82, b"FAT32   ", VFAT),
    (32, b"NXSB", "apfs"),
    (0, &MDRAID, MD),
    (0, b"SnAp", "a snapshot store of device-mapper"),
    (0, b"integrt\0", "dm-integrity"),
    (0, b"verity\0\0", "dm-verity"),
    (0, b"dmvdo001", "VDO"),
    (516, b"!Stra0tis", "Stratis"),
    (0, b"bluestore block device", "a Ceph store"),
    (0, b"\x45\x3d\xcd\x28", "cramfs"),
    (0, b"-rom1fs-", "romfs"),
    (0, b"QFI\xfb", "a qcow2 image, attached as raw"),
    (0, b"KDMV", "a VMDK image, attached as raw"),
    (0, b"vhdxfile", "a VHDX image, attached as raw"),
    (0, b"conectix", "a VHD image, attached as raw"),
    (0, b"MOOO", "a copy-on-write file of user-mode Linux"),
    (0, b"OOOM", "a copy-on-write file of user-mode Linux"),
    (0, b"\x7fELF", "a program"),
    (257, b"ustar", "a tar archive"),
];

/// What lies further in; it counts only where no file system is.
const FURTHER: [Named; 29] = [
    (1024, b"LABELONE", LVM),
    (1536, b"LABELONE", LVM),
    (4096, b"EFI PART", GPT),
    (4086, b"SWAPSPACE2", SWAP),
    (4086, b"SWAP-SPACE", SWAP),
    (4086, b"S1SUSPEND", SUSPENDED),
    (8182, b"SWAPSPACE2", SWAP),
    (16374, b"SWAPSPACE2", SWAP),
    (16374, b"S1SUSPEND", SUSPENDED),
    (65526, b"SWAPSPACE2", SWAP),
    (65526, b"S1SUSPEND", SUSPENDED),
    (1024, b"\x10\x20\xf5\xf2", "f2fs"),
    (1024, b"\x02\0\0\0\0\0\x34\x34", NILFS),
    (1024, b"H+\0\x04", "hfsplus"),
    (1024, b"HX\0\x05", "hfsplus"),
    (32768, b"JFS1", "jfs"),
    (65536 + 52, b"ReIsEr", "reiserfs"),
    (8192 + 52, b"ReIsEr", "reiserfs"),
    (65536, b"ReIsEr4", "reiser4"),
    (65536, b"\x01\x16\x19\x70", "gfs2"),
    (2048, b"OCFSV2", "ocfs2"),
    (4096, b"OCFSV2", "ocfs2"),
    (8192, b"OCFSV2", "ocfs2"),
    (32769, b"BEA01", "udf"),
    (4096, &MDRAID, MD),
    (4096 + 24, b"\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81", "bcache"),
    (4096 + 24, b"\xc6\x85\x73\xf6\x66\xce\x90\xa9\xd9\x6a\x60\xcf\x80\x3d\xf7\xef", "bcachefs"),
    (9564, b"\x19\x01\x54\x19", "ufs"),
    (65536 + 1372, b"\x19\x01\x54\x19", "ufs"),
];

const LVM: &str = "LVM2";
const GPT: &str = "a partition table (GPT)";
const VFAT: &str = "vfat";
const MD: &str = "a member of a RAID (md)";
const MDRAID: [u8; 4] = 0xa92b_4efc_u32.to_le_bytes();
const SWAP: &str = "swap";
const SUSPENDED: &str = "a suspended system";
const NILFS: &str = "nilfs2";
const DRBD: &str = "DRBD";

/// Names what begins the disk.
pub(super) fn at_start(probed: &Probed) -> Option<&'static str> {
    by_name(probed, &START)
}

/// Names what lies further in, or is too weak a sign beside a file system.
pub(super) fn further_in(probed: &Probed) -> Option<&'static str> {
    by_name(probed, &FURTHER)
        .or_else(|| zfs(probed))
        .or_else(|| second_luks(probed))
        .or_else(|| mbr(probed))
}

/// Names what lies at the end.
pub(super) fn at_end(probed: &Probed) -> Option<&'static str> {
    let disk = probed.disk().0;
    let before = |length: u64| disk.checked_sub(length);
    let has = |at: Option<u64>, magic: &[u8]| at.is_some_and(|at| probed.has(at, magic));
    if has(before(512), b"EFI PART") || has(before(4096), b"EFI PART") {
        return Some(GPT);
    }
    if has(before(512 - 3), b"NTFS    ") {
        return Some("ntfs");
    }
    // The copy of the superblock lies in the last whole 4 KiB.
    if has((disk >> 12).checked_sub(1).map(|block| (block << 12) + 6), b"\x34\x34") {
        return Some(NILFS);
    }
    member_at_end(probed, 0)
}

/// Names what a member of something larger carries at its end, at or after `from`: a file system that
/// begins such a disk is not ours to mount.
pub(super) fn member_at_end(probed: &Probed, from: u64) -> Option<&'static str> {
    let disk = probed.disk().0;
    let outside = |at: Option<u64>| at.filter(|at| *at >= from);
    // Version 1.0, and version 0.90.
    let md = [
        (disk >> 9).checked_sub(16).map(|sector| (sector & !7) << 9),
        (disk & !0xffff).checked_sub(0x10000),
    ];
    if md.into_iter().filter_map(outside).any(|at| probed.has(at, &MDRAID)) {
        return Some(MD);
    }
    // Big endian at byte 60 of the last 4 KiB; DRBD_MAGIC + 4 and + 5 (include/linux/drbd.h).
    let drbd = outside((disk & !0xfff).checked_sub(4096)).and_then(|at| probed.get(at, 64));
    drbd.filter(|bytes| matches!(Fields(bytes).be32(60), 0x8374_026b | 0x8374_026c)).map(|_| DRBD)
}

fn by_name(probed: &Probed, table: &[Named]) -> Option<&'static str> {
    table.iter().find(|(at, magic, _)| probed.has(*at, magic)).map(|(_, _, name)| *name)
}

/// An uberblock in the first label: 128 KiB in, one every KiB (include/sys/uberblock_impl.h).
fn zfs(probed: &Probed) -> Option<&'static str> {
    let magic = 0x00ba_b10c_u64;
    let has = |at| probed.has(at, &magic.to_le_bytes()) || probed.has(at, &magic.to_be_bytes());
    (128u64..256).any(|kib| has(kib << 10)).then_some("zfs")
}

/// The second header of LUKS2, after a first one of 16 KiB to 4 MiB (on-disk format, 2.1).
fn second_luks(probed: &Probed) -> Option<&'static str> {
    (14..=22).any(|shift| probed.has(1 << shift, b"SKUL\xba\xbe")).then_some("LUKS")
}

/// Four entries of 16 bytes at 446: a flag, the type at 4, the number of sectors at 12.
fn mbr(probed: &Probed) -> Option<&'static str> {
    let sector = probed.get(0, 512)?;
    let entry = |number: usize| Fields(sector.get(446 + number * 16..).unwrap_or_default());
    let used =
        |entry: Fields<'_>| entry.u8(0) & 0x7f == 0 && entry.u8(4) != 0 && entry.le32(12) != 0;
    let signed = Fields(sector).le16(510) == 0xaa55;
    (signed && (0..4).any(|number| used(entry(number)))).then_some("a partition table (MBR)")
}
