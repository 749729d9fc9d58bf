//! A volume becomes larger.

use super::{Plan, Seen, clear, no_version, only_kept, sync_dir};
use crate::{
    error::{Refusal, RefusalKind},
    pool::{driver::Volume, step::Step},
    volume::FileKind,
};
use ebbtide_format::units::Bytes;

/// Plans to make a volume as large as `size`: what a VM writes or wrote, where there is that; else a new version with
/// the same content, for which the old one is not kept.
///
/// # Errors
/// It is larger; it is not its own.
pub fn plan(volume: &Volume, seen: &Seen, size: Bytes) -> Result<Plan<()>, Refusal> {
    only_kept(volume, "resized")?;
    let current = seen.dirty.or(seen.clean).ok_or_else(|| match volume.role.source() {
        Some(of) => Refusal::new(
            RefusalKind::Missing,
            format!(
                "{} cannot be resized before its first start: it is {of}'s until then",
                volume.id
            ),
        ),
        None => no_version(volume),
    })?;
    only_larger(volume, current.size, size)?;
    if let Some(dirty) = seen.dirty {
        Ok(Plan::new(grow(volume, dirty.size, size), ()))
    } else if size == current.size {
        Ok(Plan::new(vec![sync_dir(volume)], ()))
    } else {
        Ok(Plan::new(version(volume, seen, size), ()))
    }
}

/// Plans the same for a VM that runs.
///
/// # Errors
/// It is larger; it is not its own; it is not started.
pub fn running(volume: &Volume, seen: &Seen, size: Bytes) -> Result<Plan<()>, Refusal> {
    only_kept(volume, "resized")?;
    let path = volume.files.dirty();
    let Some(dirty) = seen.dirty else {
        let text = format!("{} is not started: {} is not there", volume.id, path.display());
        return Err(Refusal::new(RefusalKind::Missing, text));
    };
    only_larger(volume, dirty.size, size)?;
    Ok(Plan::new(grow(volume, dirty.size, size), ()))
}

pub(in crate::pool) fn only_larger(
    volume: &Volume,
    found: Bytes,
    wanted: Bytes,
) -> Result<(), Refusal> {
    if wanted >= found {
        return Ok(());
    }
    let text = format!(
        "{} cannot shrink to {wanted}: it has {found}, and what is behind would be lost",
        volume.id
    );
    Err(Refusal::new(RefusalKind::Rule, text))
}

/// The guest may rely on the new size as soon as it is told, and so it is durable before. A repeat syncs what a cut one
/// has grown.
fn grow(volume: &Volume, found: Bytes, size: Bytes) -> Vec<Step> {
    let path = volume.files.dirty();
    let grow = (size > found).then(|| Step::Grow { path: path.clone(), size });
    grow.into_iter().chain([Step::SyncFile(path)]).collect()
}

fn version(volume: &Volume, seen: &Seen, size: Bytes) -> Vec<Step> {
    let files = &volume.files;
    let aside = files.aside("resize");
    let mut steps: Vec<Step> = clear(volume, seen, "resize").into_iter().collect();
    // With another version as the current one, nobody could tell that this name is a leftover.
    steps.extend(
        seen.leftover(&volume.retention)
            .map(|revision| Step::Remove(files.path(&FileKind::Revision(revision)))),
    );
    steps.extend(seen.precache.map(|_| Step::Remove(files.precache())));
    steps.push(Step::CloneImage { from: files.clean(), to: aside.clone() });
    steps.push(Step::Grow { path: aside.clone(), size });
    if let Some(clean) = seen.clean {
        steps.push(Step::SetModified { path: aside.clone(), time: clean.modified });
    }
    steps.push(Step::SyncFile(aside.clone()));
    steps.push(Step::Rename { from: aside, to: files.clean() });
    steps.push(sync_dir(volume));
    steps
}
