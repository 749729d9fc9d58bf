//! Where two files may differ, told from where their data lies.
//!
//! In: the extents of both. Out: the ranges that have to be looked at. Everything else lies at one place for both, or
//! is a hole in both.

use super::BLOCK;
use ebbtide_sys::fiemap::Extent;
use std::{iter::Peekable, ops::Range};

/// A file's length and its extents in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Layout {
    /// Bytes. From there on it counts as a hole.
    pub size: u64,
    /// What is no hole.
    pub pieces: Vec<Piece>,
}

/// A part of a file that is no hole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Bytes in the file, not empty.
    pub range: Range<u64>,
    /// Where the first of them lies.
    pub place: Place,
}

/// Where data lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// At this byte of the disk: who has the same has the same content.
    At(u64),
    /// Not known, or it says nothing about the content.
    Unsure,
}

/// Flags of extents that are what they seem. With any other, two files had one map and different content: compressed
/// extents are one on the disk for several parts of files, and inline ones have no place.
const PLAIN: u32 = Extent::LAST | Extent::MERGED | Extent::SHARED;

impl Layout {
    /// Returns the layout of a file of `size` bytes.
    #[must_use]
    pub fn new(size: u64, extents: &[Extent]) -> Self {
        let piece = |extent: &Extent| {
            let range = extent.logical..extent.logical.saturating_add(extent.length).min(size);
            let is_plain = extent.flags & !PLAIN == 0;
            let place = if is_plain { Place::At(extent.physical) } else { Place::Unsure };
            Piece { range, place }
        };
        let pieces = extents.iter().map(piece).filter(|piece| !piece.range.is_empty()).collect();
        Self { size, pieces }
    }

    /// Returns it for a comparison with a file of another disk: the same place means nothing there.
    #[must_use]
    pub fn of_another_disk(mut self) -> Self {
        self.pieces.iter_mut().for_each(|piece| piece.place = Place::Unsure);
        self
    }
}

/// Returns the ranges where the files may differ: whole blocks, in order, apart from each other.
#[must_use]
pub fn candidates(one: &Layout, other: &Layout) -> Vec<Range<u64>> {
    let mut found = Ranges::default();
    let (mut one, mut other) = (Sweep::new(one), Sweep::new(other));
    let mut at = 0;
    loop {
        let (here, there) = (one.next_from(at), other.next_from(at));
        let end = here.end.min(there.end);
        if end == u64::MAX {
            return found.0;
        }
        let is_same = match (here.place, there.place) {
            (None, None) => true,
            (Some(Place::At(here)), Some(Place::At(there))) => here == there,
            _ => false,
        };
        if !is_same {
            found.add(at / BLOCK * BLOCK..end.div_ceil(BLOCK) * BLOCK);
        }
        at = end;
    }
}

/// What lies at a byte, and up to where.
struct Stretch {
    place: Option<Place>,
    /// `u64::MAX` behind the last piece.
    end: u64,
}

/// A way through a file, forwards.
struct Sweep<'a>(Peekable<std::slice::Iter<'a, Piece>>);

impl<'a> Sweep<'a> {
    fn new(layout: &'a Layout) -> Self {
        Self(layout.pieces.iter().peekable())
    }

    fn next_from(&mut self, at: u64) -> Stretch {
        while self.0.next_if(|piece| piece.range.end <= at).is_some() {}
        match self.0.peek() {
            None => Stretch { place: None, end: u64::MAX },
            Some(piece) if at < piece.range.start => {
                Stretch { place: None, end: piece.range.start }
            }
            Some(piece) => {
                let place = match piece.place {
                    Place::At(first) => Place::At(first.wrapping_add(at - piece.range.start)),
                    Place::Unsure => Place::Unsure,
                };
                Stretch { place: Some(place), end: piece.range.end }
            }
        }
    }
}

/// Ranges in order; those that touch become one.
#[derive(Debug, Default)]
pub(super) struct Ranges(pub(super) Vec<Range<u64>>);

impl Ranges {
    pub(super) fn add(&mut self, range: Range<u64>) {
        match self.0.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => self.0.push(range),
        }
    }
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "one range is what is meant")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn layout(size: u64, extents: &[(u64, u64, u64, u32)]) -> Layout {
        let extents: Vec<_> = extents
            .iter()
            .map(|&(logical, physical, length, flags)| {
                Extent::new(logical * BLOCK, physical * BLOCK, length * BLOCK, flags)
            })
            .collect();
        Layout::new(size, &extents)
    }

    fn blocks(one: &Layout, other: &Layout) -> Vec<Range<u64>> {
        let found = candidates(one, other);
        assert_eq!(found, candidates(other, one));
        found.into_iter().map(|range| range.start / BLOCK..range.end / BLOCK).collect()
    }

    #[test]
    fn the_same_place_is_the_same_content_however_it_is_divided() {
        let whole = layout(10 * BLOCK, &[(0, 100, 10, Extent::LAST | Extent::SHARED)]);
        let parts = layout(10 * BLOCK, &[(0, 100, 3, 0), (3, 103, 7, Extent::LAST)]);
        assert!(blocks(&whole, &parts).is_empty());
        let moved = layout(10 * BLOCK, &[(0, 100, 3, 0), (3, 50, 1, 0), (4, 104, 6, 0)]);
        assert_eq!(blocks(&whole, &moved), [3..4]);
    }

    #[test]
    fn a_hole_differs_from_data_alone() {
        let empty = layout(10 * BLOCK, &[]);
        let some = layout(10 * BLOCK, &[(2, 100, 3, 0), (8, 200, 1, 0)]);
        assert_eq!(blocks(&empty, &some), [2..5, 8..9]);
        assert!(blocks(&empty, &layout(1 << 50, &[])).is_empty());
    }

    #[test]
    fn a_place_that_says_nothing_is_looked_at() {
        let flags = [
            Extent::UNKNOWN,
            Extent::DELALLOC,
            Extent::ENCODED,
            Extent::NOT_ALIGNED,
            Extent::INLINE,
            Extent::TAIL,
            Extent::UNWRITTEN,
            1 << 31,
        ];
        for flag in flags {
            let one = layout(4 * BLOCK, &[(0, 100, 1, 0), (1, 101, 1, flag), (2, 102, 2, 0)]);
            assert_eq!(blocks(&one, &one.clone()), [1..2], "{flag:#x}");
        }
        let one = layout(4 * BLOCK, &[(1, 100, 2, 0)]).of_another_disk();
        assert_eq!(blocks(&one, &one.clone()), [1..3]);
    }

    #[test]
    fn the_block_in_which_one_of_them_ends_is_looked_at() {
        let long = layout(2 * BLOCK, &[(0, 100, 2, 0)]);
        let short = layout(2 * BLOCK - 100, &[(0, 100, 2, 0)]);
        assert_eq!(blocks(&long, &short), [1..2]);
        assert!(blocks(&short, &short.clone()).is_empty());
    }

    /// Extents from gaps, lengths, places and flags, in bytes: not every file system's blocks are ours.
    fn layouts() -> impl Strategy<Value = Layout> {
        let piece = (0_u64..4, 1_u64..9, 0_u64..12, prop::bool::weighted(0.2));
        (0_u64..40_000, prop::collection::vec(piece, 0..12)).prop_map(|(size, pieces)| {
            let mut at = 0;
            let mut extents = Vec::new();
            for (gap, length, place, is_unsure) in pieces {
                at += gap * 1024;
                let flags = if is_unsure { Extent::UNKNOWN } else { 0 };
                extents.push(Extent::new(at, place * 1024, length * 1024, flags));
                at += length * 1024;
            }
            Layout::new(size, &extents)
        })
    }

    fn place(layout: &Layout, at: u64) -> Option<Place> {
        let piece = layout.pieces.iter().find(|piece| piece.range.contains(&at))?;
        Some(match piece.place {
            Place::At(first) => Place::At(first + at - piece.range.start),
            Place::Unsure => Place::Unsure,
        })
    }

    proptest! {
        #[test]
        fn a_block_is_a_candidate_exactly_when_one_of_its_bytes_is(one in layouts(), other in layouts()) {
            let found = candidates(&one, &other);
            prop_assert!(found.windows(2).all(|pair| pair[0].end < pair[1].start));
            for block in (0..32).map(|block| block * BLOCK) {
                let differs = (block..block + BLOCK).step_by(4).any(|at| {
                    let (here, there) = (place(&one, at), place(&other, at));
                    here != there || here == Some(Place::Unsure)
                });
                let listed = found.iter().any(|range| range.contains(&block));
                prop_assert_eq!(listed, differs, "block at {}", block);
            }
        }
    }
}
