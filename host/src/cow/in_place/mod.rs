//! What a COW file holds goes into its backing itself, and that is safe to repeat.
//!
//! In: a COW file, its backing, what the marker beside the backing says. Out: the backing with all that was written over
//! it, or a refusal before anything is changed. The COW file is only read. The steps, each durable before the next:
//!
//! | step | what a cut after it leaves |
//! |---|---|
//! | the COW file is synced | nothing new |
//! | the marker says "merging", with what COW file and backing are known again by | the backing as it was |
//! | the backing gets another time of modification | no kernel takes it for what its COW files are over |
//! | runs go into the backing, which is synced | any part of them |
//! | the backing gets its recorded time back, unless other COW files of it were given up | all of them |
//! | the marker says "merged" | the same, and it is known |
//!
//! After a cut at any of them the same command does all of it again: a merge only ever writes what the COW file holds.

mod decide;
mod observe;
mod refuse;
mod room;
pub(super) mod times;

use super::{
    Cow, Disk, Done, Kind, Sharing, backing::identity, in_use, marker, others::Other, transfer,
};
use crate::{Error, Result, file::Progress};
use decide::{Plan, decide};
use jiff::Timestamp;
use marker::State;
use observe::Observed;
use std::{
    io,
    path::{Path, PathBuf},
};

/// What is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// The COW file.
    pub cow: &'a Path,
    /// Its backing, where that is not what the COW file records.
    pub backing: Option<&'a Path>,
    /// Where else to look for COW files of the backing.
    pub search: &'a [PathBuf],
    /// Whether to go on where that loses something.
    pub force: bool,
    /// Where the marker is of a merge of a device into a device; every other has its place.
    pub marker: Option<&'a Path>,
    /// Whether extents may be cloned.
    pub sharing: Sharing,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The backing has all of it, durably.
    Merged(Merged),
    /// It had all of it before.
    Already {
        /// The backing.
        backing: PathBuf,
        /// When it got it.
        at: Timestamp,
    },
}

/// A merge that was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// The backing.
    pub backing: PathBuf,
    /// When it ended.
    pub at: Timestamp,
    /// Whether a merge was finished that had been cut off.
    pub is_again: bool,
    /// What was cloned and copied.
    pub done: Done,
    /// The other COW files that it was written over, or may be, which are worthless now. Where there are such the backing
    /// has another time than they record, and than the merged one does.
    pub others: Vec<Other>,
    /// Whether the merged one is among those that record another time than the backing has; a store records none.
    pub is_outdated: bool,
    /// How many other names of the backing have what was merged too.
    pub names: u64,
    /// The COW file whose merge this one went over, though that came later than what this one holds.
    pub over: Option<PathBuf>,
    /// What says that it was merged.
    pub marker: PathBuf,
}

/// Merges a COW file into its backing. When it returns, all of it is durable.
///
/// # Errors
/// Refused: somebody uses one of them; the backing is not what the COW file was written over, or others are; the merge of
/// another COW file into it was cut off; it would undo what was written since an earlier merge; there is no room. Failed
/// on the way: the marker stays, and the same call finishes it.
pub fn merge_in_place(options: &Options<'_>, progress: &mut dyn Progress) -> Result<Outcome> {
    let cow = Cow::open(options.cow)?;
    let _cow = in_use::hold(&cow.disk, in_use::Others::MayRead)?;
    let backing = observe::backing(&cow, options.backing)?;
    let _backing = in_use::hold(&backing.disk, in_use::Others::MayNot)?;
    cow.disk.is_steady()?;
    backing.disk.is_steady()?;

    let observed = observe::observe(&cow, &backing, options)?;
    let plan =
        decide(&observed.seen).map_err(|why| observed.about(&cow, &backing).refusal(&why))?;
    let job = Job { cow: &cow, backing: &backing.disk, observed: &observed };
    match (plan, observed.merged()) {
        (Plan::Already, Some(at)) => {
            Ok(Outcome::Already { backing: backing.disk.path.clone(), at })
        }
        (plan, _) => job.run(plan, options.sharing, progress).map(Outcome::Merged),
    }
}

/// A merge that is done.
struct Job<'a> {
    cow: &'a Cow,
    backing: &'a Disk,
    observed: &'a Observed,
}

impl Job<'_> {
    fn run(&self, plan: Plan, sharing: Sharing, progress: &mut dyn Progress) -> Result<Merged> {
        let Self { cow, backing, observed } = *self;
        let runs = || cow.runs(backing.size);
        let wanted = room::wanted(runs()?, &cow.disk, backing)?;
        room::suffices(wanted, sharing, &cow.disk, backing)?;
        // Its time of modification, which is set back.
        let time = observed.time.filter(|_| backing.kind == Kind::File && cow.uml().is_some());
        if time.is_some() {
            times::may_set(backing)?;
        }

        durable(&cow.disk)?;
        let (file, mut marker) = (&observed.file, observed.marker(cow));
        marker.write(file)?;
        if let Some(time) = time {
            times::unlike(backing, time)?;
        }
        let done = transfer(runs()?, &cow.disk, backing, sharing, wanted.whole, progress)?;
        cow.disk.is_steady()?;
        backing
            .file
            .sync_all()
            .map_err(Error::doing(format!("sync {}", backing.path.display())))?;
        match time {
            Some(time) if observed.others.is_empty() => times::restore(backing, time)?,
            // With the time that they record, kernels would go on with COW files that are worthless now.
            Some(time) => times::unlike(backing, time)?,
            None => {}
        }
        let at = Timestamp::now();
        marker.state = State::Merged { at, after: identity(backing)? };
        marker.write(file)?;
        Ok(Merged {
            backing: backing.path.clone(),
            at,
            is_again: plan == Plan::Again,
            done,
            others: observed.others.clone(),
            is_outdated: time.is_some() && !observed.others.is_empty(),
            names: observed.names.saturating_sub(1),
            over: observed.over.clone().filter(|_| plan == Plan::Fresh),
            marker: file.clone(),
        })
    }
}

/// Makes durable what the COW file holds: whoever wrote it last may not have, and what the backing gets of it is not to
/// outlive it. A repeated merge would bring less then, and leave a mixture.
fn durable(cow: &Disk) -> Result<()> {
    match cow.file.sync_all() {
        // A file system that is never written to syncs nothing.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        synced => synced.map_err(Error::doing(format!("sync {}", cow.path.display()))),
    }
}
