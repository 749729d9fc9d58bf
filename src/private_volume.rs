//! What is done with the private disk.
//!
//! In: the options, what was observed, and what is on the disk. Out: the disk, then a [`Decision`], or
//! a [`Refusal`] that says what was wanted and what was found. Nothing that anybody may miss is ever
//! formatted over: only zeros are, and what we were formatting ourselves.

use crate::{
    discover::{self, Device},
    observed::{Observed, Usage},
    options::{Choice, Format, Options},
    refusal,
    role::Role,
};
use alloc::string::{String, ToString};
use core::fmt;
use ebbtide_format::{
    signature::{Content, FileSystem, Kind, MARKER_SIZE, file_system_end},
    units::Bytes,
};

/// The least that a file system is made on, with what it leaves free at the end.
pub const LEAST: Bytes = Bytes::mib(8);
/// A file system that misses no more than this fills its disk: what is left free at the end, and what
/// does not fill a group or a block.
pub const SLACK: Bytes = Bytes::mib(2);

/// The private disk, or the partition that was named for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrivateDisk {
    /// Name below `/dev`.
    pub name: String,
    /// Size.
    pub size: Bytes,
    /// Whether it can only be read.
    pub read_only: bool,
    /// Whether it takes discards.
    pub discards: bool,
    /// Where it is mounted already.
    pub mounted_at: Option<String>,
}

/// Finds the private disk; `None` when there is none and none was named.
///
/// # Errors
/// When a disk that was named is missing, when it is not clear which one is meant, or it is another's.
pub fn disk(options: &Options, observed: &Observed) -> Result<Option<PrivateDisk>, Refusal> {
    let device = match discover::find(Role::Private, options, observed) {
        Err(refusal::Refusal::Missing { choice: Choice::Auto, .. }) => return Ok(None),
        Err(refusal) => return Err(Refusal::NotFound(refusal)),
        Ok(device) => device,
    };
    let refuse = |why| {
        let (disk, size) = (device.name().to_string(), device.size().bytes());
        Err(Refusal::Disk { disk, size, why })
    };
    for role in [Role::Root, Role::Volatile, Role::Modules] {
        if discover::touches(role, &device, options, observed) {
            return refuse(Why::AnotherRole(role));
        }
    }
    let mounted_at = match device.usage() {
        None => None,
        Some(Usage::MountedAt(place)) => Some(place.clone()),
        Some(usage) => return refuse(Why::InUse(usage.clone())),
    };
    if device.partition.is_none()
        && let Some(first) = device.disk.partitions.first()
    {
        return refuse(Why::Partitions(first.name.clone()));
    }
    Ok(Some(described(&device, mounted_at)))
}

fn described(device: &Device<'_>, mounted_at: Option<String>) -> PrivateDisk {
    PrivateDisk {
        name: device.name().to_string(),
        size: device.size().bytes(),
        read_only: device.read_only(),
        discards: device.disk.discards,
        mounted_at,
    }
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The file system is checked and mounted.
    Use {
        /// Which.
        file_system: FileSystem,
        /// Whether it is grown to the size of the disk, once it is mounted.
        grow: bool,
    },
    /// A file system is made.
    Format {
        /// Which.
        kind: Kind,
        /// Its size. The marker lies behind it.
        size: Bytes,
        /// Whether an earlier run was cut while it did the same.
        again: bool,
    },
    /// Nothing: that is what was asked for.
    Leave,
}

/// Decides by what is on the disk.
///
/// # Errors
/// What is on it is another's, not whole, or cannot be used as it is.
pub fn decide(
    disk: &PrivateDisk,
    content: Content,
    options: &Options,
) -> Result<Decision, Refusal> {
    let refuse = |why| Err(Refusal::Disk { disk: disk.name.clone(), size: disk.size, why });
    let again = match content {
        Content::Blank => false,
        Content::BeingFormatted => true,
        Content::FileSystem(found) => {
            if !found.kind.is_ext() && !matches!(found.kind, Kind::Xfs | Kind::Btrfs) {
                return refuse(Why::Foreign(found.kind.word()));
            }
            if found.size > disk.size {
                return refuse(Why::Cut(found));
            }
            let grow = !disk.read_only && disk.size.0 - found.size.0 > SLACK.0;
            return Ok(Decision::Use { file_system: found, grow });
        }
        Content::Other(name) => return refuse(Why::Foreign(name)),
        Content::Several(one, other) => return refuse(Why::Several(one, other)),
        Content::Remains { of, at } => return refuse(Why::Remains(of, at)),
        Content::Unknown { at } => return refuse(Why::Unknown(at)),
    };
    let kind = match options.format {
        Format::Ext4 => Kind::Ext4,
        Format::Xfs => Kind::Xfs,
        Format::Btrfs => Kind::Btrfs,
        Format::No => return Ok(Decision::Leave),
    };
    if disk.read_only {
        return refuse(Why::BlankAndReadOnly);
    }
    if disk.size < LEAST {
        return refuse(Why::TooSmall);
    }
    let size = file_system_end(disk.size);
    debug_assert!(size.0 + MARKER_SIZE <= disk.size.0);
    Ok(Decision::Format { kind, size, again })
}

/// Why there is no private volume.
#[derive(Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is no disk, or more than one.
    NotFound(refusal::Refusal),
    /// The disk cannot be used.
    Disk {
        /// Its name.
        disk: String,
        /// Its size.
        size: Bytes,
        /// The reason.
        why: Why,
    },
}

/// Why a disk cannot be used.
#[derive(Clone, PartialEq, Eq)]
pub enum Why {
    /// It is, or may be, the disk of another role.
    AnotherRole(Role),
    /// It is used, and not mounted.
    InUse(Usage),
    /// It has partitions; the first one.
    Partitions(String),
    /// Something else is on it.
    Foreign(&'static str),
    /// Two things are on it.
    Several(&'static str, &'static str),
    /// A file system that is not whole.
    Remains(Kind, u64),
    /// Nothing that is known, from here on.
    Unknown(u64),
    /// The disk is smaller than its file system.
    Cut(FileSystem),
    /// There is nothing on it, and nothing can be made.
    BlankAndReadOnly,
    /// A file system has no room.
    TooSmall,
}

impl Refusal {
    /// Tells whether a disk that appears later can take this refusal away.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        matches!(self, Self::NotFound(refusal) if refusal.may_pass())
    }

    /// Returns what can be done about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        let why = match self {
            Self::NotFound(refusal) => return refusal.hint(),
            Self::Disk { why, .. } => why,
        };
        match why {
            Why::AnotherRole(_) => "give each role a device of its own",
            Why::InUse(_) => "stop using it, or name another disk with ebbtide.private=",
            Why::Partitions(_) => {
                "name the partition with ebbtide.private=, or attach another disk"
            }
            Why::Foreign(_) | Why::Several(..) | Why::Unknown(_) => {
                "attach the right disk; this one is used when it is blank, which only the host can make it"
            }
            Why::Remains(..) => {
                "repair it on the host, or restore it; it is formatted only when it is blank"
            }
            Why::Cut(_) => "give the disk its old size back on the host",
            Why::BlankAndReadOnly => "attach it writable for its first boot",
            Why::TooSmall => "enlarge the disk on the host",
        }
    }
}

/// The text of the error: derived code would be larger than the errors are worth.
impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

const WANTED: &str = "wanted a blank disk or ext4, xfs or btrfs";

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (disk, size, why) = match self {
            Self::NotFound(refusal) => return refusal.fmt(f),
            Self::Disk { disk, size, why } => (disk, size, why),
        };
        write!(f, "private disk {disk} ({size}): ")?;
        match why {
            Why::AnotherRole(role) => {
                write!(
                    f,
                    "wanted a device for it alone; found that it is the {role} disk, or may be"
                )
            }
            Why::InUse(usage) => write!(f, "wanted a disk that nobody uses; found it {usage}"),
            Why::Partitions(first) => {
                write!(f, "{WANTED}; found a partition table, with {first} in it")
            }
            Why::Foreign(name) => write!(f, "{WANTED}; found {name}"),
            Why::Several(one, other) => write!(f, "{WANTED}; found both {one} and {other}"),
            Why::Remains(of, at) => {
                let word = of.word();
                write!(f, "{WANTED}; found remains of {word} at {}, not a whole one", Bytes(*at))
            }
            Why::Unknown(at) => {
                write!(f, "{WANTED}; found something unknown at {}", Bytes(*at))
            }
            Why::Cut(found) => {
                let word = found.kind.word();
                write!(f, "wanted all of its {word}, which is {}; found less", found.size)
            }
            Why::BlankAndReadOnly => {
                f.write_str("wanted a writable disk; found a blank read-only one")
            }
            Why::TooSmall => write!(f, "wanted {LEAST} at the least for a file system; found less"),
        }
    }
}

impl core::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observed::{Disk, Identifiers, Mapper, Partition};
    use alloc::{vec, vec::Vec};
    use ebbtide_format::guid::Guid;

    const SIZE: Bytes = Bytes::gib(1);

    fn private() -> PrivateDisk {
        PrivateDisk {
            name: "vdb".to_string(),
            size: SIZE,
            read_only: false,
            discards: true,
            mounted_at: None,
        }
    }

    fn file_system(kind: Kind, size: Bytes) -> Content {
        Content::FileSystem(FileSystem { kind, size, uuid: Guid([1; 16]), clean: true })
    }

    fn refusal(disk: &PrivateDisk, content: Content) -> String {
        decide(disk, content, &Options::default()).unwrap_err().to_string()
    }

    fn a_disk(name: &str, serial: Option<&str>) -> Disk {
        Disk {
            name: name.to_string(),
            number: "254:0".to_string(),
            size: SIZE.sectors(),
            block: Bytes(512),
            read_only: false,
            discards: true,
            serial: serial.map(str::to_string),
            usage: None,
            partitions: vec![],
        }
    }

    fn a_partition(disk: &str, index: u32) -> Partition {
        Partition {
            name: alloc::format!("{disk}{index}"),
            number: "254:1".to_string(),
            index,
            size: SIZE.sectors(),
            read_only: false,
            label: None,
            kind: None,
            usage: None,
        }
    }

    /// A machine with a root and a volatile disk.
    fn machine(more: Vec<Disk>) -> Observed {
        let guid = Guid([0; 16]);
        let mut disks = vec![a_disk("vda", Some("root")), a_disk("vdc", Some("volatile"))];
        disks.extend(more);
        Observed {
            page: 4096,
            identifiers: Identifiers {
                disk: guid,
                swap: guid,
                cow: guid,
                swap_area: guid,
                mapped: guid,
            },
            crypt: false,
            mapper: Mapper::Ready,
            link: None,
            ready: false,
            paths: vec![],
            disks,
            mapped: vec![],
        }
    }

    fn named(path: &str) -> Options {
        Options { private: Choice::Path(path.to_string()), ..Options::default() }
    }

    #[test]
    fn none_is_fine_unless_one_was_named() {
        assert_eq!(disk(&Options::default(), &machine(vec![])), Ok(None));
        let refusal = disk(&named("/dev/vdx"), &machine(vec![])).unwrap_err();
        assert!(refusal.may_pass(), "{refusal}");
        let observed = machine(vec![a_disk("vdb", Some("private"))]);
        assert_eq!(disk(&Options::default(), &observed), Ok(Some(private())));
        let twice = machine(vec![a_disk("vdb", Some("private")), a_disk("vdd", Some("private"))]);
        let refusal = disk(&Options::default(), &twice).unwrap_err();
        assert!(!refusal.may_pass() && refusal.to_string().contains("vdb, vdd"), "{refusal}");
    }

    #[test]
    fn a_disk_that_is_or_may_be_anothers_is_refused() {
        let observed = machine(vec![a_disk("xvdd", None)]);
        for (path, role) in
            [("/dev/vda", "root"), ("/dev/vdc", "volatile"), ("/dev/xvdd", "modules")]
        {
            let text = disk(&named(path), &observed).unwrap_err().to_string();
            assert!(text.contains(&alloc::format!("the {role} disk")), "{text}");
        }
    }

    #[test]
    fn a_partition_beside_the_root_is_its_own_device_and_a_disk_with_partitions_is_foreign() {
        let mut observed = machine(vec![a_disk("vdb", None)]);
        observed.disks[0].partitions = vec![a_partition("vda", 1), a_partition("vda", 2)];
        observed.disks[0].partitions[0].label = Some("root".to_string());
        observed.disks[2].partitions = vec![a_partition("vdb", 1)];
        for (path, usable) in [("/dev/vda2", true), ("/dev/vda1", false), ("/dev/vdb1", true)] {
            assert_eq!(disk(&named(path), &observed).is_ok(), usable, "{path}");
        }
        let text = disk(&named("/dev/vdb"), &observed).unwrap_err().to_string();
        assert!(text.ends_with("found a partition table, with vdb1 in it"), "{text}");
    }

    #[test]
    fn a_disk_that_is_mounted_says_where_and_other_uses_are_refused() {
        let mut observed = machine(vec![a_disk("vdb", Some("private"))]);
        observed.disks[2].usage = Some(Usage::MountedAt("/rw".to_string()));
        let found = disk(&Options::default(), &observed).unwrap().unwrap();
        assert_eq!(found.mounted_at.as_deref(), Some("/rw"));
        observed.disks[2].usage = Some(Usage::HeldBy("dm-1".to_string()));
        let text = disk(&Options::default(), &observed).unwrap_err().to_string();
        assert!(text.ends_with("found it held by dm-1"), "{text}");
    }

    #[test]
    fn blank_is_formatted_as_asked_for() {
        for (format, kind) in
            [(Format::Ext4, Kind::Ext4), (Format::Xfs, Kind::Xfs), (Format::Btrfs, Kind::Btrfs)]
        {
            let options = Options { format, ..Options::default() };
            for (content, again) in [(Content::Blank, false), (Content::BeingFormatted, true)] {
                let size = Bytes(SIZE.0 - (1 << 20));
                let wanted = Decision::Format { kind, size, again };
                assert_eq!(decide(&private(), content, &options), Ok(wanted));
            }
        }
        let options = Options { format: Format::No, ..Options::default() };
        assert_eq!(decide(&private(), Content::Blank, &options), Ok(Decision::Leave));
        let protected = PrivateDisk { read_only: true, ..private() };
        assert_eq!(decide(&protected, Content::Blank, &options), Ok(Decision::Leave));
    }

    #[test]
    fn nothing_but_blank_is_ever_formatted() {
        for content in [
            file_system(Kind::Ext4, SIZE),
            file_system(Kind::Squashfs, SIZE),
            Content::Other("LUKS"),
            Content::Several("ext4", "LUKS"),
            Content::Remains { of: Kind::Ext4, at: 1024 },
            Content::Unknown { at: 0 },
        ] {
            for format in [Format::Ext4, Format::Xfs, Format::Btrfs, Format::No] {
                for disposable in [false, true] {
                    let options = Options { format, disposable, ..Options::default() };
                    let decided = decide(&private(), content, &options);
                    assert!(!matches!(decided, Ok(Decision::Format { .. } | Decision::Leave)));
                }
            }
        }
    }

    #[test]
    fn grows_by_more_than_what_is_left_free() {
        let grows = |disk: &PrivateDisk, missing| {
            let content = file_system(Kind::Ext4, Bytes(SIZE.0 - missing));
            match decide(disk, content, &Options::default()) {
                Ok(Decision::Use { grow, .. }) => grow,
                other => panic!("{other:?}"),
            }
        };
        assert!(!grows(&private(), 0) && !grows(&private(), 2 << 20));
        assert!(grows(&private(), (2 << 20) + 512));
        assert!(!grows(&PrivateDisk { read_only: true, ..private() }, 1 << 29));
    }

    #[test]
    fn refusals_name_the_disk_the_wanted_and_the_found() {
        let wanted = "private disk vdb (1 GiB): wanted a blank disk or ext4, xfs or btrfs; found ";
        for (content, found) in [
            (Content::Other("LUKS"), "LUKS"),
            (file_system(Kind::Erofs, SIZE), "erofs"),
            (Content::Several("ext4", "LUKS"), "both ext4 and LUKS"),
            (
                Content::Remains { of: Kind::Ext4, at: 128 << 20 },
                "remains of ext4 at 128 MiB, not a whole one",
            ),
            (Content::Unknown { at: 4096 }, "something unknown at 4 KiB"),
        ] {
            assert_eq!(refusal(&private(), content), alloc::format!("{wanted}{found}"));
        }
        let text = refusal(&private(), file_system(Kind::Ext4, Bytes::gib(2)));
        assert!(text.ends_with("wanted all of its ext4, which is 2 GiB; found less"), "{text}");
        let protected = PrivateDisk { read_only: true, ..private() };
        assert!(refusal(&protected, Content::Blank).contains("found a blank read-only one"));
        let small = PrivateDisk { size: Bytes::mib(7), ..private() };
        assert!(refusal(&small, Content::Blank).contains("(7 MiB): wanted 8 MiB"));
    }
}
