//! A volume is made ready for an engine.

use super::{Plan, Seen, clear, no_version, sync_dir};
use crate::{
    error::{Refusal, RefusalKind},
    pool::{
        driver::{Access, Volume},
        step::Step,
    },
    volume::Role,
};
use ebbtide_format::units::Bytes;
use std::{path::PathBuf, time::SystemTime};

/// What an engine attaches, relative to the pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attach {
    /// The image.
    pub path: PathBuf,
    /// Whether the guest gets it read-only.
    pub read_only: bool,
    /// Its size.
    pub size: Bytes,
}

/// Plans a start. `marker` is the time that tells, in this boot of the machine, that nothing was written yet.
///
/// What is not kept needs no flush: after a power cut it begins anew.
///
/// # Errors
/// There is no version to start on.
pub fn plan(
    volume: &Volume,
    seen: &Seen,
    access: Access,
    marker: Option<SystemTime>,
) -> Result<Plan<Attach>, Refusal> {
    match &volume.role {
        Role::Volatile => Ok(empty(volume, seen)),
        Role::Snapshot { .. } => snapshot(volume, seen, access),
        Role::Origin | Role::OriginSnapshot { .. } => kept(volume, seen, marker),
    }
}

pub(in crate::pool) fn empty(volume: &Volume, seen: &Seen) -> Plan<Attach> {
    let (path, size) = (volume.files.dirty(), volume.size);
    let mut steps = Vec::new();
    steps.extend(seen.dirty.map(|_| Step::Remove(path.clone())));
    steps.push(Step::MakeImage { path: path.clone(), size });
    Plan::new(steps, Attach { path, read_only: false, size })
}

/// A second name of the source's current version, and a copy of it for guests that write to it.
fn snapshot(volume: &Volume, seen: &Seen, access: Access) -> Result<Plan<Attach>, Refusal> {
    let (clean, dirty) = (volume.files.clean(), volume.files.dirty());
    let source = seen.source.ok_or_else(|| no_source(volume))?;
    let from = volume.source.as_ref().ok_or_else(|| no_source(volume))?.clean();
    let mut steps = Vec::new();
    steps.extend(seen.dirty.map(|_| Step::Remove(dirty.clone())));
    match seen.clean {
        Some(linked) if linked.inode == source.inode => {}
        linked => {
            steps.extend(linked.map(|_| Step::Remove(clean.clone())));
            steps.push(Step::Link { from, to: clean.clone() });
        }
    }
    let size = source.size;
    let attach = match access {
        Access::Shared => Attach { path: clean, read_only: true, size },
        Access::Copy => {
            steps.push(Step::CloneImage { from: clean, to: dirty.clone() });
            Attach { path: dirty, read_only: false, size }
        }
    };
    Ok(Plan::new(steps, attach))
}

/// The next dirty image, or a clone; what was written and never committed goes on.
///
/// The guest's own flushes reach the content and not the name, so the name is durable before the guest runs; and what
/// has the name is durable before it, or a power cut would leave a dirty image with less than the clean one has.
fn kept(volume: &Volume, seen: &Seen, marker: Option<SystemTime>) -> Result<Plan<Attach>, Refusal> {
    let path = volume.files.dirty();
    let attach = |size| Attach { path: path.clone(), read_only: false, size };
    if let Some(dirty) = seen.dirty {
        return Ok(Plan::new(vec![sync_dir(volume)], attach(dirty.size)));
    }
    let mut steps = Vec::new();
    let (clean, from, first) = match (seen.clean, seen.source, &volume.source) {
        (Some(clean), ..) => (clean, volume.files.clean(), None),
        (None, Some(source), Some(files)) => {
            // From now on it is its own, also when nothing is written: a cut right after it is a start and a stop.
            let link = Step::Link { from: files.clean(), to: volume.files.clean() };
            (source, files.clean(), Some(link))
        }
        (None, None, Some(_)) => return Err(no_source(volume)),
        (None, _, None) => return Err(no_version(volume)),
    };
    // A marker before the name: an unmarked dirty image counts as written.
    let mark = |path: &PathBuf| marker.map(|time| Step::SetModified { path: path.clone(), time });
    let precache = volume.files.precache();
    if seen.precache_is_current() && !seen.precaching {
        steps.extend(mark(&precache));
        steps.push(Step::Rename { from: precache, to: path.clone() });
    } else {
        if seen.precache.is_some() && !seen.precaching {
            steps.push(Step::Remove(precache));
        }
        steps.extend(clear(volume, seen, "start"));
        let aside = volume.files.aside("start");
        steps.push(Step::CloneImage { from, to: aside.clone() });
        steps.extend(mark(&aside));
        steps.push(Step::SyncFile(aside.clone()));
        steps.extend(first);
        steps.push(Step::Rename { from: aside, to: path.clone() });
    }
    steps.push(sync_dir(volume));
    Ok(Plan::new(steps, attach(clean.size)))
}

pub(in crate::pool) fn no_source(volume: &Volume) -> Refusal {
    let of = volume.role.source().map_or_else(|| "its source".into(), ToString::to_string);
    let text = format!("{} cannot start: {of} has no current version", volume.id);
    Refusal::new(RefusalKind::Missing, text)
}
