//! What is there before a merge.

use super::{
    Options,
    decide::{self, Before, Seen, Touched},
    refuse::About,
    times,
};
use crate::{
    Error, Refusal, Result,
    cow::{
        Backing, Cow, Disk, Kind,
        backing::{Mismatch, identity},
        marker::{self, Earlier, Identity, Marker, Since, State},
        others::{Other, others},
    },
    error::RefusalKind,
};
use jiff::Timestamp;
use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// What was seen, and what it was made of.
#[derive(Debug)]
pub(super) struct Observed {
    pub(super) seen: Seen,
    /// Where the marker is, or will be.
    pub(super) file: PathBuf,
    /// The time of modification that the backing has in the end, if it is one to know it by.
    pub(super) time: Option<Timestamp>,
    /// Other COW files of the backing.
    pub(super) others: Vec<Other>,
    /// How many names the backing has.
    pub(super) names: u64,
    /// The COW file whose merge came after the last write to this one, or after its merge.
    pub(super) over: Option<PathBuf>,
    found: Option<Marker>,
    cow: Identity,
    backing: Identity,
    mismatch: Option<Refusal>,
    overtaken: Option<Refusal>,
}

/// Opens the backing of a COW file to write to it, and nowhere else.
///
/// # Errors
/// As [`Backing::open`]; it has another size; it cannot be written to.
pub(super) fn backing(cow: &Cow, given: Option<&Path>) -> Result<Backing> {
    let found = Backing::open(cow, given)?;
    if let Some(mismatch @ Mismatch::Size { .. }) =
        cow.recorded().and_then(|recorded| found.mismatch(&recorded))
    {
        return Err(found.refusal(cow, mismatch).into());
    }
    let (path, node) = (found.disk.path.clone(), found.disk.node);
    // A second opening of ours would look like somebody else's.
    drop(found);
    let disk = Disk::open_to_write(&path)?;
    if disk.node != node {
        let text = format!("{} was replaced just now", path.display());
        return Err(Refusal::new(RefusalKind::Busy, text).into());
    }
    Ok(Backing { disk })
}

/// Looks at everything that decides what is done.
///
/// # Errors
/// The marker is broken, or nothing says where it is to be; a directory cannot be read.
pub(super) fn observe(cow: &Cow, backing: &Backing, options: &Options<'_>) -> Result<Observed> {
    let disk = &backing.disk;
    let file = marker::beside(&cow.disk, disk, options.marker)?;
    let found = marker::read(&file)?;
    let elsewhere = elsewhere(cow, backing, &file, options)?;
    let (cow_now, backing_now) = (identity(&cow.disk)?, identity(disk)?);
    let others = others(disk, &cow.disk, options.search)?;
    let names = names(disk)?;
    let recorded = cow.recorded();
    let mismatch = recorded.as_ref().and_then(|recorded| backing.mismatch(recorded));
    let fits = match (&recorded, &mismatch) {
        (None, _) => decide::Backing::Unrecorded,
        (Some(_), None) => decide::Backing::Fits,
        (Some(_), Some(_)) => decide::Backing::Differs,
    };
    let (mut overtaken, mut gone_over) = (None, None);
    let own = found.as_ref().map(|found| (&file, found));
    for (file, marker) in
        own.into_iter().chain(elsewhere.iter().map(|(file, marker)| (file, marker)))
    {
        overtaken = overtaken.or(backing.overtaken(cow, file, marker)?);
        gone_over = gone_over.or_else(|| over(marker, &cow_now, &backing_now));
    }
    let seen = Seen {
        before: before(found.as_ref(), &cow_now, &backing_now),
        backing: fits,
        is_overtaken: overtaken.is_some(),
        has_others: !others.is_empty(),
        has_names: names > 1,
        force: options.force,
    };
    let time = time(found.as_ref(), &backing_now, recorded.map(|recorded| recorded.modified));
    let mismatch = mismatch.map(|mismatch| backing.refusal(cow, mismatch));
    Ok(Observed {
        seen,
        file,
        time,
        others,
        found,
        cow: cow_now,
        backing: backing_now,
        names,
        mismatch,
        overtaken,
        over: gone_over,
    })
}

/// Returns the COW file whose merge is in the backing and came after what this one holds.
fn over(found: &Marker, cow: &Identity, backing: &Identity) -> Option<PathBuf> {
    let overtook = found.overtook(cow, backing).map(|(path, _)| path.to_path_buf());
    overtook.or_else(|| earlier(found, cow).map(|_| found.cow.path.clone()))
}

/// Returns markers of merges of other COW files into a device, of which any may be the last one.
///
/// # Errors
/// One of them is unfinished; a directory cannot be read.
fn elsewhere(
    cow: &Cow,
    backing: &Backing,
    own: &Path,
    options: &Options<'_>,
) -> Result<Vec<(PathBuf, Marker)>> {
    let mut dirs = options.search.to_vec();
    dirs.extend(own.parent().map(Path::to_path_buf));
    let mut found = backing.elsewhere(cow, &dirs)?;
    let own = fs::canonicalize(own).ok();
    found.retain(|(file, _)| own.is_none() || fs::canonicalize(file).ok() != own);
    match found.iter().find(|(_, marker)| marker.is_unfinished()) {
        Some((file, marker)) => Err(marker.unfinished(file).into()),
        None => Ok(found),
    }
}

/// Returns how many names a file has.
fn names(disk: &Disk) -> Result<u64> {
    if disk.kind == Kind::Device {
        return Ok(1);
    }
    let found = disk.file.metadata();
    Ok(found.map_err(Error::doing(format!("look at {}", disk.path.display())))?.nlink())
}

/// Returns what a marker says of a COW file and a backing as they are now.
fn before(found: Option<&Marker>, cow: &Identity, backing: &Identity) -> Before {
    let Some(found) = found else { return Before::Nothing };
    let of_cow = found.cow.since(cow);
    match &found.state {
        State::Merging => {
            Before::Unfinished { cow: of_cow, is_into_this: found.backing.is_still(backing) }
        }
        State::Merged { after, .. } => Before::Finished {
            cow: of_cow,
            cow_is_noted: cow.inode.is_some(),
            cow_is_earlier: earlier(found, cow).is_some(),
            since: touched(after, backing),
        },
    }
}

/// Returns the time of modification that the backing has in the end.
fn time(found: Option<&Marker>, now: &Identity, recorded: Option<u32>) -> Option<Timestamp> {
    let noted = found.and_then(|found| match &found.state {
        // In the middle of a merge the backing has another.
        State::Merging => found.backing.modified,
        State::Merged { after, .. } => after.modified,
    });
    let is_unfinished = found.is_some_and(Marker::is_unfinished);
    let own = if is_unfinished { noted } else { now.modified }?;
    let known = [Some(own), noted].into_iter().flatten().collect::<Vec<_>>();
    Some(recorded.map_or(own, |recorded| times::recorded(recorded, &known)))
}

/// Returns what became of a backing that was known as `after`.
fn touched(after: &Identity, now: &Identity) -> Touched {
    match (after.inode, after.since(now)) {
        (None, Since::Same) => Touched::Unknown,
        _ if after.is_untouched(now) => Touched::No,
        _ => Touched::Yes,
    }
}

/// Returns the merge of this COW file before the last one.
fn earlier<'a>(found: &'a Marker, cow: &Identity) -> Option<&'a Earlier> {
    found.earlier.iter().rev().find(|earlier| earlier.cow.since(cow) == Since::Same)
}

impl Observed {
    /// Returns when the last merge ended.
    pub(super) fn merged(&self) -> Option<Timestamp> {
        match self.found.as_ref()?.state {
            State::Merged { at, .. } => Some(at),
            State::Merging => None,
        }
    }

    /// Returns the marker of a merge that begins, or begins again.
    pub(super) fn marker(&self, cow: &Cow) -> Marker {
        let mut earlier = Vec::new();
        if let Some(found) = &self.found {
            earlier.extend(found.earlier.iter().cloned());
            if let State::Merged { at, .. } = found.state {
                earlier.push(Earlier { cow: found.cow.clone(), at });
            }
        }
        // What is merged now is not earlier any more.
        earlier.retain(|earlier| !earlier.cow.is_one(&self.cow));
        Marker {
            state: State::Merging,
            cow: self.cow.clone(),
            format: cow.format().to_string(),
            backing: Identity { modified: self.time, ..self.backing.clone() },
            earlier,
        }
    }

    /// Returns what refusals are about.
    pub(super) fn about<'a>(&'a self, cow: &'a Cow, backing: &'a Backing) -> About<'a> {
        let earlier = self.found.as_ref().and_then(|found| earlier(found, &self.cow));
        About {
            cow: &cow.disk.path,
            backing: &backing.disk.path,
            file: &self.file,
            marker: self.found.as_ref(),
            earlier: earlier.map(|earlier| earlier.at),
            others: &self.others,
            names: self.names,
            mismatch: self.mismatch.clone(),
            overtaken: self.overtaken.clone(),
        }
    }
}
