//! What every plan keeps: only the volatile disk is written to; it is nobody's, and it is no other
//! disk; partitions lie inside it; whatever a step uses was made before it; and where encryption was
//! asked for, no partition is used in clear.

use ebbtide_format::{
    dm_table::Store,
    exception_store,
    units::{Bytes, Sectors},
};
use ebbtide_init::{
    discover::{self, Device},
    encrypted::Encrypted,
    layout::{Extent, MIN_COW},
    observed::{Disk, Link, Mapped, Observed, Usage},
    options::{MAPPED_ROOT, Options, SwapSize},
    plan::{Outcome, Plan, UUID_PREFIX},
    role::Role,
    step::{Marker, Step},
};

/// Panics at the first promise that a plan breaks.
pub(crate) fn check(plan: &Plan, options: &Options, observed: &Observed) {
    match &plan.outcome {
        Outcome::NotWanted => assert!(!options.wanted && plan.steps.is_empty()),
        Outcome::Already { .. } => assert!(plan.steps.is_empty(), "{plan}"),
        Outcome::Rest { .. } => {
            let mounted =
                observed.mapped.iter().any(|m| m.name == MAPPED_ROOT && m.usage.is_some());
            let rest = |step: &Step| match step {
                Step::SwapOn { device } => {
                    let is_mapped = *device == Encrypted::Swap.device();
                    let left = ours(observed, Encrypted::Swap.name()).is_some();
                    !mounted && is_mapped == left && (left || !options.encrypt)
                }
                Step::Occupy { .. } => !mounted,
                Step::Link { .. } | Step::Mark(Marker::Ready) => true,
                _ => false,
            };
            assert!(plan.steps.iter().all(rest), "{plan}");
        }
        Outcome::Snapshot { .. } => {
            let root = discover::find(Role::Root, options, observed).expect("a root");
            assert!(root.read_only() && observed.link.is_none(), "{plan}");
            assert!(nobodys(root.usage(), plan, observed), "{plan}");
            let mut run = Run::begin(root, options, observed, plan);
            plan.steps.iter().for_each(|step| run.step(step));
            assert!(run.mapped && run.linked, "{plan}");
        }
        Outcome::Direct { .. } => {
            let root = discover::find(Role::Root, options, observed).expect("a root");
            assert!(!root.read_only());
            let mut run = Run::begin(root, options, observed, plan);
            plan.steps.iter().for_each(|step| run.step(step));
            let there = Link::To(root.name().into());
            let linked = run.linked || observed.link == Some(there);
            assert!(!run.mapped && linked, "{plan}");
        }
    }
}

/// A mapped device of that name that an earlier run of ours has left.
fn ours<'a>(observed: &'a Observed, name: &str) -> Option<&'a Mapped> {
    observed.mapped.iter().find(|m| m.name == name && m.uuid.starts_with(UUID_PREFIX))
}

/// The mapped device that a step removes.
fn removed<'a>(step: &Step, observed: &'a Observed) -> Option<&'a Mapped> {
    match step {
        Step::RemoveUnstarted => ours(observed, MAPPED_ROOT).filter(|m| !m.started),
        Step::RemoveEncrypted { part } => ours(observed, part.name()),
        _ => None,
    }
}

/// Tells whether a device is free, or will be once what the plan removes is gone.
fn nobodys(usage: Option<&Usage>, plan: &Plan, observed: &Observed) -> bool {
    let removed = || plan.steps.iter().filter_map(|step| removed(step, observed));
    usage.is_none_or(|usage| removed().any(|m| *usage == Usage::HeldBy(m.device.clone())))
}

/// The steps so far.
struct Run<'a> {
    root: Device<'a>,
    options: &'a Options,
    observed: &'a Observed,
    plan: &'a Plan,
    volatile: Option<&'a Disk>,
    forgotten: Vec<u32>,
    table: Vec<(u32, Extent)>,
    parts: Vec<(String, Extent)>,
    encrypted: Vec<(Encrypted, String)>,
    marks: Vec<&'a Marker>,
    swap_header: Option<String>,
    cleared: Option<(String, Bytes)>,
    removed: Vec<&'a str>,
    mapped: bool,
    linked: bool,
}

impl<'a> Run<'a> {
    fn begin(
        root: Device<'a>,
        options: &'a Options,
        observed: &'a Observed,
        plan: &'a Plan,
    ) -> Self {
        Self {
            root,
            options,
            observed,
            plan,
            volatile: None,
            forgotten: vec![],
            table: vec![],
            parts: vec![],
            encrypted: vec![],
            marks: vec![],
            swap_header: None,
            cleared: None,
            removed: vec![],
            mapped: false,
            linked: false,
        }
    }

    fn step(&mut self, step: &'a Step) {
        let plan = self.plan;
        let after = matches!(step, Step::Announce { .. } | Step::Mark(Marker::Ready));
        assert!(!self.linked || after, "{plan}");
        match step {
            Step::Claim { disk } => self.claim(disk),
            Step::Discard { disk, size } => {
                let volatile = self.claimed(disk);
                assert!(volatile.discards && volatile.size == *size && self.table.is_empty());
            }
            Step::RemovePartition { disk, index, .. } => {
                assert!(self.claimed(disk).partitions.iter().any(|p| p.index == *index), "{plan}");
                self.forgotten.push(*index);
            }
            Step::WriteTable { disk, table } => {
                let volatile = self.claimed(disk);
                assert_eq!(self.forgotten.len(), volatile.partitions.len(), "{plan}");
                assert_eq!(table.blocks, volatile.size.0 / table.block.sectors(), "{plan}");
                table.build().unwrap_or_else(|error| panic!("{error}\n{plan}"));
                let block = table.block.bytes();
                self.table.extend(table.entries.iter().map(|entry| {
                    let length = Bytes((entry.last + 1 - entry.first) * block);
                    (entry.number, Extent { start: Bytes(entry.first * block), length })
                }));
            }
            Step::AddPartition { disk, device, index, extent } => {
                let volatile = self.claimed(disk);
                assert!(extent.end() <= volatile.size.bytes(), "{plan}");
                assert!(self.table.contains(&(*index, *extent)), "{plan}");
                let between = if disk.ends_with('1') { "p" } else { "" };
                assert_eq!(*device, format!("{disk}{between}{index}"), "{plan}");
                self.parts.push((device.clone(), *extent));
                if let (1, SwapSize::Fixed(asked)) = (*index, self.options.swap) {
                    assert!(extent.length >= asked && extent.length.0 < asked.0 + (1 << 20));
                }
            }
            Step::WriteSwap { device, length, area } => {
                let room = self.part(device);
                let pages = u64::from(area.last_page()) + 1;
                assert!(*length <= room && pages * u64::from(self.observed.page) <= room.0);
                self.swap_header = Some(device.clone());
            }
            Step::ClearStore { device, length } => {
                assert!(*length <= self.part(device) && !self.mapped, "{plan}");
                self.cleared = Some((device.clone(), *length));
            }
            Step::SwapOn { device } => {
                assert_eq!(self.swap_header.as_ref(), Some(device), "{plan}");
            }
            Step::Mark(marker) => self.marks.push(marker),
            Step::RemoveUnstarted => {
                assert!(self.volatile.is_none() && self.removed.is_empty(), "{plan}");
                self.remove(step);
            }
            Step::RemoveEncrypted { .. } => {
                assert!(self.volatile.is_none(), "{plan}");
                let left = self.remove(step);
                assert!(nobodys(left.usage.as_ref(), plan, self.observed), "{plan}");
            }
            Step::Encrypt { part, crypt, uuid } => {
                assert!(self.options.encrypt && self.observed.crypt, "{plan}");
                self.is_free(part.name(), uuid);
                let partition = crypt.device.strip_prefix("/dev/").expect("a device");
                assert_eq!(crypt.size, self.clear(partition).sectors(), "{plan}");
                assert_eq!(crypt.key, part.key(), "{plan}");
                self.encrypted.push((*part, partition.into()));
            }
            Step::Map { snapshot, uuid } => {
                self.is_free(MAPPED_ROOT, uuid);
                assert!(!self.mapped, "{plan}");
                assert_eq!(snapshot.origin, format!("/dev/{}", self.root.name()));
                assert_eq!(snapshot.size, self.root.size());
                self.store(&snapshot.cow, snapshot.store, snapshot.size);
                self.mapped = true;
            }
            Step::Occupy { at, length } => {
                assert!(self.mapped && length.0 > 0, "{plan}");
                assert_eq!(at.0 + length.0, self.root.size().bytes().0, "{plan}");
                assert_eq!(at.0 % self.options.chunk.bytes().0, 0, "{plan}");
            }
            Step::Link { .. } => self.linked = true,
            Step::Announce { device } => assert_eq!(device, self.root.name()),
        }
    }

    fn remove(&mut self, step: &Step) -> &'a Mapped {
        let left = removed(step, self.observed).unwrap_or_else(|| panic!("{}", self.plan));
        self.removed.push(&left.name);
        left
    }

    /// A device of ours can be made: what had its name has been removed.
    fn is_free(&self, name: &str, uuid: &str) {
        let there = self.observed.mapped.iter().any(|m| m.name == name);
        assert_eq!(self.removed.contains(&name), there, "{}", self.plan);
        assert!(uuid.starts_with(UUID_PREFIX), "{}", self.plan);
    }

    /// The disk is the volatile one, a whole disk, writable, and nobody's.
    fn claim(&mut self, disk: &str) {
        let find = |role| discover::find(role, self.options, self.observed);
        let volatile = find(Role::Volatile).expect("a volatile disk");
        assert!(volatile.name() == disk && volatile.partition.is_none(), "{}", self.plan);
        for other in [Role::Root, Role::Private, Role::Modules] {
            assert!(!find(other).is_ok_and(|d| d.disk.name == disk), "{other}: {}", self.plan);
        }
        let volatile = volatile.disk;
        let parts = volatile.partitions.iter().map(|p| &p.usage);
        let free = parts
            .chain([&volatile.usage])
            .all(|usage| nobodys(usage.as_ref(), self.plan, self.observed));
        assert!(!volatile.read_only && free, "{}", self.plan);
        self.volatile = Some(volatile);
    }

    fn claimed(&self, disk: &str) -> &'a Disk {
        self.volatile.filter(|v| v.name == disk).unwrap_or_else(|| panic!("{disk}\n{}", self.plan))
    }

    /// The partition that a device to be used is; in clear only where that was asked for.
    fn partition<'b>(&'b self, device: &'b str) -> &'b str {
        let found = self.encrypted.iter().find(|(part, _)| part.device() == device);
        assert_eq!(found.is_some(), self.options.encrypt, "{device}\n{}", self.plan);
        found.map_or(device, |(_, partition)| partition)
    }

    fn clear(&self, partition: &str) -> Bytes {
        let part = self.parts.iter().find(|(name, _)| name == partition);
        part.unwrap_or_else(|| panic!("{partition}\n{}", self.plan)).1.length
    }

    fn part(&self, device: &str) -> Bytes {
        self.clear(self.partition(device))
    }

    fn store(&self, cow: &str, store: Store, root: Sectors) {
        let device = cow.strip_prefix("/dev/").expect("a device");
        let room = self.part(device);
        assert!(room >= MIN_COW && room.0.is_multiple_of(self.options.chunk.bytes().0));
        assert!(
            self.marks.iter().any(|m| **m == Marker::Cow(self.partition(device).into())),
            "{}",
            self.plan
        );
        let cannot_fill = room.sectors() >= exception_store::room_for_all(root, self.options.chunk);
        match store {
            Store::Transient => assert!(cannot_fill, "{}", self.plan),
            Store::PersistentOverflow => {
                let chunk = self.options.chunk.bytes();
                assert_eq!(self.cleared, Some((device.to_string(), chunk)), "{}", self.plan);
                assert_eq!(self.plan.notes.is_empty(), cannot_fill, "{}", self.plan);
            }
        }
    }
}
