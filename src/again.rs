//! What is left to do where an earlier run has been.
//!
//! In: a mapped root of that name, as observed. Out: nothing to do, the rest of a run that was cut, or a
//! run from the start; or a refusal, when the device is not ours.

use crate::{
    discover,
    division::SWAP_INDEX,
    encrypted::Encrypted,
    observed::{Link, Mapped, Observed, Partition, Usage},
    options::Options,
    plan::{Outcome, Plan, UUID_PREFIX, occupy, unmapped},
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

/// Nothing of an earlier run is in operation: begin again, with what one that was cut may have left
/// out of the way. That is a root that never started, and encrypted parts that nobody uses.
pub(crate) fn from_the_start(
    unstarted: Option<&Mapped>,
    options: &Options,
    observed: &Observed,
) -> Result<Plan, Refusal> {
    let mut rest = observed.clone();
    let mut removals = vec![];
    if let Some(mapped) = unstarted {
        check_ours(mapped)?;
        removals.push(Step::RemoveUnstarted);
        take_out(&mut rest, mapped);
    }
    let mut parts = vec![];
    for part in Encrypted::ALL {
        if let Some(mapped) = part.left_in(&rest).filter(|m| m.usage.is_none()).cloned() {
            parts.push(Step::RemoveEncrypted { part });
            take_out(&mut rest, &mapped);
        }
    }
    let mut plan = unmapped(options, &rest)?;
    // Where the disk is not divided anew they are in nobody's way, or an earlier run's that has finished.
    if plan.steps.iter().any(|step| matches!(step, Step::Claim { .. })) {
        removals.extend(parts);
    }
    if plan.optional > 0 {
        plan.optional += removals.len();
    }
    plan.steps.splice(0..0, removals);
    if let Outcome::Already { device } = &plan.outcome
        && unstarted.is_some()
    {
        plan.outcome = Outcome::Direct { root: device.clone() };
    }
    Ok(plan)
}

/// Takes a mapped device out of what was seen, as if it had been removed.
fn take_out(observed: &mut Observed, gone: &Mapped) {
    observed.mapped.retain(|m| m != gone);
    let held = Some(Usage::HeldBy(gone.device.clone()));
    let mapped = observed.mapped.iter_mut().map(|m| &mut m.usage);
    let disks = observed
        .disks
        .iter_mut()
        .flat_map(|disk| disk.partitions.iter_mut().map(|p| &mut p.usage).chain([&mut disk.usage]));
    mapped.chain(disks).filter(|usage| **usage == held).for_each(|usage| *usage = None);
}

fn check_ours(mapped: &Mapped) -> Result<(), Refusal> {
    if mapped.uuid.starts_with(UUID_PREFIX) {
        return Ok(());
    }
    Err(Refusal::mapped_by_other(mapped))
}

/// Ours from an earlier run: nothing to do, unless that run was cut before its last steps.
pub(crate) fn already_mapped(
    mapped: &Mapped,
    options: &Options,
    observed: &Observed,
) -> Result<Plan, Refusal> {
    check_ours(mapped)?;
    if let Some(Link::To(device)) = &observed.link
        && *device != mapped.device
    {
        let (found, wanted) = (format!("a link to {device}"), mapped.device.clone());
        return Err(Refusal::LinkTaken { found, wanted });
    }
    let device = mapped.device.clone();
    let mut notes = vec![];
    if options.encrypt && Encrypted::Store.left_in(observed).is_none() {
        notes.push(
            "the store is not encrypted: the earlier run was without encrypt=yes".to_string(),
        );
    }
    // A link that is none is the node that libdevmapper makes where there is no udev.
    if observed.link.is_some() && (observed.ready || mapped.usage.is_some()) {
        return Ok(Plan {
            outcome: Outcome::Already { device },
            notes,
            steps: vec![],
            optional: 0,
        });
    }
    let steps = rest_of_a_cut_run(mapped, options, observed);
    Ok(Plan { outcome: Outcome::Rest { device }, notes, steps, optional: 0 })
}

/// Everything that follows the mapping. The swap header was written before it. A root that is mounted
/// is not rewritten: its file system may be writing the same blocks.
fn rest_of_a_cut_run(mapped: &Mapped, options: &Options, observed: &Observed) -> Vec<Step> {
    let mut steps = vec![];
    if mapped.usage.is_none() && !observed.ready {
        let root = discover::find(Role::Root, options, observed).ok();
        steps.extend(root.and_then(|root| occupy(root, options)));
        steps.extend(idle_swap(options, observed).map(|device| Step::SwapOn { device }));
    }
    steps.extend([Step::Link { target: Target::Mapped }, Step::Mark(Marker::Ready)]);
    steps
}

/// Returns the swap area that the earlier run has made and nobody uses.
fn idle_swap(options: &Options, observed: &Observed) -> Option<String> {
    if let Some(mapped) = Encrypted::Swap.left_in(observed) {
        return (mapped.started && mapped.usage.is_none()).then(|| Encrypted::Swap.device());
    }
    let volatile = discover::find(Role::Volatile, options, observed).ok()?;
    let free = |p: &&Partition| p.index == SWAP_INDEX && p.usage.is_none();
    let partition = volatile.disk.partitions.iter().find(free)?;
    (!options.encrypt).then(|| partition.name.clone())
}
