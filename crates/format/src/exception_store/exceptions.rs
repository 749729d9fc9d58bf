//! The exceptions in a metadata chunk.

use super::EXCEPTION;

/// A chunk that was copied, as the store says it; [check](super::Header::check) it first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exception {
    /// Which chunk of the origin it is.
    pub old: u64,
    /// Which chunk of the store has its data.
    pub new: u64,
}

/// Iterator over exceptions up to the one that ends them all, or to the end of what was read.
#[derive(Clone, Debug)]
pub struct Exceptions<'a> {
    pairs: &'a [[u8; EXCEPTION as usize]],
    ended: bool,
}

/// Returns the exceptions in the metadata of an area, or in a piece of it; a part of one at its end is left out.
#[must_use]
pub fn exceptions(area: &[u8]) -> Exceptions<'_> {
    Exceptions { pairs: area.as_chunks().0, ended: false }
}

impl Exceptions<'_> {
    /// Tells whether the exception that ends all was met: no more follow, in this area or in another.
    #[must_use]
    pub const fn ended(&self) -> bool {
        self.ended
    }
}

impl Iterator for Exceptions<'_> {
    type Item = Exception;

    fn next(&mut self) -> Option<Exception> {
        let (pair, rest) = self.pairs.split_first()?;
        let both = u128::from_le_bytes(*pair);
        let (old, new) = (both as u64, (both >> 64) as u64);
        if new == 0 {
            (self.pairs, self.ended) = (&[], true);
            return None;
        }
        self.pairs = rest;
        Some(Exception { old, new })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn area(numbers: &[u64]) -> Vec<u8> {
        numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
    }

    #[test]
    fn a_new_chunk_of_0_ends_them_all() {
        let area = area(&[7, 2, 0, 3, 5, 0, 9, 4]);
        let mut all = exceptions(&area);
        let found: Vec<_> = all.by_ref().map(|exception| (exception.old, exception.new)).collect();
        assert_eq!(found, [(7, 2), (0, 3)]);
        assert!(all.ended());
        assert_eq!(all.next(), None);
    }

    #[test]
    fn a_full_area_does_not_say_that_it_is_the_end() {
        let area = area(&[7, 2, 0, 3]);
        let mut all = exceptions(&area);
        assert_eq!(all.by_ref().count(), 2);
        assert!(!all.ended());
        assert_eq!(exceptions(&area[..31]).count(), 1);
        assert_eq!(exceptions(&[]).count(), 0);
    }
}
