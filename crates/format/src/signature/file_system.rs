//! Superblocks of file systems.
//!
//! | kind | at | source |
//! |---|---|---|
//! | ext2, 3, 4 | 1024 | `struct ext4_super_block`, fs/ext4/ext4.h |
//! | XFS | 0 | `struct xfs_dsb`, fs/xfs/libxfs/xfs_format.h |
//! | btrfs | 65536 | `struct btrfs_super_block`, include/uapi/linux/btrfs_tree.h |
//! | squashfs | 0 | `struct squashfs_super_block`, fs/squashfs/squashfs_fs.h |
//! | EROFS | 1024 | `struct erofs_super_block`, fs/erofs/erofs_fs.h |
//! | ISO 9660 | 32768 | ECMA-119, 8.4: primary volume descriptor |

use super::{
    places,
    probed::{Fields, Probed},
};
use crate::{guid::Guid, units::Bytes};

/// Kind of a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Without a journal.
    Ext2,
    /// With a journal and nothing that came with ext4.
    Ext3,
    /// The usual one.
    Ext4,
    /// XFS.
    Xfs,
    /// Btrfs, on one device.
    Btrfs,
    /// Can only be read.
    Squashfs,
    /// Can only be read.
    Erofs,
    /// Can only be read.
    Iso9660,
}

impl Kind {
    /// Returns its name.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ext2 => "ext2",
            Self::Ext3 => "ext3",
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
            Self::Squashfs => "squashfs",
            Self::Erofs => "erofs",
            Self::Iso9660 => "iso9660",
        }
    }

    /// Tells whether it is one of the ext family, which has one driver, `ext4`, and one set of tools.
    #[must_use]
    pub const fn is_ext(self) -> bool {
        matches!(self, Self::Ext2 | Self::Ext3 | Self::Ext4)
    }
}

/// A file system, as its superblock describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileSystem {
    /// Its kind.
    pub kind: Kind,
    /// How large it believes to be.
    pub size: Bytes,
    /// Its identifier; zeros where the kind has none.
    pub uuid: Guid,
    /// Whether it was left in order, as far as the superblock tells.
    pub clean: bool,
}

/// What a superblock comes to.
enum Seen {
    Nothing,
    Damaged,
    Whole(FileSystem),
}

const SUPERBLOCK: usize = 1024;
const ERRORS: u16 = 2;
const NEEDS_RECOVERY: u32 = 4;
const JOURNAL_DEVICE: u32 = 8;
const MULTI_MOUNT: u32 = 0x100;
/// Compatible with a read-only mount, and incompatible, features that ext3 knows (`EXT3_FEATURE_*`).
const EXT3_FEATURES: (u32, u32) = (0x7, 0x16);

/// Bytes 58, 90 and 96 decide; magic at 56, blocks at 4 and 336, block size at 24, UUID at 104.
fn ext(bytes: &[u8], group: Option<u16>) -> Seen {
    let fields = Fields(bytes);
    if fields.le16(56) != 0xef53 {
        return Seen::Nothing;
    }
    let (shift, incompatible, state) = (fields.le32(24), fields.le32(96), fields.le16(58));
    let high = if incompatible & 0x80 == 0 { 0 } else { fields.le32(336) };
    let blocks = u64::from(high) << 32 | u64::from(fields.le32(4));
    let size = (shift <= 6).then(|| blocks.checked_mul(1024 << shift)).flatten();
    let (Some(size @ 1..), 0) = (size, incompatible & JOURNAL_DEVICE) else {
        return Seen::Damaged;
    };
    if group.is_some_and(|group| fields.le16(90) != group) {
        return Seen::Damaged;
    }
    let old = fields.le32(100) & !EXT3_FEATURES.0 == 0 && incompatible & !EXT3_FEATURES.1 == 0;
    Seen::Whole(FileSystem {
        kind: match (old, fields.le32(92) & 4) {
            (true, 0) => Kind::Ext2,
            (true, _) => Kind::Ext3,
            (false, _) => Kind::Ext4,
        },
        size: Bytes(size),
        uuid: Guid(fields.bytes(104)),
        clean: state & 1 != 0 && state & ERRORS == 0 && incompatible & NEEDS_RECOVERY == 0,
    })
}

/// Big endian: block size at 4, blocks at 8, UUID at 32, being made at 126.
fn xfs(bytes: &[u8]) -> Seen {
    let fields = Fields(bytes);
    if fields.bytes(0) != *b"XFSB" {
        return Seen::Nothing;
    }
    let block = fields.be32(4);
    let good = block.is_power_of_two() && (512..=65536).contains(&block);
    let size = fields.be64(8).checked_mul(block.into()).filter(|size| good && *size > 0);
    match (size, fields.u8(126)) {
        (Some(size), 0) => Seen::Whole(FileSystem {
            kind: Kind::Xfs,
            size: Bytes(size),
            uuid: Guid(fields.bytes(32)),
            // Only the log knows, and the kernel replays it.
            clean: true,
        }),
        _ => Seen::Damaged,
    }
}

/// UUID at 32, its own place at 48, magic at 64, log at 96, devices at 136, size of this one at 209.
fn btrfs(bytes: &[u8], at: u64) -> Seen {
    let fields = Fields(bytes);
    if fields.bytes(64) != *b"_BHRfS_M" {
        return Seen::Nothing;
    }
    if fields.le64(48) != at || fields.le64(209) == 0 || fields.le64(136) != 1 {
        return Seen::Damaged;
    }
    Seen::Whole(FileSystem {
        kind: Kind::Btrfs,
        size: Bytes(fields.le64(209)),
        uuid: Guid(fields.bytes(32)),
        clean: fields.le64(96) == 0,
    })
}

/// Bytes in use at 40.
fn squashfs(bytes: &[u8]) -> Seen {
    let fields = Fields(bytes);
    match (fields.bytes(0) == *b"hsqs", fields.le64(40)) {
        (false, _) => Seen::Nothing,
        (true, 0) => Seen::Damaged,
        (true, size) => read_only(Kind::Squashfs, size, [0; 16]),
    }
}

/// Block size as a shift at 12, blocks at 36, UUID at 48.
fn erofs(bytes: &[u8]) -> Seen {
    let fields = Fields(bytes);
    if fields.le32(0) != 0xe0f5_e1e2 {
        return Seen::Nothing;
    }
    match (fields.u8(12), u64::from(fields.le32(36))) {
        (shift @ 9..=16, blocks @ 1..) => read_only(Kind::Erofs, blocks << shift, fields.bytes(48)),
        _ => Seen::Damaged,
    }
}

/// Blocks at 80, block size at 128.
fn iso9660(bytes: &[u8]) -> Seen {
    let fields = Fields(bytes);
    if fields.bytes(0) != *b"\x01CD001\x01" {
        return Seen::Nothing;
    }
    match u64::from(fields.le32(80)) * u64::from(fields.le16(128)) {
        0 => Seen::Damaged,
        size => read_only(Kind::Iso9660, size, [0; 16]),
    }
}

const fn read_only(kind: Kind, size: u64, uuid: [u8; 16]) -> Seen {
    Seen::Whole(FileSystem { kind, size: Bytes(size), uuid: Guid(uuid), clean: true })
}

const KINDS: [Kind; 6] =
    [Kind::Ext4, Kind::Xfs, Kind::Btrfs, Kind::Squashfs, Kind::Erofs, Kind::Iso9660];

/// Returns where the first superblock of a kind is.
const fn place(kind: Kind) -> u64 {
    match kind {
        Kind::Ext2 | Kind::Ext3 | Kind::Ext4 | Kind::Erofs => 1024,
        Kind::Xfs | Kind::Squashfs => 0,
        Kind::Btrfs => 65536,
        Kind::Iso9660 => 32768,
    }
}

fn look(probed: &Probed, kind: Kind, at: u64) -> Seen {
    let Some(bytes) = probed.get(at, SUPERBLOCK) else { return Seen::Nothing };
    match kind {
        Kind::Ext2 | Kind::Ext3 | Kind::Ext4 => ext(bytes, (at == place(kind)).then_some(0)),
        Kind::Xfs => xfs(bytes),
        Kind::Btrfs => btrfs(bytes, at),
        Kind::Squashfs => squashfs(bytes),
        Kind::Erofs => erofs(bytes),
        Kind::Iso9660 => iso9660(bytes),
    }
}

/// Finds whole file systems at their places: the first two.
pub(super) fn find(probed: &Probed) -> [Option<FileSystem>; 2] {
    let mut found = [None; 2];
    for kind in KINDS {
        if let Seen::Whole(file_system) = look(probed, kind, place(kind))
            && let Some(free) = found.iter_mut().find(|place| place.is_none())
        {
            *free = Some(file_system);
        }
    }
    found
}

/// Tells whether it is one of the ext family that several machines share: a mount waits for as long as
/// the superblock says (`s_mmp_update_interval`), which may be hours.
pub(super) fn is_kept_for_others(probed: &Probed, kind: Kind) -> bool {
    ext_fields(probed, kind).is_some_and(|fields| fields.le32(96) & MULTI_MOUNT != 0)
}

/// Tells whether it is one of the ext family that was ever mounted for writing: last mounted at 44,
/// mounts since the last check at 52. The other kinds do not tell.
pub(super) fn was_mounted(probed: &Probed, kind: Kind) -> bool {
    ext_fields(probed, kind).is_some_and(|fields| fields.le32(44) != 0 || fields.le16(52) != 0)
}

fn ext_fields(probed: &Probed, kind: Kind) -> Option<Fields<'_>> {
    kind.is_ext().then(|| probed.get(place(kind), SUPERBLOCK).map(Fields)).flatten()
}

/// Finds a superblock that is damaged, or a copy whose original is gone.
pub(super) fn remains(probed: &Probed) -> Option<(Kind, u64)> {
    let damaged = KINDS.into_iter().map(|kind| (kind, place(kind)));
    damaged
        .chain(places::copies(probed.disk()))
        .find(|(kind, at)| !matches!(look(probed, *kind, *at), Seen::Nothing))
}
