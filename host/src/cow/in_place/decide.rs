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
/// All reasons why it is not, for one `--force` overrides them together; or one that it does not override.
pub(super) fn decide(seen: &Seen) -> Result<Plan, Vec<Why>> {
    let (plan, reasons) = match seen.before {
        Before::Nothing => fresh(seen)?,
        Before::Unfinished { cow: Since::Another, .. } => return Err(vec![Why::UnfinishedOther]),
        Before::Unfinished { cow, is_into_this } => (Plan::Again, midway(seen, cow, is_into_this)),
        Before::Finished { cow: Since::Same, cow_is_noted: false, .. } => {
            (Plan::Fresh, losing(seen, Why::Unknowable))
        }
        Before::Finished { cow: Since::Same, since, .. } => match since {
            Touched::No => (Plan::Already, Vec::new()),
            Touched::Unknown if seen.force => (Plan::Fresh, Vec::new()),
            Touched::Unknown => (Plan::Already, Vec::new()),
            Touched::Yes => (Plan::Fresh, losing(seen, Why::ChangedSince)),
        },
        // Where the COW file says what it was written over, that alone counts.
        Before::Finished { cow: Since::Written, since: Touched::Yes, .. }
            if seen.backing != Backing::Fits =>
        {
            (Plan::Fresh, losing(seen, Why::ChangedSince))
        }
        Before::Finished { cow_is_earlier: true, .. } => {
            (Plan::Fresh, losing(seen, Why::MergedEarlier))
        }
        Before::Finished { .. } => fresh(seen)?,
    };
    if reasons.is_empty() || seen.force { Ok(plan) } else { Err(reasons) }
}

/// Decides of a merge that was never begun.
fn fresh(seen: &Seen) -> Result<(Plan, Vec<Why>), Vec<Why>> {
    if seen.backing == Backing::Differs {
        return Err(vec![Why::Differs]);
    }
    Ok((Plan::Fresh, reasons(seen, None)))
}

/// Returns what is lost by a merge that was done before, or is late.
fn losing(seen: &Seen, why: Why) -> Vec<Why> {
    reasons(seen, Some(why))
}

/// Returns what is against finishing a merge. The backing is neither what it was nor what it is to be, and only the end of
/// the merge makes it whole; but another one may be whole.
fn midway(seen: &Seen, cow: Since, is_into_this: bool) -> Vec<Why> {
    let written = (cow == Since::Written).then_some(Why::WrittenMidway);
    let mut all: Vec<_> = written.into_iter().collect();
    if !is_into_this {
        all.push(Why::ReplacedMidway);
        all.extend(of_backing(seen));
    }
    all
}

/// Returns all that is against a merge that begins, `why` first.
fn reasons(seen: &Seen, why: Option<Why>) -> Vec<Why> {
    // The later merge is told of once.
    let is_told = why == Some(Why::MergedEarlier);
    let overtaken = (seen.is_overtaken && !is_told).then_some(Why::Overtaken);
    why.into_iter().chain(overtaken).chain(of_backing(seen)).collect()
}

/// Returns who else would lose by a change of the backing.
fn of_backing(seen: &Seen) -> impl Iterator<Item = Why> {
    let others = seen.has_others.then_some(Why::Others);
    others.into_iter().chain(seen.has_names.then_some(Why::Names))
}

#[cfg(test)]
mod tests;
