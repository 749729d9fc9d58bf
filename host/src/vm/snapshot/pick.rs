//! Which snapshot is meant, and whose snapshots.

use super::{
    Snapshot,
    load::{Loaded, load},
};
use crate::{
    error::{Refusal, RefusalKind, Result},
    name::VmName,
    pool::Pool,
    vm::Vm,
};
use uuid::Uuid;

/// The fewest letters of a UUID that are taken for its beginning.
const SHORTEST: usize = 4;
/// How many of those that could be meant are named.
const NAMED: usize = 5;

/// Returns the snapshot that is meant by its UUID, the beginning of that, or its label.
///
/// # Errors
/// There is none, or more than one; it cannot be read.
pub fn find_snapshot(pool: &Pool, text: &str) -> Result<Snapshot> {
    let Loaded { found, mut refused } = load(pool)?;
    let lower = text.to_ascii_lowercase();
    if let Ok(uuid) = text.parse::<Uuid>() {
        if let Some(snapshot) = found.iter().find(|snapshot| snapshot.uuid == uuid) {
            return Ok(snapshot.clone());
        }
        let name = uuid.to_string();
        if let Some(place) = refused.iter().position(|(dir, _)| dir.ends_with(&name)) {
            return Err(refused.swap_remove(place).1);
        }
    }
    let is_beginning = |snapshot: &Snapshot| {
        text.len() >= SHORTEST && snapshot.uuid.to_string().starts_with(&lower)
    };
    let is_meant =
        |snapshot: &&Snapshot| snapshot.label.as_deref() == Some(text) || is_beginning(snapshot);
    let meant: Vec<&Snapshot> = found.iter().filter(is_meant).collect();
    match meant.as_slice() {
        [one] => Ok((*one).clone()),
        [] => Err(Refusal::new(RefusalKind::Missing, format!("there is no snapshot {text:?}"))
            .hint("'ebbtide snapshot list' shows what is there")
            .into()),
        many => Err(ambiguous(text, many).into()),
    }
}

fn ambiguous(text: &str, many: &[&Snapshot]) -> Refusal {
    let named =
        many.iter().take(NAMED).map(|snapshot| format!("{} of {}", snapshot.uuid, snapshot.vm));
    let mut named: Vec<String> = named.collect();
    if many.len() > NAMED {
        named.push(format!("{} more", many.len() - NAMED));
    }
    let text = format!("{text:?} may be each of {} snapshots: {}", many.len(), named.join(", "));
    Refusal::new(RefusalKind::Invalid, text).hint("give its UUID, or more of it")
}

/// Whose snapshots are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// A VM that is there.
    There(Box<Vm>),
    /// One that is gone: its name when the snapshots were taken, and its UUID where that is known.
    Gone {
        /// The name.
        name: VmName,
        /// The UUID.
        uuid: Option<Uuid>,
    },
}

impl Whose {
    /// Returns the VM's UUID, where that is known.
    #[must_use]
    pub fn uuid(&self) -> Option<Uuid> {
        match self {
            Self::There(vm) => Some(vm.record.uuid),
            Self::Gone { uuid, .. } => *uuid,
        }
    }

    /// Returns whether a snapshot is one of the VM.
    #[must_use]
    pub fn has(&self, snapshot: &Snapshot) -> bool {
        match self {
            Self::Gone { name, uuid: None } => {
                snapshot.snapshot_of.is_none() && snapshot.vm == *name
            }
            known => snapshot.snapshot_of == known.uuid(),
        }
    }
}

/// Returns whose snapshots are meant among `all`, by the name of a VM, or by the name or the UUID of one that is gone.
///
/// # Errors
/// There is no such VM and no snapshot of one; several that are gone had the name.
pub fn snapshots_of(pool: &Pool, all: &[Snapshot], name: &VmName) -> Result<Whose> {
    let missing = match pool.vm(name) {
        Ok(vm) => return Ok(Whose::There(Box::new(vm))),
        Err(error) => error,
    };
    let uuid: Option<Uuid> = name.as_str().parse().ok();
    let is_meant = |snapshot: &&Snapshot| {
        snapshot.vm == *name || (uuid.is_some() && snapshot.snapshot_of == uuid)
    };
    let mut gone: Vec<_> = all
        .iter()
        .filter(is_meant)
        .map(|snapshot| (snapshot.snapshot_of, snapshot.vm.clone()))
        .collect();
    gone.sort();
    gone.dedup_by_key(|(uuid, _)| *uuid);
    match gone.as_slice() {
        [] => Err(missing),
        [(uuid, name)] => Ok(Whose::Gone { name: name.clone(), uuid: *uuid }),
        many => {
            let known: Vec<_> =
                many.iter().filter_map(|(uuid, _)| Some((*uuid)?.to_string())).collect();
            let text = format!("{} VMs that are gone were named {name}", many.len());
            Err(Refusal::new(RefusalKind::Invalid, text)
                .hint(format!("give the UUID of the one that is meant: {}", known.join(", ")))
                .into())
        }
    }
}
