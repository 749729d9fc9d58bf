//! The decisions: from what was asked for and what was seen to what will be done.

use crate::{
    again,
    discover::{self, Device},
    division::{COW_INDEX, SIGNATURES_END, divide},
    encrypted,
    layout::Purpose,
    observed::{Disk, Link, Mapper, Observed},
    options::{MAPPED_ROOT, Options, Overflow},
    refusal::Refusal,
    role::Role,
    step::{Marker, Step, Target},
};
use alloc::{
    format,
    string::{String, ToString},
    vec,
    vec::Vec,
};
use core::fmt;
use ebbtide_format::{
    dm_table::{Snapshot, Store},
    exception_store,
    units::{Bytes, Sectors},
};

/// What the identifier of our mapped device begins with; it tells ours from another's.
pub const UUID_PREFIX: &str = "EBBTIDE-";

/// What will be done, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What it comes to.
    pub outcome: Outcome,
    /// What a reader of the log should know beside the steps.
    pub notes: Vec<String>,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// How many of the first steps the boot can do without: when one fails, they are taken back, and
    /// the rest goes on.
    pub optional: usize,
}

/// What a plan comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The kernel command line does not ask for us.
    NotWanted,
    /// The root is there from an earlier run.
    Already {
        /// What `/dev/mapper/dmroot` leads to.
        device: String,
    },
    /// The root is there from an earlier run that was cut; the rest of it is done now.
    Rest {
        /// What `/dev/mapper/dmroot` leads to.
        device: String,
    },
    /// A read-only root becomes writable through a snapshot.
    Snapshot {
        /// The root.
        root: String,
        /// Its size.
        size: Sectors,
        /// The volatile disk.
        volatile: String,
        /// Room for copy-on-write.
        room: Bytes,
    },
    /// A writable root is used as it is.
    Direct {
        /// The root.
        root: String,
    },
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotWanted => {
                f.write_str("nothing to do: root= on the kernel command line does not name dmroot")
            }
            Self::Already { device } => {
                write!(
                    f,
                    "nothing to do: /dev/mapper/{MAPPED_ROOT} is there already, it is {device}"
                )
            }
            Self::Rest { device } => {
                write!(f, "{device} is mapped by an earlier run that was cut; the rest is done now")
            }
            Self::Snapshot { root, size, volatile, room } => write!(
                f,
                "root {root} ({size}, read-only) becomes writable: {room} of copy-on-write room on {volatile}"
            ),
            Self::Direct { root } => write!(f, "root {root} is writable and used as it is"),
        }
    }
}

/// The outcome, the notes, and the steps with their numbers.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.outcome)?;
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        for (at, step) in self.steps.iter().enumerate() {
            let spare = if at < self.optional { ", if it can be done" } else { "" };
            writeln!(f, "step {}/{} {step}{spare}", at + 1, self.steps.len())?;
        }
        Ok(())
    }
}

/// Decides what the `root` stage does.
///
/// # Errors
/// A [`Refusal`]; nothing has been done then, and nothing may be.
pub fn plan(options: &Options, observed: &Observed) -> Result<Plan, Refusal> {
    if !options.wanted {
        return Ok(Plan { outcome: Outcome::NotWanted, notes: vec![], steps: vec![], optional: 0 });
    }
    match observed.mapped.iter().find(|m| m.name == MAPPED_ROOT) {
        Some(mapped) if mapped.started => again::already_mapped(mapped, options, observed),
        unstarted => again::from_the_start(unstarted, options, observed),
    }
}

/// Plans for a machine on which no root is mapped.
pub(crate) fn unmapped(options: &Options, observed: &Observed) -> Result<Plan, Refusal> {
    let root = discover::find(Role::Root, options, observed)?;
    let link = if root.read_only() {
        "the mapped device".to_string()
    } else {
        format!("{}, the root", root.name())
    };
    match &observed.link {
        Some(Link::To(device)) if device == root.name() && !root.read_only() => {
            if !observed.ready {
                return Ok(direct(root, options, observed));
            }
            return Ok(Plan {
                outcome: Outcome::Already { device: device.clone() },
                notes: vec![],
                steps: vec![],
                optional: 0,
            });
        }
        Some(Link::To(device)) => {
            let found = format!("a link to {device}");
            return Err(Refusal::LinkTaken { found, wanted: link });
        }
        Some(Link::Other) => {
            let found = "something that is not a link".to_string();
            return Err(Refusal::LinkTaken { found, wanted: link });
        }
        None => {}
    }
    if root.read_only() {
        over_snapshot(root, options, observed)
    } else {
        Ok(direct(root, options, observed))
    }
}

/// A writable root: the link leads to it, and a volatile disk, if there is one, gives swap.
fn direct(root: Device<'_>, options: &Options, observed: &Observed) -> Plan {
    let mut notes = vec![];
    let mut steps = vec![];
    match discover::find(Role::Volatile, options, observed)
        .and_then(|volatile| checked_disk(volatile, root, options, observed))
        .and_then(|disk| divide(disk, options, Purpose::SwapOnly))
        .and_then(|division| match division.layout.swap {
            Some(_) => encrypted::check(options, observed).map(|()| division),
            None => Ok(division),
        }) {
        Ok(division) => {
            steps.extend(division.partition_steps(observed));
            steps.extend(division.swap_steps(observed));
        }
        Err(Refusal::Missing { .. }) => {}
        Err(refusal) => notes.push(format!("no swap: {refusal}")),
    }
    let optional = steps.len();
    steps.extend([
        Step::Mark(Marker::Root(root.number().to_string())),
        Step::Link { target: Target::Device(root.name().to_string()) },
        Step::Announce { device: root.name().to_string() },
        Step::Mark(Marker::Ready),
    ]);
    Plan { outcome: Outcome::Direct { root: root.name().to_string() }, notes, steps, optional }
}

fn over_snapshot(
    root: Device<'_>,
    options: &Options,
    observed: &Observed,
) -> Result<Plan, Refusal> {
    match observed.mapper {
        Mapper::Absent => return Err(Refusal::NoMapper),
        Mapper::WithoutSnapshot => return Err(Refusal::NoSnapshotTarget),
        Mapper::Ready => {}
    }
    encrypted::check(options, observed)?;
    // A snapshot wants its origin for itself, also when it only reads it.
    if let Some(usage) = root.usage().cloned() {
        let (disk, part) = (root.disk.name.clone(), root.name().to_string());
        return Err(Refusal::InUse { role: Role::Root, disk, part, usage });
    }
    let volatile = discover::find(Role::Volatile, options, observed)?;
    let disk = checked_disk(volatile, root, options, observed)?;
    let division = divide(disk, options, Purpose::SwapAndCow)?;
    check_blocks(disk, root, options)?;
    let cow = division.layout.cow.map_or(Bytes(0), |cow| cow.length);
    let (store, notes) = choose_store(root, cow.sectors(), options)?;
    let cow_device = division.device(COW_INDEX);
    let snapshot = Snapshot {
        size: root.size(),
        origin: format!("/dev/{}", root.name()),
        cow: format!("/dev/{cow_device}"),
        store,
        chunk: options.chunk,
    };
    let (swap_header, swap_on): (Vec<_>, Vec<_>) = division
        .swap_steps(observed)
        .into_iter()
        .partition(|step| matches!(step, Step::WriteSwap { .. }));

    let mut steps = division.partition_steps(observed);
    steps.extend(swap_header);
    if store == Store::PersistentOverflow {
        steps.push(Step::ClearStore { device: cow_device, length: options.chunk.bytes() });
    }
    let uuid = format!("{UUID_PREFIX}{}", observed.identifiers.mapped);
    steps.push(Step::Map { snapshot, uuid });
    steps.extend(occupy(root, options));
    // After the mapping: whoever is cut before it leaves nothing in use, and can begin again.
    steps.extend(swap_on);
    steps.extend([Step::Link { target: Target::Mapped }, Step::Mark(Marker::Ready)]);

    let outcome = Outcome::Snapshot {
        root: root.name().to_string(),
        size: root.size(),
        volatile: disk.name.clone(),
        room: cow,
    };
    Ok(Plan { outcome, notes, steps, optional: 0 })
}

/// Refuses a volatile disk that is not one, is somebody else's, or is in use.
fn checked_disk<'a>(
    volatile: Device<'a>,
    root: Device<'_>,
    options: &Options,
    observed: &Observed,
) -> Result<&'a Disk, Refusal> {
    let disk = volatile.disk;
    // Also one of several that could be the private disk is not to be overwritten.
    let other = [Role::Private, Role::Modules]
        .into_iter()
        .find(|role| discover::may_be(*role, disk, options, observed))
        .or((root.disk.name == disk.name).then_some(Role::Root));
    if let Some(first) = other {
        let device = disk.name.clone();
        return Err(Refusal::SameDevice { device, first, second: Role::Volatile });
    }
    if let Some(partition) = volatile.partition {
        return Err(Refusal::NotAWholeDisk { device: partition.name.clone() });
    }
    if disk.read_only {
        return Err(Refusal::ReadOnly { disk: disk.name.clone() });
    }
    let parts = disk.partitions.iter().map(|p| (&p.name, &p.usage));
    for (part, usage) in core::iter::once((&disk.name, &disk.usage)).chain(parts) {
        if let Some(usage) = usage.clone() {
            return Err(Refusal::InUse {
                role: Role::Volatile,
                disk: disk.name.clone(),
                part: part.clone(),
                usage,
            });
        }
    }
    Ok(disk)
}

fn check_blocks(disk: &Disk, root: Device<'_>, options: &Options) -> Result<(), Refusal> {
    for (name, block) in [(&disk.name, disk.block), (&root.disk.name, root.block())] {
        if options.chunk.bytes() < block {
            return Err(Refusal::ChunkBelowBlock {
                disk: name.clone(),
                block,
                chunk: options.chunk,
            });
        }
    }
    let block = disk.block.max(root.block());
    if !root.size().bytes().0.is_multiple_of(block.0.max(1)) {
        let (root, size) = (root.name().to_string(), root.size());
        return Err(Refusal::RootNotInBlocks { root, size, block });
    }
    Ok(())
}

/// Chooses the store: `N` only where it cannot fill, because a full one is the end of the system.
fn choose_store(
    root: Device<'_>,
    found: Sectors,
    options: &Options,
) -> Result<(Store, Vec<String>), Refusal> {
    let wanted = exception_store::room_for_all(root.size(), options.chunk);
    let cannot_fill = found >= wanted;
    match options.overflow {
        Overflow::Auto if cannot_fill => Ok((Store::Transient, vec![])),
        Overflow::Transient if cannot_fill => Ok((Store::Transient, vec![])),
        Overflow::Transient => Err(Refusal::CanFill { found, wanted }),
        Overflow::PersistentOverflow if cannot_fill => Ok((Store::PersistentOverflow, vec![])),
        Overflow::Auto | Overflow::PersistentOverflow => {
            let note = format!(
                "{found} of copy-on-write room can fill (it takes {} to rewrite the whole root); \
                 when it is full, writes to the root fail and reads go on",
                Bytes(wanted.bytes().0.next_multiple_of(1 << 20))
            );
            Ok((Store::PersistentOverflow, vec![note]))
        }
    }
}

/// Covers the places of signatures at the start of the store with chunks from the end of the root.
pub(crate) fn occupy(root: Device<'_>, options: &Options) -> Option<Step> {
    let size = root.size().bytes();
    let chunk = options.chunk.bytes().0;
    let last_chunk = size.0.checked_sub(1)? / chunk;
    let chunks = SIGNATURES_END.0.div_ceil(chunk).min(last_chunk + 1);
    let at = Bytes((last_chunk + 1 - chunks) * chunk);
    Some(Step::Occupy { at, length: Bytes(size.0 - at.0) })
}
