//! Machines drawn from bytes. Names, serials and labels are few, so that they meet.

use arbitrary::{Arbitrary, Result, Unstructured};
use ebbtide_format::{
    guid::{Guid, partition_type},
    units::{Bytes, Sectors},
};
use ebbtide_init::{
    encrypted::Encrypted,
    observed::{Disk, Identifiers, Link, Mapped, Mapper, Observed, Partition, Usage},
    options::Options,
};

const STATEMENTS: [&str; 16] = [
    "root=/dev/mapper/dmroot",
    "ebbtide.root=/dev/xvda1",
    "ebbtide.root=PARTLABEL=root",
    "ebbtide.volatile=/dev/xvda",
    "ebbtide.volatile=serial=private",
    "ebbtide.volatile=/dev/disk/by-id/x",
    "ebbtide.private=/dev/xvdc",
    "ebbtide.private=serial=volatile",
    "ebbtide.modules=PARTLABEL=rootfs",
    "ebbtide.swap=0",
    "ebbtide.swap=1G",
    "ebbtide.swap=18446744073709551615",
    "ebbtide.chunk=1M",
    "ebbtide.chunk=16K",
    "ebbtide.overflow=N",
    "ebbtide.overflow=PO",
];

/// Draws options and a machine.
pub(crate) fn draw(u: &mut Unstructured<'_>) -> Result<(Options, Observed)> {
    let wanted = u16::arbitrary(u)?;
    let chosen = STATEMENTS.iter().enumerate().filter(|(at, _)| wanted >> at & 1 == 1);
    let line: Vec<_> = chosen.map(|(_, statement)| *statement).collect();
    let mut options = Options::parse(&line.join(" "), "").expect("options without a fault");
    let mut disks = Vec::new();
    for name in ["nvme0n1", "vda", "xvda", "xvdb", "xvdc", "xvdd"] {
        if bool::arbitrary(u)? {
            disks.push(disk(u, name)?);
        }
    }
    let [disk, swap, cow, swap_area, mapped_id] = [1, 2, 3, 4, 5].map(|id| Guid([id; 16]));
    let mappers = [Mapper::Ready, Mapper::Ready, Mapper::WithoutSnapshot, Mapper::Absent];
    let links = [None, None, None, Some(Link::To("xvda".into())), Some(Link::Other)];
    let mut observed = Observed {
        page: *u.choose(&[4096, 16384, 65536])?,
        ready: bool::arbitrary(u)?,
        identifiers: Identifiers { disk, swap, cow, swap_area, mapped: mapped_id },
        mapper: *u.choose(&mappers)?,
        crypt: false,
        link: u.choose(&links)?.clone(),
        paths: vec![("/dev/disk/by-id/x".into(), u.choose(&["xvdc", "vda"])?.to_string())],
        disks,
        mapped: mapped(u)?,
    };
    // Last, so that what was drawn before there was encryption is drawn as it was.
    options.encrypt = bool::arbitrary(u)?;
    observed.crypt = !u.ratio(1, 8)?;
    for (part, device) in Encrypted::ALL.into_iter().zip(["dm-1", "dm-2"]) {
        observed.mapped.extend(encrypted(u, part, device)?);
    }
    Ok((options, observed))
}

fn mapped(u: &mut Unstructured<'_>) -> Result<Vec<Mapped>> {
    let (name, uuid) = match u8::arbitrary(u)? % 16 {
        0 => ("dmroot", "EBBTIDE-x"),
        1 => ("dmroot", "LVM-x"),
        2 => ("home", ""),
        _ => return Ok(vec![]),
    };
    let (name, uuid, device) = (name.into(), uuid.into(), "dm-0".into());
    let usage = usage(u)?;
    Ok(vec![Mapped { name, uuid, device, started: bool::arbitrary(u)?, usage }])
}

/// What an earlier run has left, or somebody else has made.
fn encrypted(u: &mut Unstructured<'_>, part: Encrypted, device: &str) -> Result<Option<Mapped>> {
    let uuid = match u8::arbitrary(u)? % 16 {
        1..4 => "EBBTIDE-y",
        4 => "CRYPT-PLAIN-y",
        _ => return Ok(None),
    };
    let (name, uuid, device) = (part.name().into(), uuid.into(), device.into());
    let usage = usage(u)?;
    Ok(Some(Mapped { name, uuid, device, started: bool::arbitrary(u)?, usage }))
}

fn disk(u: &mut Unstructured<'_>, name: &str) -> Result<Disk> {
    let serials = [None, None, Some("root"), Some("private"), Some("volatile"), Some("modules")];
    let size = size(u)?;
    let mut partitions = Vec::new();
    for index in 1..=u.int_in_range(0..=3)? {
        partitions.push(partition(u, name, index, size)?);
    }
    Ok(Disk {
        name: name.into(),
        number: format!("254:{}", name.len()),
        size,
        block: Bytes(*u.choose(&[512, 512, 512, 4096, 2048, 16384, 0, 1])?),
        read_only: bool::arbitrary(u)?,
        discards: bool::arbitrary(u)?,
        serial: u.choose(&serials)?.map(str::to_string),
        usage: usage(u)?,
        partitions,
    })
}

fn partition(u: &mut Unstructured<'_>, disk: &str, index: u32, of: Sectors) -> Result<Partition> {
    let labels = [None, Some("root"), Some("ROOTFS"), Some("home")];
    let kinds = [None, None, Some(partition_type::ROOTS[0]), Some(partition_type::SWAP)];
    let between = if disk.ends_with('1') { "p" } else { "" };
    Ok(Partition {
        name: format!("{disk}{between}{index}"),
        number: format!("254:{index}"),
        index,
        size: Sectors(u.int_in_range(0..=of.0)?),
        read_only: bool::arbitrary(u)?,
        label: u.choose(&labels)?.map(str::to_string),
        kind: *u.choose(&kinds)?,
        usage: usage(u)?,
    })
}

/// Mostly nobody: a machine where everything is in use is soon refused.
fn usage(u: &mut Unstructured<'_>) -> Result<Option<Usage>> {
    Ok(match u8::arbitrary(u)? % 32 {
        0 => Some(Usage::Swap),
        1 => Some(Usage::MountedAt("/mnt".into())),
        device @ 2..5 => Some(Usage::HeldBy(format!("dm-{}", device - 2))),
        _ => None,
    })
}

/// Any magnitude, up to the 2⁶³ bytes at which the kernel's own count ends.
fn size(u: &mut Unstructured<'_>) -> Result<Sectors> {
    let shift = u.int_in_range(0..=54)?;
    Ok(Sectors(u.int_in_range(0..=1u64 << shift)?))
}
