//! Which devices there are to be over one base, and how those that there are become so. Pure.
//!
//! The origin is held back while versions of it come and go. Nothing is decided by who asks: a device is there as long
//! as anything in the pool's files wants it.

use super::{
    devices::{Change, Found, Table},
    name::Name,
};
use crate::pool::store::Inode;
use std::collections::BTreeMap;

/// The devices that are wanted over one base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The base.
    pub base: Inode,
    /// Its origin, while a VM writes to it.
    pub origin: Option<Table>,
    /// Its versions that are used, by their stores.
    pub snapshots: BTreeMap<Inode, Table>,
}

/// A device that would have to go, and that somebody has open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open(pub Name);

/// Returns the changes that make what is found what is wanted, over this base alone.
///
/// # Errors
/// A device that would have to go is open: nothing is to be done then.
pub fn reconcile(wanted: &Wanted, found: &[Found]) -> Result<Vec<Change>, Open> {
    let origin = Name::Origin(wanted.base);
    let now = found.iter().find(|device| device.name == origin);
    let mut gone = Vec::new();
    let mut missing = wanted.snapshots.clone();
    for device in found {
        let Name::Snapshot { base, store } = device.name else { continue };
        if base != wanted.base {
            continue;
        }
        if device.is_live && missing.remove(&store).is_some() {
            continue;
        }
        gone.push(device);
    }
    let origin_goes = now.filter(|now| wanted.origin.is_none() || !now.is_live);
    if let Some(open) = gone.iter().copied().chain(origin_goes).find(|device| device.opened > 0) {
        return Err(Open(open.name));
    }
    let map = |(store, table): (Inode, Table)| {
        Change::Map(Name::Snapshot { base: wanted.base, store }, table)
    };
    let swap: Vec<Change> = gone
        .iter()
        .map(|device| Change::Remove(device.name))
        .chain(missing.into_iter().map(map))
        .collect();

    let mut changes = Vec::new();
    match (now.filter(|now| now.is_live), &wanted.origin) {
        (Some(now), Some(table)) => {
            let is_short = now.size < table.size();
            if (!swap.is_empty() || is_short) && !now.suspended {
                changes.push(Change::Suspend(origin));
            }
            let is_held = now.suspended || !changes.is_empty();
            changes.extend(swap);
            if is_short {
                changes.push(Change::Grow(origin, table.clone()));
            } else if is_held {
                changes.push(Change::Resume(origin));
            }
        }
        (_, table) => {
            // What writes goes before what keeps it from being seen, and comes after.
            changes.extend(now.map(|_| Change::Remove(origin)));
            changes.extend(swap);
            changes.extend(table.clone().map(|table| Change::Map(origin, table)));
        }
    }
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ebbtide_format::units::{Chunk, Sectors};

    const BASE: Inode = Inode { device: 1, number: 10 };

    fn store(number: u64) -> Inode {
        Inode { device: 1, number }
    }

    fn snapshot(number: u64) -> Name {
        Name::Snapshot { base: BASE, store: store(number) }
    }

    fn origin(size: u64) -> Table {
        Table::Origin { file: "/base".into(), size: Sectors(size) }
    }

    fn table(number: u64) -> Table {
        let store = format!("/{number}").into();
        Table::Snapshot { base: "/base".into(), store, size: Sectors(8), chunk: Chunk::MIN }
    }

    fn wanted(is_written: bool, stores: &[u64]) -> Wanted {
        let snapshots = stores.iter().map(|number| (store(*number), table(*number))).collect();
        Wanted { base: BASE, origin: is_written.then(|| origin(8)), snapshots }
    }

    fn found(name: Name) -> Found {
        Found { name, opened: 0, suspended: false, is_live: true, size: Sectors(8) }
    }

    fn map(number: u64) -> Change {
        Change::Map(snapshot(number), table(number))
    }

    const ORIGIN: Name = Name::Origin(BASE);

    #[test]
    fn versions_are_there_before_anything_writes_and_until_nothing_does() {
        let start = reconcile(&wanted(true, &[1, 2]), &[]).unwrap();
        assert_eq!(start, [map(1), map(2), Change::Map(ORIGIN, origin(8))]);
        let now = [snapshot(1), ORIGIN, snapshot(2)].map(found);
        assert_eq!(reconcile(&wanted(true, &[1, 2]), &now).unwrap(), []);
        let stop = reconcile(&wanted(false, &[2]), &now).unwrap();
        assert_eq!(stop, [Change::Remove(ORIGIN), Change::Remove(snapshot(1))]);
    }

    #[test]
    fn what_writes_is_held_back_while_versions_come_and_go() {
        let now = [snapshot(1), ORIGIN].map(found);
        let changes = reconcile(&wanted(true, &[2]), &now).unwrap();
        let between = [Change::Remove(snapshot(1)), map(2)];
        assert_eq!(changes[0], Change::Suspend(ORIGIN));
        assert_eq!(changes[1..3], between);
        assert_eq!(changes[3..], [Change::Resume(ORIGIN)]);
        // Who held it back was killed.
        let held = [found(snapshot(2)), Found { suspended: true, ..found(ORIGIN) }];
        assert_eq!(reconcile(&wanted(true, &[2]), &held).unwrap(), [Change::Resume(ORIGIN)]);
    }

    #[test]
    fn a_base_that_has_grown_has_a_longer_origin() {
        let wanted = Wanted { origin: Some(origin(16)), ..wanted(true, &[1]) };
        let now = [snapshot(1), ORIGIN].map(found);
        let changes = reconcile(&wanted, &now).unwrap();
        assert_eq!(changes, [Change::Suspend(ORIGIN), Change::Grow(ORIGIN, origin(16))]);
    }

    #[test]
    fn what_is_half_made_is_made_anew() {
        let half = |name| Found { is_live: false, suspended: true, ..found(name) };
        let now = [half(snapshot(1)), half(ORIGIN)];
        let changes = reconcile(&wanted(true, &[1]), &now).unwrap();
        let remove = [Change::Remove(ORIGIN), Change::Remove(snapshot(1))];
        assert_eq!(changes[..2], remove);
        assert_eq!(changes[2..], [map(1), Change::Map(ORIGIN, origin(8))]);
    }

    #[test]
    fn what_is_open_keeps_all_as_it_is() {
        let open = |name| Found { opened: 1, ..found(name) };
        let now = [found(snapshot(1)), open(ORIGIN)];
        assert_eq!(reconcile(&wanted(false, &[]), &now), Err(Open(ORIGIN)));
        let now = [open(snapshot(1)), found(ORIGIN)];
        assert_eq!(reconcile(&wanted(false, &[]), &now), Err(Open(snapshot(1))));
        // What stays may be open.
        assert_eq!(reconcile(&wanted(true, &[1]), &now), Ok(vec![]));
    }

    #[test]
    fn other_bases_are_not_touched() {
        let other = Inode { device: 1, number: 11 };
        let name = Name::Snapshot { base: other, store: store(1) };
        let now = [found(Name::Origin(other)), found(name), found(Name::Copy(store(3)))];
        assert_eq!(reconcile(&wanted(false, &[]), &now), Ok(vec![]));
    }
}
