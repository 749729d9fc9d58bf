//! Which device plays which role.
//!
//! In: the options and what was observed. Out: a device, or the refusal that says what was there
//! instead. A disk is never opened for this: names, serials, sizes and partitions come from sysfs.

use crate::{
    observed::{Disk, Observed, Partition, Usage},
    options::{Choice, Options},
    refusal::Refusal,
    role::Role,
};
use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use ebbtide_format::{
    guid::partition_type,
    units::{Bytes, Sectors},
};

/// A whole disk, or a partition of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device<'a> {
    /// The disk.
    pub disk: &'a Disk,
    /// The partition, unless the whole disk is meant.
    pub partition: Option<&'a Partition>,
}

impl<'a> Device<'a> {
    /// Returns its name below `/dev`.
    #[must_use]
    pub fn name(&self) -> &'a str {
        self.partition.map_or(&self.disk.name, |p| &p.name)
    }

    /// Returns its device number, `MAJOR:MINOR`.
    #[must_use]
    pub fn number(&self) -> &'a str {
        self.partition.map_or(&self.disk.number, |p| &p.number)
    }

    /// Returns its size.
    #[must_use]
    pub fn size(&self) -> Sectors {
        self.partition.map_or(self.disk.size, |p| p.size)
    }

    /// Returns the logical block of its disk.
    #[must_use]
    pub fn block(&self) -> Bytes {
        self.disk.block
    }

    /// Returns who uses it.
    #[must_use]
    pub fn usage(&self) -> Option<&'a Usage> {
        self.partition.map_or(&self.disk.usage, |p| &p.usage).as_ref()
    }

    /// Tells whether it can only be read.
    #[must_use]
    pub fn read_only(&self) -> bool {
        self.disk.read_only || self.partition.is_some_and(|p| p.read_only)
    }
}

/// Names by which partitioning tools and distributions call a root partition.
const ROOT_LABELS: [&str; 3] = ["root", "root filesystem", "rootfs"];

impl Options {
    /// Returns how the disk for `role` is chosen.
    #[must_use]
    pub const fn choice(&self, role: Role) -> &Choice {
        match role {
            Role::Root => &self.root,
            Role::Private => &self.private,
            Role::Volatile => &self.volatile,
            Role::Modules => &self.modules,
        }
    }
}

/// Finds the device for `role`; for the root, the partition that holds it.
///
/// # Errors
/// [`Refusal::Missing`], [`Refusal::Ambiguous`], [`Refusal::NoRootPartition`] or
/// [`Refusal::SeveralRootPartitions`].
pub fn find<'a>(
    role: Role,
    options: &Options,
    observed: &'a Observed,
) -> Result<Device<'a>, Refusal> {
    let choice = options.choice(role);
    let device = one_of(role, choice, &candidates(role, choice, observed), observed)?;
    match (role, device.partition) {
        (Role::Root, None) if !device.disk.partitions.is_empty() => root_partition(device.disk),
        _ => Ok(device),
    }
}

/// Tells whether a disk, or a part of it, answers to the choice for `role`, be it one of several.
#[must_use]
pub fn may_be(role: Role, disk: &Disk, options: &Options, observed: &Observed) -> bool {
    candidates(role, options.choice(role), observed).iter().any(|d| d.disk.name == disk.name)
}

/// Tells whether a device is, holds or lies on the one that plays `role`; where that one is not clear,
/// one of those that may be.
#[must_use]
pub fn touches(role: Role, device: &Device<'_>, options: &Options, observed: &Observed) -> bool {
    let overlaps = |other: &Device<'_>| {
        let parts = (device.partition, other.partition);
        let apart = matches!(parts, (Some(one), Some(other)) if one.index != other.index);
        device.disk.name == other.disk.name && !apart
    };
    match find(role, options, observed) {
        Ok(found) => overlaps(&found),
        Err(_) => candidates(role, options.choice(role), observed).iter().any(overlaps),
    }
}

fn candidates<'a>(role: Role, choice: &Choice, observed: &'a Observed) -> Vec<Device<'a>> {
    let whole = |disk| Device { disk, partition: None };
    let disks = observed.disks.iter().filter(|disk| disk.size.0 > 0);
    let with_serial = |serial: &str| -> Vec<_> {
        disks.clone().filter(|d| d.serial.as_deref() == Some(serial)).map(whole).collect()
    };
    match choice {
        Choice::Auto => {
            let by_serial = with_serial(role.word());
            if by_serial.is_empty() {
                disks.filter(|d| letter_names(role).contains(&d.name.as_str())).map(whole).collect()
            } else {
                by_serial
            }
        }
        Choice::Serial(serial) => with_serial(serial),
        Choice::Path(path) => {
            let led =
                observed.paths.iter().find(|(from, _)| from == path).map(|(_, to)| to.as_str());
            let name = led.or_else(|| path.strip_prefix("/dev/"));
            all_devices(disks).filter(|d| Some(d.name()) == name).collect()
        }
        Choice::PartLabel(label) => all_devices(disks)
            .filter(|d| d.partition.is_some_and(|p| p.label.as_ref() == Some(label)))
            .collect(),
    }
}

fn all_devices<'a>(disks: impl Iterator<Item = &'a Disk>) -> impl Iterator<Item = Device<'a>> {
    disks.flat_map(|disk| {
        let parts = disk.partitions.iter().map(move |p| Device { disk, partition: Some(p) });
        core::iter::once(Device { disk, partition: None }).chain(parts)
    })
}

/// Returns the names that Xen and user-mode Linux give the disk of a role.
const fn letter_names(role: Role) -> [&'static str; 2] {
    match role {
        Role::Root => ["xvda", "ubda"],
        Role::Private => ["xvdb", "ubdb"],
        Role::Volatile => ["xvdc", "ubdc"],
        Role::Modules => ["xvdd", "ubdd"],
    }
}

fn one_of<'a>(
    role: Role,
    choice: &Choice,
    devices: &[Device<'a>],
    observed: &Observed,
) -> Result<Device<'a>, Refusal> {
    match devices {
        [device] => Ok(*device),
        [] => {
            Err(Refusal::Missing { role, choice: choice.clone(), found: describe_disks(observed) })
        }
        many => {
            let found = many.iter().map(|d| d.name()).collect::<Vec<_>>().join(", ");
            Err(Refusal::Ambiguous { role, choice: choice.clone(), found })
        }
    }
}

/// Finds the root among the partitions: by type, where udev has read it; else by name; else the
/// only one there is.
fn root_partition(disk: &Disk) -> Result<Device<'_>, Refusal> {
    let is_kind = |p: &&Partition| p.kind.is_some_and(|k| partition_type::ROOTS.contains(&k));
    let is_named = |p: &&Partition| {
        p.label.as_ref().is_some_and(|l| ROOT_LABELS.iter().any(|r| r.eq_ignore_ascii_case(l)))
    };
    let parts = || disk.partitions.iter();
    let choices: [Vec<_>; 3] =
        [parts().filter(is_kind).collect(), parts().filter(is_named).collect(), parts().collect()];
    match choices.iter().find(|found| !found.is_empty()).map(Vec::as_slice) {
        Some([partition]) => Ok(Device { disk, partition: Some(partition) }),
        several => {
            let names = |found: &[&Partition]| {
                found.iter().map(|p| describe_partition(p)).collect::<Vec<_>>().join(", ")
            };
            let disk = disk.name.clone();
            let marked = several.filter(|_| !(choices[0].is_empty() && choices[1].is_empty()));
            Err(match marked {
                Some(found) => Refusal::SeveralRootPartitions { disk, found: names(found) },
                None => Refusal::NoRootPartition { disk, found: names(&choices[2]) },
            })
        }
    }
}

fn describe_partition(partition: &Partition) -> String {
    match &partition.label {
        Some(label) => format!("{} \"{label}\"", partition.name),
        None => partition.name.clone(),
    }
}

fn describe_disks(observed: &Observed) -> String {
    let describe = |disk: &Disk| {
        let serial = disk.serial.as_ref().map_or_else(String::new, |s| format!(" serial={s}"));
        format!("{}{serial} ({})", disk.name, disk.size)
    };
    let found: Vec<_> = observed.disks.iter().filter(|d| d.size.0 > 0).map(describe).collect();
    if found.is_empty() { "no disk".to_string() } else { found.join(", ") }
}
