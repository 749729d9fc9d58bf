//! The format of an image, told by its content alone, and whether it leads to other files.
//!
//! A name promises nothing, and an image may be anybody's: one that names a backing file would have the host read that
//! file into a template. Sources of the layouts: QEMU's docs/interop/qcow2.rst, block/vmdk.c, block/vpc.c, block/vdi.c.

use crate::error::{Refusal, RefusalKind};

/// How much of an image is looked at.
pub(super) const HEAD: u64 = 1 << 20;

/// The format of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// The disk's content as it is.
    Raw,
    /// QEMU can convert it; its name for the format.
    Image(&'static str),
    /// Something that a program unpacks to its output.
    Packed(&'static str),
}

/// Returns the format of an image that begins with `head`.
///
/// # Errors
/// It names other files, or is packed by something that is not known here.
pub(super) fn probe(head: &[u8]) -> Result<Format, Refusal> {
    let begins = |magic: &[u8]| head.starts_with(magic);
    if begins(b"QFI\xfb") {
        qcow2(head).map(|()| Format::Image("qcow2"))
    } else if begins(b"KDMV") {
        vmdk(head).map(|()| Format::Image("vmdk"))
    } else if begins(b"# Disk DescriptorFile") {
        refuse("it is a VMDK description, which names other files").hinted()
    } else if begins(b"vhdxfile") {
        Ok(Format::Image("vhdx"))
    } else if begins(b"conectix") {
        vhd(head).map(|()| Format::Image("vpc"))
    } else if le32(head, 0x40) == Some(0xbeda_107f) {
        Ok(Format::Image("vdi"))
    } else if begins(b"\x1f\x8b") {
        Ok(Format::Packed("gzip"))
    } else if begins(b"\xfd7zXZ\0") {
        Ok(Format::Packed("xz"))
    } else if begins(b"\x28\xb5\x2f\xfd") {
        Ok(Format::Packed("zstd"))
    } else if begins(b"QED\0")
        || begins(b"BZh")
        || begins(b"\x04\x22\x4d\x18")
        || begins(b"PK\x03\x04")
    {
        refuse("it is packed, or of a format that is not known here").hinted()
    } else {
        Ok(Format::Raw)
    }
}

/// A refusal without its hint.
struct Refused(Refusal);

fn refuse(text: impl Into<String>) -> Refused {
    Refused(Refusal::new(RefusalKind::Rule, text))
}

impl Refused {
    fn hinted<T>(self) -> Result<T, Refusal> {
        Err(self.0.hint("convert it to a raw image where it comes from, and give that"))
    }
}

/// Big endian: version @4, backing file's offset u64 @8; from version 3 on incompatible features u64 @72, bit 2 for a
/// file that has the data.
fn qcow2(head: &[u8]) -> Result<(), Refusal> {
    let version = be32(head, 4);
    if !matches!(version, Some(2 | 3)) {
        return refuse(format!("its qcow2 version is {}, wanted 2 or 3", number(version))).hinted();
    }
    if be64(head, 8) != Some(0) {
        return refuse("it has a backing file").hinted();
    }
    if version == Some(3) && be64(head, 72).is_none_or(|features| features & 4 != 0) {
        return refuse("its data is in another file").hinted();
    }
    Ok(())
}

/// Little endian: capacity u64 @12, 0 where a description names other files.
fn vmdk(head: &[u8]) -> Result<(), Refusal> {
    if le64(head, 12).is_none_or(|capacity| capacity == 0) {
        return refuse("it is a VMDK description, which names other files").hinted();
    }
    let parent = b"parentFileNameHint";
    if head.windows(parent.len()).any(|window| window == parent) {
        return refuse("it has a parent, another file").hinted();
    }
    Ok(())
}

/// Big endian: disk type u32 @60, 4 for one that has a parent.
fn vhd(head: &[u8]) -> Result<(), Refusal> {
    match be32(head, 60) {
        Some(2 | 3) => Ok(()),
        kind => refuse(format!("its VHD type is {}, wanted 2 or 3", number(kind))).hinted(),
    }
}

fn number(found: Option<u32>) -> String {
    found.map_or("missing".into(), |number| number.to_string())
}

fn bytes<const N: usize>(head: &[u8], at: usize) -> Option<[u8; N]> {
    head.get(at..)?.first_chunk().copied()
}

fn be32(head: &[u8], at: usize) -> Option<u32> {
    bytes(head, at).map(u32::from_be_bytes)
}

fn be64(head: &[u8], at: usize) -> Option<u64> {
    bytes(head, at).map(u64::from_be_bytes)
}

fn le32(head: &[u8], at: usize) -> Option<u32> {
    bytes(head, at).map(u32::from_le_bytes)
}

fn le64(head: &[u8], at: usize) -> Option<u64> {
    bytes(head, at).map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn qcow2_head(version: u32, backing: u64, features: u64) -> Vec<u8> {
        let mut head = b"QFI\xfb".to_vec();
        head.extend(version.to_be_bytes());
        head.extend(backing.to_be_bytes());
        head.resize(72, 0);
        head.extend(features.to_be_bytes());
        head
    }

    #[test]
    fn the_content_tells_the_format() {
        let mut vdi = vec![0; 0x40];
        vdi.extend(0xbeda_107f_u32.to_le_bytes());
        for (head, format) in [
            (qcow2_head(2, 0, 0), Format::Image("qcow2")),
            (qcow2_head(3, 0, 1), Format::Image("qcow2")),
            (b"vhdxfile".to_vec(), Format::Image("vhdx")),
            (vdi, Format::Image("vdi")),
            (b"\x1f\x8b\x08".to_vec(), Format::Packed("gzip")),
            (b"\xfd7zXZ\0".to_vec(), Format::Packed("xz")),
            (b"\x28\xb5\x2f\xfd".to_vec(), Format::Packed("zstd")),
            (vec![0; 4096], Format::Raw),
            (Vec::new(), Format::Raw),
        ] {
            assert_eq!(probe(&head).unwrap(), format);
        }
    }

    #[test]
    fn refuses_images_that_lead_to_other_files() {
        let mut parent = b"KDMV".to_vec();
        parent.resize(512, 1);
        parent.extend(b"parentFileNameHint=\"/etc/shadow\"");
        let mut empty = b"KDMV".to_vec();
        empty.resize(512, 0);
        let mut vhd = b"conectix".to_vec();
        vhd.resize(60, 0);
        vhd.extend(4_u32.to_be_bytes());
        for head in [
            qcow2_head(2, 104, 0),
            qcow2_head(3, 0, 4),
            qcow2_head(1, 0, 0),
            qcow2_head(4, 0, 0),
            b"QFI\xfb".to_vec(),
            parent,
            empty,
            vhd,
            b"# Disk DescriptorFile\n".to_vec(),
        ] {
            let refused = probe(&head).unwrap_err();
            assert!(refused.hint.is_some(), "{refused}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_beginning_is_told_or_refused(magic in 0_usize..6, rest: Vec<u8>) {
            let magics: [&[u8]; 6] = [b"QFI\xfb", b"KDMV", b"conectix", b"vhdxfile", b"", b"\x1f\x8b"];
            let _ = probe(&[magics[magic], &rest].concat());
        }
    }
}
