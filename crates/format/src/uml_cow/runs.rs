//! A bitmap as runs of sectors.

use core::ops::Range;

/// Runs of sectors whose bits are set, in order, as long as they can be.
#[derive(Clone, Debug)]
pub struct Runs<'a> {
    bitmap: &'a [u8],
    first: u64,
    /// The next bit to look at.
    at: u64,
    /// Bits that count.
    end: u64,
}

/// Returns which sectors are in the COW file, by a piece of its bitmap: bit 0 of its first byte stands for the sector
/// `first`, and `sectors` of its bits count, or as many as there are.
#[must_use]
pub fn runs(bitmap: &[u8], first: u64, sectors: u64) -> Runs<'_> {
    let bits = u64::try_from(bitmap.len()).unwrap_or(u64::MAX).saturating_mul(8);
    Runs { bitmap, first, at: 0, end: sectors.min(bits).min(u64::MAX - first) }
}

impl Runs<'_> {
    /// Returns the first bit from `at` on that is set, or that is not; the end when there is none.
    fn boundary(&self, at: u64, is_set: bool) -> u64 {
        let mut at = at;
        while at < self.end {
            let word = self.word(at / 8);
            let rest = (if is_set { word } else { !word }) >> (at % 8);
            if rest != 0 {
                return (at + u64::from(rest.trailing_zeros())).min(self.end);
            }
            at = (at / 8 + 8).saturating_mul(8);
        }
        self.end
    }

    /// Returns eight bytes of the bitmap from this one on; those past its end are zeros.
    fn word(&self, byte: u64) -> u64 {
        let rest = usize::try_from(byte).ok().and_then(|byte| self.bitmap.get(byte..));
        let rest = rest.unwrap_or_default();
        if let Some(word) = rest.first_chunk() {
            return u64::from_le_bytes(*word);
        }
        rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
    }
}

impl Iterator for Runs<'_> {
    type Item = Range<u64>;

    fn next(&mut self) -> Option<Range<u64>> {
        let start = self.boundary(self.at, true);
        if start >= self.end {
            self.at = self.end;
            return None;
        }
        self.at = self.boundary(start, false);
        Some(self.first + start..self.first + self.at)
    }
}
