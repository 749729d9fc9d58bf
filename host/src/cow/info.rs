//! All that can be told of a COW file, be it damaged or without its backing.

use super::{
    Backing, Cow, Disk, Format, Kind, Recorded, State,
    backing::{self, Mismatch},
    in_use::{self, Others, User},
    marker::Marker,
};
use crate::{Error, Result};
use ebbtide_format::units::Bytes;
use std::{
    ops::Range,
    path::{Path, PathBuf},
};

/// The size of a device that is not known: no file and no device is larger.
const LARGEST: Bytes = Bytes(i64::MAX.unsigned_abs());

/// What can be told of a COW file.
#[derive(Debug)]
pub struct Info {
    /// What kind it is.
    pub format: Format,
    /// Whether what it holds can be told; damage that shows only in the table is in here too.
    pub state: State,
    /// Which bytes of a volatile disk it is.
    pub inside: Option<Range<u64>>,
    /// What it says of its backing file.
    pub recorded: Option<Recorded>,
    /// The size of the device; nothing without a backing.
    pub device: Option<Bytes>,
    /// What it holds; nothing where that cannot be told.
    pub held: Option<HeldRuns>,
    /// Who writes to it.
    pub user: Option<User>,
    /// What became of the search for its backing; nothing when none is named.
    pub backing: Option<BackingInfo>,
}

/// How much a COW file holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HeldRuns {
    /// Bytes of the device; with the last chunk as a whole one where the size of the device is not known.
    pub bytes: Bytes,
    /// Runs.
    pub runs: u64,
}

/// What became of the search for a backing.
#[derive(Debug)]
pub struct BackingInfo {
    /// Where it was looked for.
    pub path: PathBuf,
    /// What is there.
    pub found: Result<BackingFound>,
}

/// A backing that is there.
#[derive(Debug)]
pub struct BackingFound {
    /// Its size.
    pub size: Bytes,
    /// When it was last written to, in seconds since 1970; a device does not say.
    pub modified: Option<i64>,
    /// Why it is not the one that was written over.
    pub mismatch: Option<Mismatch>,
    /// What else keeps the COW file from being merged with it: a store holds what it has no place for, a merge of another
    /// COW file into it is unfinished.
    pub obstacle: Option<String>,
    /// Who uses it.
    pub user: Option<User>,
    /// The marker of a merge in place into it, where that lies, and whether it is a merge of this COW file as it is.
    pub marker: Option<(PathBuf, Marker, bool)>,
}

/// Tells all that can be told; `given` is where the backing is instead of where the COW file says.
///
/// # Errors
/// The COW file cannot be read.
pub fn info(cow: &Cow, given: Option<&Path>) -> Result<Info> {
    let recorded = cow.recorded();
    let place = match &recorded {
        Some(recorded) => Some(given.unwrap_or(&recorded.backing)),
        // Of one of user-mode Linux that is so damaged, nothing can be told.
        None => given.filter(|_| !matches!(cow.format(), Format::Uml(_))),
    };
    let place = place.map(Path::to_path_buf);
    let mut backing = place.map(|path| BackingInfo { path, found: look(cow, given) });
    let found = backing.as_mut().and_then(|backing| backing.found.as_mut().ok());
    let device = match (&recorded, &found) {
        (Some(recorded), _) => Some(recorded.size),
        (None, found) => found.as_ref().filter(|_| cow.store().is_some()).map(|found| found.size),
    };
    let (held, state, device) = match (told(cow, device)?, found) {
        // Too small a backing is no fault of the store.
        ((_, State::Damaged(beyond)), Some(found)) if recorded.is_none() && device.is_some() => {
            let (held, state) = told(cow, None)?;
            let is_fault = state == State::Valid;
            found.obstacle = is_fault.then_some(beyond);
            (held, state, device.filter(|_| !is_fault))
        }
        ((held, state), _) => (held, state, device),
    };
    Ok(Info {
        format: cow.format(),
        state,
        inside: cow.is_inside().then(|| cow.window()),
        recorded,
        device,
        held,
        user: user(&cow.disk, Others::MayRead),
        backing,
    })
}

/// Counts what it holds of a device of this size, or of one of any size, and says whether that could be told.
fn told(cow: &Cow, device: Option<Bytes>) -> Result<(Option<HeldRuns>, State)> {
    match held(cow, device.unwrap_or(LARGEST)) {
        Ok(held) => Ok((held, cow.state().clone())),
        // A read that fails is no damage.
        Err(error @ Error::Failed { .. }) => Err(error),
        Err(error) => Ok((None, State::Damaged(error.chain()))),
    }
}

/// Counts what it holds; nothing when that cannot be told.
fn held(cow: &Cow, device: Bytes) -> Result<Option<HeldRuns>> {
    if !matches!(cow.state(), State::Valid | State::Empty) {
        return Ok(None);
    }
    let mut held = HeldRuns::default();
    for run in cow.runs(device)? {
        held.bytes.0 = held.bytes.0.saturating_add(run?.length);
        held.runs += 1;
    }
    Ok(Some(held))
}

fn look(cow: &Cow, given: Option<&Path>) -> Result<BackingFound> {
    let backing = Backing::open(cow, given)?;
    let recorded = cow.recorded();
    let is_file = backing.disk.kind == Kind::File;
    let marker = backing.marker(cow).and_then(|found| match found {
        Some((file, marker)) => Ok(Some((file, marker.clone(), backing::is_of(&marker, cow)?))),
        None => Ok(None),
    });
    // One that cannot be read is an obstacle, below.
    let marker = marker.ok().flatten();
    let unfinished = backing.unfinished(cow);
    let mismatch = recorded.and_then(|recorded| backing.mismatch(&recorded));
    // In the middle of its own merge it has another time.
    let is_own = |mismatch: &Mismatch| {
        matches!((mismatch, &unfinished), (Mismatch::Modified { .. }, Ok(true)))
    };
    Ok(BackingFound {
        size: backing.size(),
        modified: is_file.then_some(backing.disk.modified.0),
        mismatch: mismatch.filter(|mismatch| !is_own(mismatch)),
        obstacle: unfinished
            .and_then(|_| backing.is_overtaken(cow))
            .err()
            .map(|error| error.chain()),
        // By the first come the locks of whoever reads a device, by the second who has it for itself.
        user: user(&backing.disk, Others::MayNot)
            .or_else(|| user(&backing.disk, Others::MayRead).filter(|_| !is_file)),
        marker,
    })
}

/// Returns who uses it, as far as that can be told.
fn user(disk: &Disk, others: Others) -> Option<User> {
    in_use::user(disk, others).unwrap_or_else(|error| {
        log::warn!("who uses {} cannot be told: {}", disk.path.display(), error.chain());
        None
    })
}
