//! A new store takes the place of the old one: what commit, revert, resize and discard have in common, and what becomes
//! of the old one.

use super::{
    chain::is_needed,
    seen::{BRIDGE, Head, Kept, Seen, What, cow_of},
};
use crate::{
    error::{Refusal, RefusalKind},
    pool::{
        driver::Volume,
        protocol::{self, prune},
        step::Step,
    },
    volume::{FileKind, Files, Retention, Revision},
};
use ebbtide_format::{
    exception_store::{Label, room_for_all},
    units::{Bytes, Chunk},
};
use jiff::Timestamp;

/// Returns the steps that make a new, empty store beside the old one: durable, and large enough that it cannot fill.
pub(super) fn make(
    files: &Files,
    cow: &protocol::Seen,
    purpose: &str,
    label: Label,
    chunk: Chunk,
) -> Vec<Step> {
    let path = files.cow().aside(purpose);
    let room = room_for_all(Bytes(label.device.0.saturating_add(511)).sectors(), chunk).bytes();
    let clear = cow.asides.contains(purpose).then(|| Step::Remove(path.clone()));
    let steps = [
        Step::WriteNew { path: path.clone(), content: label.new_store(chunk).to_vec() },
        Step::Grow { path: path.clone(), size: room },
        Step::SyncFile(path),
    ];
    clear.into_iter().chain(steps).collect()
}

/// Returns the step that puts it into place.
pub(super) fn place(files: &Files, purpose: &str) -> Step {
    Step::Rename { from: files.cow().aside(purpose), to: files.cow().clean() }
}

/// Returns what a store says that is made at `time` over a device of this size.
pub(super) fn label(device: Bytes, time: Timestamp, same_as: u64) -> Label {
    let nanoseconds = u32::try_from(time.subsec_nanosecond()).unwrap_or(0);
    Label { device, seconds: time.as_second(), nanoseconds, same_as }
}

/// What the current version is kept as when another one takes its place.
pub(super) struct Keep {
    /// `None`: it is not kept.
    pub(super) revision: Option<Revision>,
    /// Its other name, unless a cut has left it.
    pub(super) link: Option<Step>,
}

/// Decides what the current version is kept as.
///
/// # Errors
/// The last number is taken.
pub(super) fn keep(
    volume: &Volume,
    seen: &Seen,
    what: What,
    retention: &Retention,
    head: &Head,
) -> Result<Keep, Refusal> {
    let (files, of) = match what {
        What::Base => (volume.files.clone(), &seen.base),
        What::Delta => (volume.files.cow(), &seen.cow),
    };
    let kept = seen.kept(&volume.files);
    // Where none is to be kept, a pinned one may be made of this one all the same.
    if retention.keep == 0 && !kept.iter().any(|kept| retention.is_pinned(kept.revision)) {
        return Ok(Keep { revision: None, link: None });
    }
    if let Some(leftover) = of.leftover(retention) {
        return Ok(Keep { revision: Some(leftover), link: None });
    }
    let Some(number) = retention.next_number(kept.iter().map(|kept| kept.revision)) else {
        let text = format!("{} cannot keep one more version: the last number is taken", volume.id);
        return Err(Refusal::new(RefusalKind::Unable, text));
    };
    let second = Timestamp::from_second(head.time().as_second()).unwrap_or(Timestamp::UNIX_EPOCH);
    let revision = Revision { number: Some(number), time: second };
    let to = files.path(&FileKind::Revision(revision));
    Ok(Keep { revision: Some(revision), link: Some(Step::Link { from: files.clean(), to }) })
}

/// Returns the steps that take versions away that are too many, when the current version was kept as `added` and the new
/// one has the content of version `same_as`. One of which an older one is made stays under another name.
pub(super) fn prune(
    volume: &Volume,
    seen: &Seen,
    retention: &Retention,
    added: Option<(Revision, What)>,
    same_as: u64,
) -> Vec<Step> {
    let files = &volume.files;
    let mut all = seen.kept(files);
    if let Some((revision, what)) = added.filter(|(added, _)| seen.revision(*added).is_none()) {
        let files = if what == What::Base { files.clone() } else { files.cow() };
        let path = files.path(&FileKind::Revision(revision));
        all.push(Kept { revision, path, what, is_listed: true });
    }
    // Versions with the same content count once.
    let id = |revision: Revision| match (added, seen.head) {
        (Some((added, _)), Some(head)) if added == revision && head.label.same_as != 0 => {
            head.label.same_as
        }
        _ => seen.content(revision),
    };
    let listed: Vec<_> = all.iter().filter(|kept| kept.is_listed).collect();
    let counted: Vec<_> = listed.iter().map(|kept| (kept.revision, id(kept.revision))).collect();
    let excess = retention.excess(&counted, Some(same_as).filter(|same| *same != 0));
    let stays = |kept: &Kept| kept.is_listed && !excess.contains(&kept.revision);
    let goes = all.iter().filter(|kept| !stays(kept));
    let step = |kept: &Kept| {
        let of = if kept.what == What::Base { files.clone() } else { files.cow() };
        let bridge = of.aside(&format!("{BRIDGE}{}", kept.revision));
        let is_needed = is_needed(&all, kept, stays);
        let to = if is_needed { bridge } else { of.aside(&prune::name(kept.revision)) };
        (to != kept.path).then(|| Step::Rename { from: kept.path.clone(), to })
    };
    goes.filter_map(step).collect()
}

/// Returns the steps that free what was pruned before.
pub(super) fn free(volume: &Volume, seen: &Seen) -> Vec<Step> {
    let base = prune::plan(volume, &seen.base).steps;
    base.into_iter().chain(prune::plan(&cow_of(volume), &seen.cow).steps).collect()
}
