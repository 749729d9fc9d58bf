//! What a kept version is made of. Pure.
//!
//! A commit keeps what the base had before: going back from the current version means to put that back, the newest first.
//! Where another base was imported, the one before it is whole, and all older versions are reckoned from that.
//!
//! ```text
//! version   3 (delta)   4 (delta)   5 (base)   6 (delta)   current
//!           base of 5, delta 4, delta 3        current base, delta 6
//! ```

use super::seen::{Kept, What};
use crate::volume::Revision;
use std::path::PathBuf;

/// How a version is put together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chain {
    /// The whole version to begin with; `None` for the current one.
    pub(super) base: Option<PathBuf>,
    /// What is put over it, in this order.
    pub(super) deltas: Vec<PathBuf>,
}

/// Returns how a version is put together; `kept` is in order. `None` when it is not kept.
pub(super) fn chain(kept: &[Kept], of: Revision) -> Option<Chain> {
    let first = kept.iter().position(|kept| kept.revision == of)?;
    let (mut base, mut deltas) = (None, Vec::new());
    for kept in &kept[first..] {
        match kept.what {
            What::Delta => deltas.push(kept.path.clone()),
            What::Base => {
                base = Some(kept.path.clone());
                break;
            }
        }
    }
    deltas.reverse();
    Some(Chain { base, deltas })
}

/// Returns whether an older version that stays is made of this one.
pub(super) fn is_needed(kept: &[Kept], this: &Kept, stays: impl Fn(&Kept) -> bool) -> bool {
    let older = kept.iter().take_while(|kept| kept.revision < this.revision);
    // From the next older one down, as far as no whole version is between.
    let older: Vec<&Kept> = older.collect();
    older.iter().rev().take_while(|kept| kept.what == What::Delta).any(|kept| stays(kept))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    fn kept(number: u64, what: What) -> Kept {
        let revision = Revision { number: Some(number), time: Timestamp::UNIX_EPOCH };
        Kept { revision, path: number.to_string().into(), what, is_listed: true }
    }

    fn all() -> Vec<Kept> {
        use What::{Base, Delta};
        [(3, Delta), (4, Delta), (5, Base), (6, Delta), (8, Delta)]
            .map(|(number, what)| kept(number, what))
            .to_vec()
    }

    fn made_of(number: u64) -> (Option<String>, Vec<String>) {
        let all = all();
        let of = all.iter().find(|kept| kept.revision.number == Some(number)).unwrap().revision;
        let chain = chain(&all, of).unwrap();
        let text = |path: &PathBuf| path.display().to_string();
        (chain.base.as_ref().map(text), chain.deltas.iter().map(text).collect())
    }

    #[test]
    fn differences_are_put_back_newest_first_over_the_nearest_base() {
        assert_eq!(made_of(8), (None, vec!["8".into()]));
        assert_eq!(made_of(6), (None, vec!["8".into(), "6".into()]));
        assert_eq!(made_of(5), (Some("5".into()), vec![]));
        assert_eq!(made_of(3), (Some("5".into()), vec!["4".into(), "3".into()]));
        let other = Revision { number: Some(7), time: Timestamp::UNIX_EPOCH };
        assert_eq!(chain(&all(), other), None);
    }

    #[test]
    fn a_version_is_needed_while_an_older_one_is_made_of_it() {
        let all = all();
        let needed = |number: u64, staying: &[u64]| {
            let this = all.iter().find(|kept| kept.revision.number == Some(number)).unwrap();
            is_needed(&all, this, |kept| staying.contains(&kept.revision.number.unwrap()))
        };
        assert!(needed(4, &[3]) && needed(5, &[3]) && needed(5, &[4]) && needed(8, &[6]));
        assert!(!needed(6, &[3, 4, 5]), "they begin with a base of their own");
        assert!(!needed(8, &[5]) && !needed(3, &[4, 5]) && !needed(4, &[5, 6]));
    }
}
