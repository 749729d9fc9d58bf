//! What is left to do where an earlier run has been.
//!
//! In: a mapped root of that name, as observed. Out: nothing to do, the rest of a run that was cut, or a
//! run from the start; or a refusal, when the device is not ours.

use crate::{
    discover,
    division::SWAP_INDEX,
    observed::{Link, Mapped, Observed, Partition, Usage},
    options::Options,
    plan::{Outcome, Plan, UUID_PREFIX, occupy, unmapped},
    refusal::Refusal,
    role::Role,
    step::{Marker, Step, Target},
};
use alloc::{format, vec, vec::Vec};

/// An earlier run was cut before its device started: begin again, with that device out of the way.
pub(crate) fn over_unstarted(
    mapped: &Mapped,
    options: &Options,
    observed: &Observed,
) -> Result<Plan, Refusal> {
    check_ours(mapped)?;
    let mut rest = observed.clone();
    rest.mapped.retain(|m| m != mapped);
    let held = Some(Usage::HeldBy(mapped.device.clone()));
    for disk in &mut rest.disks {
        let parts = disk.partitions.iter_mut().map(|p| &mut p.usage);
        parts.chain([&mut disk.usage]).filter(|usage| **usage == held).for_each(|u| *u = None);
    }
    let mut plan = unmapped(options, &rest)?;
    plan.steps.insert(0, Step::RemoveUnstarted);
    plan.optional += usize::from(plan.optional > 0);
    if let Outcome::Already { device } = plan.outcome {
        plan.outcome = Outcome::Direct { root: device };
    }
    Ok(plan)
}

fn check_ours(mapped: &Mapped) -> Result<(), Refusal> {
    if mapped.uuid.starts_with(UUID_PREFIX) {
        return Ok(());
    }
    let (uuid, device) = (mapped.uuid.clone(), mapped.device.clone());
    Err(Refusal::MappedByOther { uuid, device })
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
    // A link that is none is the node that libdevmapper makes where there is no udev.
    if observed.link.is_some() && (observed.ready || mapped.usage.is_some()) {
        return Ok(Plan {
            outcome: Outcome::Already { device },
            notes: vec![],
            steps: vec![],
            optional: 0,
        });
    }
    let steps = rest_of_a_cut_run(mapped, options, observed);
    Ok(Plan { outcome: Outcome::Rest { device }, notes: vec![], steps, optional: 0 })
}

/// Everything that follows the mapping. The swap header was written before it. A root that is mounted
/// is not rewritten: its file system may be writing the same blocks.
fn rest_of_a_cut_run(mapped: &Mapped, options: &Options, observed: &Observed) -> Vec<Step> {
    let mut steps = vec![];
    if mapped.usage.is_none() && !observed.ready {
        let root = discover::find(Role::Root, options, observed).ok();
        steps.extend(root.and_then(|root| occupy(root, options)));
        let swap = discover::find(Role::Volatile, options, observed).ok().and_then(|volatile| {
            let free = |p: &&Partition| p.index == SWAP_INDEX && p.usage.is_none();
            volatile.disk.partitions.iter().find(free)
        });
        steps.extend(swap.map(|partition| Step::SwapOn { device: partition.name.clone() }));
    }
    steps.extend([Step::Link { target: Target::Mapped }, Step::Mark(Marker::Ready)]);
    steps
}
