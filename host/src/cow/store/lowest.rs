//! The lowest spans of many, in bounded memory.

use ebbtide_format::exception_store::Exception;

/// Exceptions that follow one another in the origin and in the store; in chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    /// First chunk in the origin.
    pub(super) old: u64,
    /// First chunk in the store.
    pub(super) new: u64,
    /// How many.
    pub(super) count: u64,
}

impl Span {
    pub(super) const fn of(exception: Exception) -> Self {
        Self { old: exception.old, new: exception.new, count: 1 }
    }

    pub(super) fn goes_on_with(&self, next: Exception) -> bool {
        let place = |first: u64, next: u64| next.checked_sub(first) == Some(self.count);
        place(self.old, next.old) && place(self.new, next.new)
    }
}

/// The spans that begin at a chunk or after it, as many of the lowest as are kept.
///
/// All spans below the lowest that was dropped are there; the next pass begins with that one.
#[derive(Debug)]
pub(super) struct Lowest {
    from: u64,
    kept: usize,
    spans: Vec<Span>,
    /// The lowest old chunk that was dropped.
    dropped: Option<u64>,
}

impl Lowest {
    pub(super) const fn new(from: u64, kept: usize) -> Self {
        Self { from, kept, spans: Vec::new(), dropped: None }
    }

    /// Drops the higher half of twice as many spans as are kept; of those that begin with the same chunk, all or none.
    fn drop_highest(&mut self) {
        let (_, least, _) = self.spans.select_nth_unstable_by_key(self.kept, |span| span.old);
        let least = least.old;
        self.spans.truncate(self.kept);
        self.spans.retain(|span| span.old < least);
        self.dropped = Some(least);
    }

    /// Returns the spans in order, and the old chunk with which the next pass begins.
    pub(super) fn sorted(mut self) -> (Vec<Span>, Option<u64>) {
        self.spans.sort_unstable_by_key(|span| span.old);
        (self.spans, self.dropped)
    }
}

impl Extend<Span> for Lowest {
    fn extend<T: IntoIterator<Item = Span>>(&mut self, spans: T) {
        for span in spans {
            if span.old < self.from || self.dropped.is_some_and(|least| span.old >= least) {
                continue;
            }
            if self.spans.len() == 2 * self.kept {
                self.drop_highest();
                if self.dropped.is_some_and(|least| span.old >= least) {
                    continue;
                }
            }
            self.spans.push(span);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Goes through all by passes; each span says in `new` where it stood.
    fn by_passes(olds: &[u64], kept: usize) -> Vec<u64> {
        let (mut all, mut from) = (Vec::new(), Some(0));
        while let Some(first) = from {
            let mut lowest = Lowest::new(first, kept);
            lowest.extend(olds.iter().map(|old| Span { old: *old, new: 2, count: 1 }));
            assert!(lowest.spans.len() <= 2 * kept);
            let (spans, next) = lowest.sorted();
            assert_ne!(next, Some(first), "the same again, for ever");
            all.extend(spans.iter().map(|span| span.old));
            from = next;
        }
        all
    }

    proptest! {
        #[test]
        fn passes_together_are_all_in_order(
            olds in prop::collection::btree_set(0_u64..1000, 0..200).prop_map(Vec::from_iter).prop_shuffle(),
            kept in 1_usize..20,
        ) {
            let mut sorted = olds.clone();
            sorted.sort_unstable();
            prop_assert_eq!(by_passes(&olds, kept), sorted);
        }
    }

    #[test]
    fn what_begins_alike_is_in_the_same_pass() {
        assert_eq!(by_passes(&[7, 3, 3, 9, 1], 2), [1, 3, 3, 7, 9]);
        let mut lowest = Lowest::new(0, 2);
        lowest.extend([0; 5].map(|old| Span { old, new: 2, count: 1 }));
        assert_eq!(lowest.sorted(), (vec![], Some(0)));
    }

    #[test]
    fn a_span_goes_on_where_both_do() {
        let span = Span { old: 5, new: 8, count: 2 };
        assert!(span.goes_on_with(Exception { old: 7, new: 10 }));
        for (old, new) in [(7, 11), (8, 10), (6, 9), (4, 7), (0, 0)] {
            assert!(!span.goes_on_with(Exception { old, new }));
        }
    }
}
