//! What snapshots say of each other: a tree, or what keeps it from being one.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};
use uuid::Uuid;

/// What one snapshot says of others.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    /// Its own UUID.
    pub(crate) uuid: Uuid,
    /// Whose it is, and whose its disks are: never its own, nor that of such a disk.
    pub(crate) is_of_itself: bool,
    /// The one before it.
    pub(crate) parent: Option<Uuid>,
}

impl From<&super::Snapshot> for Link {
    fn from(snapshot: &super::Snapshot) -> Self {
        let of_itself = |of: Option<Uuid>, uuid| of == Some(uuid);
        let mut disks = snapshot.disks.iter();
        Self {
            uuid: snapshot.uuid,
            is_of_itself: of_itself(snapshot.snapshot_of, snapshot.uuid)
                || disks.any(|disk| of_itself(disk.snapshot_of, disk.uuid)),
            parent: snapshot.parent,
        }
    }
}

/// Why a snapshot has no place in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It, or a disk of it, says that it is a snapshot of itself.
    OfItself,
    /// It is its own parent.
    OwnParent,
    /// Its parents lead back to it: the way.
    Cycle(Vec<Uuid>),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OfItself => f.write_str("says that it is a snapshot of itself"),
            Self::OwnParent => f.write_str("says that it is its own parent"),
            Self::Cycle(way) => {
                f.write_str("comes after itself in the end:")?;
                way.iter().try_for_each(|uuid| write!(f, " {uuid}"))
            }
        }
    }
}

/// Returns which snapshots have no place in a tree. Of a cycle that is each member, and nobody who comes after it.
pub(crate) fn faults(links: &[Link]) -> BTreeMap<Uuid, Fault> {
    let mut faults = BTreeMap::new();
    for link in links {
        if link.is_of_itself {
            faults.insert(link.uuid, Fault::OfItself);
        } else if link.parent == Some(link.uuid) {
            faults.insert(link.uuid, Fault::OwnParent);
        }
    }
    let parents: BTreeMap<Uuid, Uuid> =
        links.iter().filter_map(|link| Some((link.uuid, link.parent?))).collect();
    let mut done = BTreeSet::new();
    for link in links {
        let mut way = Vec::new();
        let mut places = BTreeMap::new();
        let mut at = link.uuid;
        // Each snapshot is on one way only, so all of this takes as long as there are snapshots.
        while done.insert(at) {
            places.insert(at, way.len());
            way.push(at);
            match parents.get(&at) {
                Some(parent) => at = *parent,
                None => break,
            }
        }
        // Of one that has no parent, and of its own parent, the way is one long.
        if let Some(place) = places.get(&at).filter(|place| way.len() - **place > 1) {
            for (turn, uuid) in way[*place..].iter().enumerate() {
                let ring = way[*place..].iter().cycle().skip(turn + 1);
                let ring = ring.take(way.len() - place).copied().collect();
                faults.entry(*uuid).or_insert(Fault::Cycle(ring));
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(uuid: u128, parent: u128) -> Link {
        let parent = (parent != 0).then(|| Uuid::from_u128(parent));
        Link { uuid: Uuid::from_u128(uuid), is_of_itself: false, parent }
    }

    #[test]
    fn only_members_of_a_cycle_have_no_place() {
        let uuids = |numbers: &[u128]| numbers.iter().map(|n| Uuid::from_u128(*n)).collect();
        // 1 ← 2; 3 → 4 → 5 → 3; 6 after 3; 7 its own; 8 after 7; 9 after one that is gone.
        let all = [(2, 1), (1, 0), (6, 3), (3, 4), (4, 5), (5, 3), (7, 7), (8, 7), (9, 99)];
        let mut links: Vec<_> = all.map(|(uuid, parent)| link(uuid, parent)).to_vec();
        links.push(Link { is_of_itself: true, ..link(10, 2) });
        let wanted = BTreeMap::from([
            (Uuid::from_u128(3), Fault::Cycle(uuids(&[4, 5, 3]))),
            (Uuid::from_u128(4), Fault::Cycle(uuids(&[5, 3, 4]))),
            (Uuid::from_u128(5), Fault::Cycle(uuids(&[3, 4, 5]))),
            (Uuid::from_u128(7), Fault::OwnParent),
            (Uuid::from_u128(10), Fault::OfItself),
        ]);
        for turn in 0..links.len() {
            links.rotate_left(1);
            assert_eq!(faults(&links), wanted, "{turn}");
        }
    }
}
