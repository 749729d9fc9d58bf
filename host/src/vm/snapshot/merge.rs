//! What of a VM's record a revert takes from the snapshot.

use crate::{
    error::{Error, Result},
    vm::{Record, record::FILE},
};
use ebbtide_format::units::Bytes;
use toml::Table;

/// The fields of `vm.toml` that stay as they are: who the VM is, what it is among others, and which versions it keeps.
/// All others become those of the snapshot. `parent` becomes the snapshot.
pub const NEVER_REVERTED: &[&str] = &[
    "format",
    "uuid",
    "kind",
    "created",
    "base",
    "flags",
    "versioned",
    "ahead",
    "pins",
    "keep",
    "parent",
];

/// Returns the record of a VM that is reverted: `then` is the snapshot's. Disks that the VM has by now and had not then
/// stay its own.
pub(super) fn merge(now: &Record, then: &Record) -> Result<Record> {
    let mut merged = table(then)?;
    let current = table(now)?;
    let mut stay: Vec<&str> = NEVER_REVERTED.to_vec();
    if then.private.size == Bytes(0) {
        stay.push("private");
    }
    if now.root.own && !then.root.own {
        stay.push("root");
    }
    for field in stay {
        match current.get(field) {
            Some(value) => merged.insert(field.into(), value.clone()),
            None => merged.remove(field),
        };
    }
    merged.try_into().map_err(|error: toml::de::Error| unreadable(error.message().to_owned()))
}

fn table(record: &Record) -> Result<Table> {
    Table::try_from(record).map_err(|error| unreadable(error.to_string()))
}

fn unreadable(problem: String) -> Error {
    Error::Unreadable { path: FILE.into(), problem }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vm::{
        Kind,
        record::{Ahead, Flags, Hot, Network, RootCow, Versioned},
    };
    use std::collections::{BTreeMap, BTreeSet};
    use uuid::Uuid;

    /// Two records that differ in every field but the format.
    fn records() -> [Record; 2] {
        let mut now = Record::new(Kind::AppVm, Some("debian".parse().unwrap()));
        now.engine.cpus = 4;
        let mut then = Record::new(Kind::Template, Some("fedora".parse().unwrap()));
        then.base = Some("old".parse().unwrap());
        then.parent = Some(Uuid::from_u128(1));
        then.flags = Flags { immutable: true, ..Flags::default() };
        then.versioned = Some(Versioned::default());
        then.ahead = Ahead { hot: Some(Hot::Agent), ready: 2 };
        then.keep = Some(9);
        then.root.cow = RootCow::Host;
        then.private.size = Bytes::mib(1);
        then.volatile.swap = Bytes::mib(7);
        then.pins = BTreeMap::from([("root".into(), BTreeMap::from([("a".into(), 1)]))]);
        then.engine.network = Network::User;
        [now, then]
    }

    #[test]
    fn each_field_is_the_snapshots_or_in_the_list() {
        let [now, then] = records();
        for (now, then) in [(&now, &then), (&then, &now)] {
            let merged = table(&merge(now, then).unwrap()).unwrap();
            let (now, then) = (table(now).unwrap(), table(then).unwrap());
            let all: BTreeSet<&String> = now.keys().chain(then.keys()).collect();
            assert!(NEVER_REVERTED.iter().all(|field| all.contains(&field.to_string())));
            for field in all {
                let is_left = NEVER_REVERTED.contains(&field.as_str());
                assert!(field == "format" || now.get(field) != then.get(field), "{field}");
                let from = if is_left { &now } else { &then };
                assert_eq!(merged.get(field), from.get(field), "{field}");
            }
        }
    }

    #[test]
    fn disks_added_since_stay() {
        let [mut now, mut then] = records();
        then.private.size = Bytes(0);
        then.root.own = false;
        now.root.own = true;
        let merged = merge(&now, &then).unwrap();
        assert_eq!((merged.private, merged.root), (now.private, now.root));
        assert_eq!(merged.engine, then.engine);
        // And those that are gone since come again.
        assert_eq!(merge(&then, &now).unwrap().private, now.private);
    }
}
