//! Which kept versions stay.

use super::revision::Revision;
use std::collections::BTreeMap;

/// Which versions are kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Retention {
    /// How many of those that are not pinned.
    pub keep: u32,
    /// Pinned versions by their number, with their label. They are never pruned, and not counted.
    pub pinned: BTreeMap<u64, String>,
}

impl Retention {
    /// Returns whether a revision is pinned. One without a number never is.
    #[must_use]
    pub fn is_pinned(&self, revision: Revision) -> bool {
        revision.number.is_some_and(|number| self.pinned.contains_key(&number))
    }

    /// Returns the same with at least `keep` versions.
    #[must_use]
    pub fn at_least(&self, keep: u32) -> Self {
        Self { keep: self.keep.max(keep), pinned: self.pinned.clone() }
    }

    /// Returns the revisions that are too many, oldest first. `kept` is oldest first, each with the version that it
    /// is a name of. What counts are versions and not names, so that a revert, which makes a second name of what is
    /// there, pushes nothing out; and the current version is never too many.
    #[must_use]
    pub fn excess<V: Copy + PartialEq>(
        &self,
        kept: &[(Revision, V)],
        current: Option<V>,
    ) -> Vec<Revision> {
        let room = usize::try_from(self.keep).unwrap_or(usize::MAX);
        let mut staying: Vec<V> = Vec::new();
        let mut excess = Vec::new();
        for (revision, version) in kept.iter().rev() {
            let stays =
                self.is_pinned(*revision) || current == Some(*version) || staying.contains(version);
            if stays {
                continue;
            }
            if staying.len() < room {
                staying.push(*version);
            } else {
                excess.push(*revision);
            }
        }
        excess.reverse();
        excess
    }

    /// Returns the number after all that there are and that are pinned. `None`: there is none left.
    #[must_use]
    pub fn next_number(&self, kept: impl Iterator<Item = Revision>) -> Option<u64> {
        let pinned = self.pinned.keys().copied();
        kept.filter_map(|revision| revision.number).chain(pinned).max().unwrap_or(0).checked_add(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    fn revision(number: u64) -> Revision {
        Revision { number: Some(number), time: Timestamp::UNIX_EPOCH }
    }

    /// Revisions with these numbers, each with the version of this letter.
    fn kept(names: &[(u64, char)]) -> Vec<(Revision, char)> {
        names.iter().map(|(number, version)| (revision(*number), *version)).collect()
    }

    fn excess(keep: u32, pinned: &[u64], names: &[(u64, char)], current: char) -> Vec<u64> {
        let pinned = pinned.iter().map(|number| (*number, String::new())).collect();
        let retention = Retention { keep, pinned };
        let excess = retention.excess(&kept(names), Some(current));
        excess.iter().filter_map(|revision| revision.number).collect()
    }

    #[test]
    fn the_oldest_go_first() {
        assert_eq!(excess(2, &[], &[(1, 'a'), (2, 'b'), (3, 'c')], 'd'), [1]);
        assert_eq!(excess(0, &[], &[(1, 'a'), (2, 'b')], 'd'), [1, 2]);
        assert!(excess(3, &[], &[(1, 'a'), (2, 'b'), (3, 'c')], 'd').is_empty());
    }

    #[test]
    fn pinned_ones_stay_and_are_not_counted() {
        assert_eq!(excess(1, &[1], &[(1, 'a'), (2, 'b'), (3, 'c')], 'd'), [2]);
        assert!(excess(0, &[1, 2], &[(1, 'a'), (2, 'b')], 'd').is_empty());
    }

    #[test]
    fn a_second_name_of_a_version_pushes_nothing_out() {
        assert!(excess(2, &[], &[(1, 'a'), (2, 'b'), (3, 'a')], 'd').is_empty());
        assert!(excess(2, &[], &[(1, 'a'), (2, 'b'), (3, 'c')], 'a').is_empty(), "a is current");
    }

    #[test]
    fn those_without_a_number_are_the_oldest() {
        let old = Revision { number: None, time: Timestamp::MAX };
        let names = [(old, 'a'), (revision(1), 'b')];
        let retention = Retention { keep: 1, ..Retention::default() };
        assert_eq!(retention.excess(&names, None), [old]);
    }

    #[test]
    fn numbers_of_pins_are_not_given_again() {
        let retention = Retention { keep: 1, pinned: BTreeMap::from([(9, "gold".into())]) };
        assert_eq!(retention.next_number([revision(3)].into_iter()), Some(10));
        assert_eq!(retention.next_number([revision(u64::MAX)].into_iter()), None);
    }
}
