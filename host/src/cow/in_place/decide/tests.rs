//! Every combination of what can be seen.

use super::{
    Backing::{self, Differs, Fits, Unrecorded},
    Before::{self, Finished, Nothing, Unfinished},
    Plan::{self, Again, Already, Fresh},
    Seen,
    Touched::{self, No, Unknown, Yes},
    Why, decide,
};
use crate::cow::marker::Since::{self, Another, Same, Written};
use std::collections::HashMap;

const BOOLS: [bool; 2] = [false, true];
const SINCE: [Since; 3] = [Same, Written, Another];
const TOUCHED: [Touched; 3] = [No, Yes, Unknown];
const BACKING: [Backing; 3] = [Fits, Differs, Unrecorded];

fn befores() -> Vec<Before> {
    let mut all = vec![Nothing];
    for cow in SINCE {
        all.extend(BOOLS.map(|is_into_this| Unfinished { cow, is_into_this }));
        for (cow_is_noted, cow_is_earlier) in pairs(&BOOLS, &BOOLS) {
            let finished = |since| Finished { cow, cow_is_noted, cow_is_earlier, since };
            all.extend(TOUCHED.map(finished));
        }
    }
    all
}

fn pairs<A: Copy, B: Copy>(a: &[A], b: &[B]) -> Vec<(A, B)> {
    a.iter().flat_map(|a| b.iter().map(|b| (*a, *b))).collect()
}

fn all() -> Vec<Seen> {
    let mut all = Vec::new();
    for (before, backing) in pairs(&befores(), &BACKING) {
        for ((is_overtaken, has_others), (has_names, force)) in
            pairs(&pairs(&BOOLS, &BOOLS), &pairs(&BOOLS, &BOOLS))
        {
            all.push(Seen { before, backing, is_overtaken, has_others, has_names, force });
        }
    }
    all
}

type Decided = Result<Plan, Why>;

/// What is wanted where no merge has overtaken the COW file and the backing has neither other COW files nor other names: without
/// `--force`, and with it. `None` in a row is any.
#[rustfmt::skip]
const WANTED: [(Row, Option<Backing>, Decided, Decided); 20] = [
    (Row::Nothing,                                    Some(Fits),       Ok(Fresh),                Ok(Fresh)),
    (Row::Nothing,                                    Some(Unrecorded), Ok(Fresh),                Ok(Fresh)),
    (Row::Nothing,                                    Some(Differs),    Err(Why::Differs),        Err(Why::Differs)),
    // A cut: whatever the time of the backing is.
    (Row::Unfinished(Same, true),                     None,             Ok(Again),                Ok(Again)),
    (Row::Unfinished(Same, false),                    None,             Err(Why::ReplacedMidway), Ok(Again)),
    (Row::Unfinished(Written, true),                  None,             Err(Why::WrittenMidway),  Ok(Again)),
    (Row::Unfinished(Written, false),                 None,             Err(Why::WrittenMidway),  Ok(Again)),
    (Row::UnfinishedOther,                            None,             Err(Why::UnfinishedOther), Err(Why::UnfinishedOther)),
    // An end: nothing is written over what came since.
    (Row::Finished(Same, Some(true), None, No),       None,             Ok(Already),              Ok(Already)),
    (Row::Finished(Same, Some(true), None, Unknown),  None,             Ok(Already),              Ok(Fresh)),
    (Row::Finished(Same, Some(true), None, Yes),      None,             Err(Why::ChangedSince),   Ok(Fresh)),
    (Row::Finished(Same, Some(false), None, No),      None,             Err(Why::Unknowable),     Ok(Fresh)),
    (Row::Finished(Same, Some(false), None, Yes),     None,             Err(Why::Unknowable),     Ok(Fresh)),
    (Row::Finished(Same, Some(false), None, Unknown), None,             Err(Why::Unknowable),     Ok(Fresh)),
    (Row::Finished(Written, None, None, Yes),         Some(Differs),    Err(Why::ChangedSince),   Ok(Fresh)),
    (Row::Finished(Written, None, None, Yes),         Some(Unrecorded), Err(Why::ChangedSince),   Ok(Fresh)),
    // Another COW file, or more in this one, over what the last merge has left.
    (Row::Other(Some(true)),                          None,             Err(Why::MergedEarlier),  Ok(Fresh)),
    (Row::Other(None),                                Some(Fits),       Ok(Fresh),                Ok(Fresh)),
    (Row::Other(None),                                Some(Unrecorded), Ok(Fresh),                Ok(Fresh)),
    (Row::Other(None),                                Some(Differs),    Err(Why::Differs),        Err(Why::Differs)),
];

/// What a row is about; the first that fits counts.
#[derive(Clone, Copy)]
enum Row {
    Nothing,
    Unfinished(Since, bool),
    UnfinishedOther,
    Finished(Since, Option<bool>, Option<bool>, Touched),
    /// A finished merge that no row above is about.
    Other(Option<bool>),
}

impl Row {
    fn fits(self, before: Before) -> bool {
        let any = |wanted: Option<bool>, found| wanted.is_none_or(|wanted| wanted == found);
        match (self, before) {
            (Self::Nothing, Nothing) => true,
            (Self::Unfinished(since, this), Unfinished { cow, is_into_this }) => {
                (since, this) == (cow, is_into_this)
            }
            (Self::UnfinishedOther, Unfinished { cow, .. }) => cow == Another,
            (
                Self::Finished(of, noted, earlier, touched),
                Finished { cow, cow_is_noted, cow_is_earlier, since },
            ) => {
                of == cow
                    && any(noted, cow_is_noted)
                    && any(earlier, cow_is_earlier)
                    && touched == since
            }
            (Self::Other(earlier), Finished { cow, cow_is_earlier, .. }) => {
                cow != Same && any(earlier, cow_is_earlier)
            }
            _ => false,
        }
    }
}

fn wanted(seen: &Seen) -> Decided {
    let row = WANTED
        .iter()
        .find(|(row, backing, ..)| {
            row.fits(seen.before) && backing.is_none_or(|wanted| wanted == seen.backing)
        })
        .unwrap_or_else(|| panic!("no row for {seen:?}"));
    if seen.force { row.3 } else { row.2 }
}

#[test]
fn every_combination_is_decided_as_the_table_has_it() {
    let all = all();
    assert_eq!(all.len(), 43 * 3 * 16);
    for seen in all {
        let wanted = match wanted(&seen) {
            Ok(Fresh) if !seen.force => {
                let all = [seen.is_overtaken, seen.has_others, seen.has_names];
                listed(&[], all).map_or(Ok(Fresh), Err)
            }
            Ok(plan) => Ok(plan),
            Err(why @ (Why::Differs | Why::UnfinishedOther)) => Err(vec![why]),
            Err(Why::WrittenMidway | Why::ReplacedMidway) => Err(midway(&seen)),
            Err(why) => {
                let is_overtaken = seen.is_overtaken && why != Why::MergedEarlier;
                Err(listed(&[why], [is_overtaken, seen.has_others, seen.has_names]).unwrap())
            }
        };
        assert_eq!(decide(&seen), wanted, "{seen:?}");
    }
}

/// Returns what is listed, if anything is.
fn listed(first: &[Why], [overtaken, others, names]: [bool; 3]) -> Option<Vec<Why>> {
    let more = [(overtaken, Why::Overtaken), (others, Why::Others), (names, Why::Names)];
    let more = more.into_iter().filter_map(|(is, why)| is.then_some(why));
    Some(first.iter().copied().chain(more).collect::<Vec<_>>()).filter(|all| !all.is_empty())
}

/// Another backing than the half merged one may have COW files and names of its own.
fn midway(seen: &Seen) -> Vec<Why> {
    let Unfinished { cow, is_into_this } = seen.before else { panic!("{seen:?}") };
    let written = if cow == Written { vec![Why::WrittenMidway] } else { vec![] };
    if is_into_this {
        return written;
    }
    let first = [&written[..], &[Why::ReplacedMidway]].concat();
    listed(&first, [false, seen.has_others, seen.has_names]).unwrap()
}

fn yields_to_force(why: Why) -> bool {
    !matches!(why, Why::UnfinishedOther | Why::Differs)
}

#[test]
fn force_changes_only_what_it_is_said_to_change() {
    let mut reasons = HashMap::new();
    for seen in all() {
        let forced = decide(&Seen { force: true, ..seen });
        match decide(&Seen { force: false, ..seen }) {
            Err(why) => {
                for why in &why {
                    *reasons.entry(format!("{why:?}")).or_insert(0) += 1;
                }
                if why.iter().all(|why| yields_to_force(*why)) {
                    assert!(forced.is_ok(), "{seen:?}");
                } else {
                    assert_eq!(forced, Err(why), "{seen:?}: it stands alone");
                }
            }
            Ok(Already) => assert!(matches!(forced, Ok(Already | Fresh)), "{seen:?}"),
            Ok(plan) => assert_eq!(forced, Ok(plan), "{seen:?}"),
        }
    }
    assert_eq!(reasons.len(), 10, "each reason is one of something: {reasons:?}");
}

#[test]
fn what_was_merged_is_never_merged_again_over_what_was_written_since() {
    for seen in all().into_iter().filter(|seen| !seen.force) {
        if let Finished { cow: Same, since, .. } = seen.before {
            assert_ne!(decide(&seen), Ok(Fresh), "{since:?}: {seen:?}");
        }
        if let Finished { cow_is_earlier: true, .. } = seen.before {
            assert_ne!(decide(&seen), Ok(Fresh), "{seen:?}");
        }
    }
}
