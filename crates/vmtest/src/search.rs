//! Plain text searched for in a growing one: patterns and all text so far go in, the first match comes out.

use std::ops::Range;

/// One pattern, and how far the text has been searched for it.
#[derive(Debug, Clone)]
pub(crate) struct Search {
    pattern: Vec<u8>,
    searched: usize,
}

impl Search {
    /// Searches for `pattern` from the offset `from` on.
    pub(crate) fn new(pattern: &str, from: usize) -> Self {
        Self { pattern: pattern.as_bytes().to_vec(), searched: from }
    }

    /// Returns where the first match lies in `text`, which may only have grown since the last call.
    pub(crate) fn look(&mut self, text: &[u8]) -> Option<Range<usize>> {
        let rest = text.get(self.searched..)?;
        if let Some(at) = find(rest, &self.pattern) {
            let start = self.searched + at;
            return Some(start..start + self.pattern.len());
        }
        // A match may have begun in the last bytes and go on in the next piece.
        let kept = self.pattern.len().saturating_sub(1);
        self.searched = self.searched.max(text.len().saturating_sub(kept));
        None
    }
}

/// Several patterns of which the one that matches first in the text counts.
#[derive(Debug, Clone)]
pub(crate) struct AnyOf(Vec<Search>);

impl AnyOf {
    pub(crate) fn new<'a>(patterns: impl IntoIterator<Item = &'a str>, from: usize) -> Self {
        Self(patterns.into_iter().map(|pattern| Search::new(pattern, from)).collect())
    }

    /// Returns the index of the pattern that matches first, and where.
    pub(crate) fn look(&mut self, text: &[u8]) -> Option<(usize, Range<usize>)> {
        let matches = self.0.iter_mut().enumerate();
        matches.filter_map(|(n, search)| Some((n, search.look(text)?))).min_by_key(|(_, r)| r.start)
    }
}

/// Returns the offset of the first occurrence of `needle`; an empty one occurs at 0.
pub(crate) fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    let Some(&first) = needle.first() else {
        return Some(0);
    };
    let mut from = 0;
    while let Some(at) = text[from..].iter().position(|&byte| byte == first) {
        let start = from + at;
        if text[start..].starts_with(needle) {
            return Some(start);
        }
        from = start + 1;
    }
    None
}

/// Returns the line around `at`, without its end, as far as the text goes.
pub(crate) fn line_around(text: &[u8], at: usize) -> String {
    let start = text[..at].iter().rposition(|&b| b == b'\n').map_or(0, |n| n + 1);
    let end = text[at..].iter().position(|&b| b == b'\n').map_or(text.len(), |n| at + n);
    crate::outcome::readable(&text[start..end]).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn finds_a_match_that_arrives_byte_by_byte() {
        let text = b"step 1/7 step 1/8 map dmroot";
        let mut search = Search::new("step 1/8", 0);
        let found = (0..=text.len()).find_map(|len| search.look(&text[..len]));
        assert_eq!(found, Some(9..17));
    }

    #[test]
    fn does_not_match_before_the_start() {
        assert_eq!(Search::new("up", 3).look(b"up, up"), Some(4..6));
        assert_eq!(Search::new("up", 5).look(b"up, up"), None);
        assert_eq!(Search::new("up", 50).look(b"up, up"), None);
    }

    #[test]
    fn the_first_in_the_text_wins() {
        let mut any = AnyOf::new(["panic", "login:"], 0);
        assert_eq!(any.look(b"login: panic"), Some((1, 0..6)));
    }

    #[test]
    fn a_line_is_cut_out_without_its_neighbours() {
        assert_eq!(line_around(b"one\r\ntwo words\r\nthree", 6), "two words");
        assert_eq!(line_around(b"only", 2), "only");
    }

    proptest! {
        #[test]
        fn chunks_make_no_difference(text in "[ab]{0,40}", pattern in "[ab]{1,5}", cuts in prop::collection::vec(0usize..40, 0..6)) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.push(text.len());
            cuts.sort_unstable();
            let mut search = Search::new(&pattern, 0);
            let found = cuts.iter().find_map(|&cut| search.look(&text.as_bytes()[..cut]));
            prop_assert_eq!(found.map(|range| range.start), text.find(&pattern));
        }
    }
}
