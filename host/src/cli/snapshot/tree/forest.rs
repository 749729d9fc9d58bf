//! Snapshots and the VM as they come after each other: the lines of a drawing, from top to bottom.

use crate::cli::human;
use ebbtide::vm::{Snapshot, Whose};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// A drawing: the VM, and below it what began without a snapshot, each with all that came after it.
#[derive(Debug)]
pub(super) struct Forest {
    /// What is drawn above all.
    pub(super) title: String,
    /// From top to bottom, each below what it came after.
    pub(super) nodes: Vec<Node>,
}

/// A line of the drawing.
#[derive(Debug)]
pub(super) struct Node {
    /// What it is.
    pub(super) what: What,
    /// The line of what it came after.
    pub(super) parent: Option<usize>,
    /// How many it came after.
    pub(super) depth: usize,
    /// Whether it is the last one of those that came after the same.
    pub(super) is_last: bool,
}

/// What is drawn in a line.
#[derive(Debug)]
pub(super) enum What {
    /// A snapshot.
    Snapshot {
        /// Its UUID.
        uuid: Uuid,
        /// When it was taken.
        time: String,
        /// Its label, whether it has memory, and whose it is if not the VM's.
        says: Vec<String>,
    },
    /// The VM as it is.
    Now,
}

impl Forest {
    /// Orders snapshots of a VM, and those of others that they and the VM began with. Each is met once.
    pub(super) fn new(all: &[Snapshot], whose: &Whose) -> Self {
        let known: BTreeMap<Uuid, &Snapshot> = all.iter().map(|one| (one.uuid, one)).collect();
        let now = match whose {
            Whose::There(vm) => Some(vm.record.parent),
            Whose::Gone { .. } => None,
        };
        let own = all.iter().filter(|one| whose.has(one)).map(|one| one.uuid);
        let mut drawn: BTreeSet<Uuid> = BTreeSet::new();
        for mut at in own.chain(now.flatten()).map(Some) {
            while let Some(one) = at.and_then(|uuid| known.get(&uuid)) {
                at = if drawn.insert(one.uuid) { one.parent } else { None };
            }
        }
        let is_drawn = |uuid: &Uuid| drawn.contains(uuid);
        // Oldest first, as they are, and the VM after them.
        let mut below: BTreeMap<Option<Uuid>, Vec<Option<&Snapshot>>> = BTreeMap::new();
        for one in all.iter().filter(|one| drawn.contains(&one.uuid)) {
            below.entry(one.parent.filter(is_drawn)).or_default().push(Some(one));
        }
        if let Some(parent) = now {
            below.entry(parent.filter(is_drawn)).or_default().push(None);
        }
        let title = match whose {
            Whose::There(vm) => vm.name.to_string(),
            Whose::Gone { name, .. } => format!("{name}, which is gone"),
        };
        Self { title, nodes: lines(&mut below, whose) }
    }
}

/// Puts each below what it came after, without a call for each: there may be a thousand one after the other.
fn lines(below: &mut BTreeMap<Option<Uuid>, Vec<Option<&Snapshot>>>, whose: &Whose) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    let mut left = Vec::new();
    let mut after = |uuid: Option<Uuid>, parent: Option<usize>, left: &mut Vec<_>| {
        let children = below.remove(&uuid).unwrap_or_default();
        let children = children.into_iter().rev().enumerate();
        left.extend(children.map(|(place, child)| (child, parent, place == 0)));
    };
    after(None, None, &mut left);
    while let Some((snapshot, parent, is_last)) = left.pop() {
        let line = nodes.len();
        if let Some(snapshot) = snapshot {
            after(Some(snapshot.uuid), Some(line), &mut left);
        }
        nodes.push(Node {
            what: snapshot.map_or(What::Now, |snapshot| describe(snapshot, whose)),
            parent,
            depth: parent.and_then(|parent| nodes.get(parent)).map_or(0, |parent| parent.depth + 1),
            is_last,
        });
    }
    nodes
}

fn describe(snapshot: &Snapshot, whose: &Whose) -> What {
    let mut says: Vec<String> = snapshot.label.iter().cloned().collect();
    if snapshot.memory.is_some() {
        says.push("with memory".into());
    }
    if !whose.has(snapshot) {
        says.push(format!("of {}", snapshot.vm));
    }
    What::Snapshot { uuid: snapshot.uuid, time: human::time(snapshot.time), says }
}
