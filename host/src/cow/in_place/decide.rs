//! What is to be done, from what was seen.

use crate::cow::marker::Since;

/// What was seen while nobody else could change anything, and before we did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    /// What the marker says of both.
    pub(super) before: Before,
    /// Whether the backing is what the COW file was written over.
    pub(super) backing: Backing,
    /// Whether another COW file was merged into the backing after the last write to this one.
    pub(super) is_overtaken: bool,
    /// Whether other COW files name the backing.
    pub(super) has_others: bool,
    /// Whether the backing has other names, by which it would change too.
    pub(super) has_names: bool,
    /// Whether `--force` was given.
    pub(super) force: bool,
}

/// What the marker says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    /// There is none.
    Nothing,
    /// A merge began and has not ended.
    Unfinished {
        /// What its COW file and this one have to do with each other.
        cow: Since,
        /// Whether it went into this backing, and not into what was replaced by this one.
        is_into_this: bool,
    },
    /// The last merge ended.
    Finished {
        /// What its COW file and this one have to do with each other.
        cow: Since,
        /// Whether the time of a write to the COW file is noted, as it is for files.
        cow_is_noted: bool,
        /// Whether this one was merged before the last one, and was not written to since.
        cow_is_earlier: bool,
        /// What became of the backing.
        since: Touched,
    },
}

/// What became of the backing since a merge ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Touched {
    /// Nobody changed it.
    No,
    /// It was changed, or is another.
    Yes,
    /// It is a device: nobody notes that.
    Unknown,
}

/// Whether the backing is what the COW file was written over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Backing {
    /// It was last modified when the COW file says.
    Fits,
    /// It was not.
    Differs,
    /// The COW file does not say.
    Unrecorded,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plan {
    /// A merge that begins.
    Fresh,
    /// A merge that was cut off: all of it again.
    Again,
    /// Nothing: it was done.
    Already,
}

/// Why it is not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// The merge of another COW file is not finished.
    UnfinishedOther,
    /// The COW file is not what it was when its merge was cut off.
    WrittenMidway,
    /// The backing is not the one into which the merge was cut off.
    ReplacedMidway,
    /// The backing was changed since the merge ended.
    ChangedSince,
    /// Whether the COW file was written to since the merge ended cannot be seen.
    Unknowable,
    /// It was merged before another one was.
    MergedEarlier,
    /// The backing is not what the COW file was written over.
    Differs,
    /// Another COW file was merged into the backing after the last write to this one.
    Overtaken,
    /// Other COW files name the backing.
    Others,
    /// The backing has other names.
    Names,
}

/// Decides what is done.
///
/// # Errors
/// The first reason why it is not, of which `--force` overrides most.
pub(super) fn decide(seen: &Seen) -> Result<Plan, Why> {
    let unless_forced = |why: Why| if seen.force { Ok(()) } else { Err(why) };
    match seen.before {
        Before::Nothing => fresh(seen),
        Before::Unfinished { cow: Since::Another, .. } => Err(Why::UnfinishedOther),
        Before::Unfinished { cow, is_into_this } => {
            if cow == Since::Written {
                unless_forced(Why::WrittenMidway)?;
            }
            if !is_into_this {
                unless_forced(Why::ReplacedMidway)?;
            }
            // The backing is neither what it was nor what it is to be: only the end of the merge makes it whole.
            Ok(Plan::Again)
        }
        Before::Finished { cow: Since::Same, cow_is_noted: false, .. } => {
            unless_forced(Why::Unknowable).map(|()| Plan::Fresh)
        }
        Before::Finished { cow: Since::Same, since, .. } => match since {
            Touched::No => Ok(Plan::Already),
            Touched::Unknown if seen.force => Ok(Plan::Fresh),
            Touched::Unknown => Ok(Plan::Already),
            Touched::Yes => unless_forced(Why::ChangedSince).map(|()| Plan::Fresh),
        },
        // Where the COW file says what it was written over, that alone counts.
        Before::Finished { cow: Since::Written, since: Touched::Yes, .. }
            if seen.backing != Backing::Fits =>
        {
            unless_forced(Why::ChangedSince).map(|()| Plan::Fresh)
        }
        Before::Finished { cow_is_earlier: true, .. } => {
            unless_forced(Why::MergedEarlier).map(|()| Plan::Fresh)
        }
        Before::Finished { .. } => fresh(seen),
    }
}

/// Decides of a merge that was never begun.
fn fresh(seen: &Seen) -> Result<Plan, Why> {
    if seen.backing == Backing::Differs {
        return Err(Why::Differs);
    }
    if seen.force {
        return Ok(Plan::Fresh);
    }
    match (seen.is_overtaken, seen.has_others, seen.has_names) {
        (true, ..) => Err(Why::Overtaken),
        (_, true, _) => Err(Why::Others),
        (.., true) => Err(Why::Names),
        (false, false, false) => Ok(Plan::Fresh),
    }
}

#[cfg(test)]
mod tests;
