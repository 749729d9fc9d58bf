//! What a cut has left half done. Pure.
//!
//! What is being made has a name that says so, and goes. Two changes go on or are undone otherwise: an import whose base
//! is in place gets its store, and what a revert wrote or a discard drops is put back. Where the kernel gave up the store
//! that has it, nothing can be: what the base has is uncommitted then, and a commit or an import goes on from there.

use super::{
    plan::{Act, Plan},
    reading::is_copy,
    seen::{BRIDGE, Seen},
    stores,
    uses::REVERT,
    versions::Planner,
};
use crate::{
    error::Refusal,
    pool::{
        protocol::{import, prune, sync_dir},
        step::Step,
    },
    volume::FileKind,
};

/// Plans the recovery of a volume that nobody writes to; the outcome is a sentence for each thing that it does.
///
/// # Errors
/// What a revert wrote cannot be put back.
pub(super) fn plan(planner: &Planner<'_>) -> Result<Plan<Vec<String>>, Refusal> {
    let (volume, seen) = (planner.volume, planner.seen);
    let (files, id) = (&volume.files, &volume.id);
    let mut said = Vec::new();
    // Where nothing is to be put back, the change had not begun, or was done but for its name.
    let is_lost = seen.head.is_some_and(|head| head.is_lost);
    if seen.base.asides.contains(REVERT) && seen.is_written() && !is_lost {
        let mut plan = planner.discard(files.aside(REVERT))?.acts;
        said.push(format!(
            "what was written to {id} by a cut-off revert, or was being dropped, is gone"
        ));
        plan.extend(asides(seen, |purpose| purpose != REVERT && purpose != "discard").map(
            |(is_store, purpose)| {
                let files = if is_store { files.cow() } else { files.clone() };
                Act::File(Step::Remove(files.aside(purpose)))
            },
        ));
        return Ok(Plan { acts: plan, afterwards: stores::free(volume, seen), outcome: said });
    }
    let mut steps = Vec::new();
    if seen.base.asides.contains(REVERT) && is_lost {
        let (from, to) = (files.aside(REVERT), files.dirty());
        steps.extend([Step::Rename { from, to }, sync_dir(volume)]);
        said.push(format!(
            "the version of {id} that a cut-off revert was to put back is lost: what the base has is uncommitted now"
        ));
    }
    let is_imported = seen.is_half_imported();
    if is_imported {
        steps.push(stores::place(files, import::PURPOSE));
        said.push(format!("an import into {id} was finished"));
    }
    for (is_store, purpose) in asides(seen, |purpose| purpose != REVERT || !is_lost) {
        if is_imported && is_store && purpose == import::PURPOSE {
            continue;
        }
        let files = if is_store { files.cow() } else { files.clone() };
        steps.push(Step::Remove(files.aside(purpose)));
        said.push(format!("half a file of {id}, made for {purpose}, was removed"));
    }
    let leftovers = [(&seen.base, files.clone()), (&seen.cow, files.cow())];
    for (of, files) in leftovers.into_iter().filter(|_| volume.role.is_kept()) {
        let Some(revision) = of.leftover(&volume.retention) else { continue };
        steps.push(Step::Remove(files.path(&FileKind::Revision(revision))));
        said.push(format!(
            "a cut-off change of {id} was undone: {revision} is still its current version"
        ));
    }
    let mut acts = Vec::new();
    let size = seen.head.map(|head| head.label.device);
    if let Some(size) =
        size.filter(|_| seen.is_longer() && seen.base.dirty.is_none() && !is_imported && !is_lost)
    {
        acts.push(Act::Shorten { path: files.clean(), size });
        said.push(format!("a cut-off growth of {id} was undone: it has {size}"));
    }
    if !steps.is_empty() {
        steps.push(sync_dir(volume));
    }
    acts.extend(steps.into_iter().map(Act::File));
    Ok(Plan { acts, afterwards: stores::free(volume, seen), outcome: said })
}

/// Returns what was being made, and whether it is a store: stores first, for one of an import without its base says that
/// the base is in place.
fn asides(seen: &Seen, which: impl Fn(&str) -> bool) -> impl Iterator<Item = (bool, &str)> {
    let base = seen.base.asides.iter().map(|purpose| (false, purpose.as_str()));
    let cow = seen.cow.asides.iter().map(|purpose| (true, purpose.as_str()));
    let is_kept = |purpose: &str| {
        prune::is_pruned(purpose) || purpose.starts_with(BRIDGE) || is_copy(purpose)
    };
    cow.chain(base).filter(move |(_, purpose)| !is_kept(purpose) && which(purpose))
}
