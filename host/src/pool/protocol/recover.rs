//! What a cut has left half done is undone.
//!
//! Everything that is not in place has a name that says so, and goes. What is in place is whole. What a VM wrote, a
//! revision that only the next commit would prune, and exports, stay.

use super::{Plan, Seen, precache, prune, sync_dir};
use crate::{
    pool::{driver::Volume, step::Step},
    volume::FileKind,
};

/// Plans the recovery; the outcome is a sentence for each thing that it does.
#[must_use]
pub fn plan(volume: &Volume, seen: &Seen) -> Plan<Vec<String>> {
    let (files, id) = (&volume.files, &volume.id);
    let mut steps = Vec::new();
    let mut said = Vec::new();
    let asides = seen.asides.iter().filter(|what| !(seen.precaching && *what == precache::PURPOSE));
    for purpose in asides.filter(|what| !prune::is_pruned(what)) {
        steps.push(Step::Remove(files.aside(purpose)));
        said.push(format!("half a file of {id}, made for {purpose}, was removed"));
    }
    if let Some(revision) = seen.leftover(&volume.retention).filter(|_| volume.role.is_kept()) {
        steps.push(Step::Remove(files.path(&FileKind::Revision(revision))));
        said.push(format!(
            "a cut-off change of {id} was undone: {revision} is still its current version"
        ));
    }
    if seen.precache.is_some() && !seen.precache_is_current() && !seen.precaching {
        steps.push(Step::Remove(files.precache()));
        said.push(format!("the next image of {id}, not of its current version, was removed"));
    }
    if !steps.is_empty() {
        steps.push(sync_dir(volume));
    }
    // That they go was said when they were pruned.
    let pruned = if seen.precaching { Vec::new() } else { prune::plan(volume, seen).steps };
    Plan { steps, afterwards: pruned, outcome: said }
}
