//! How an image is laid out: its size, and where it has data.

use std::fmt;

/// What is written at each place of an image in many pieces.
pub(crate) const BLOCK: u64 = 4096;

/// Size and number of extents of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Whole, in GiB.
    pub(crate) gib: u64,
    /// How many extents it has.
    pub(crate) extents: u64,
}

/// All that are measured: the first is what the largest is compared with.
pub(crate) const SHAPES: [Shape; 9] = [
    Shape { gib: 1, extents: 1 },
    Shape { gib: 10, extents: 1 },
    Shape { gib: 100, extents: 1 },
    Shape { gib: 1, extents: 10_000 },
    Shape { gib: 10, extents: 10_000 },
    Shape { gib: 100, extents: 10_000 },
    Shape { gib: 1, extents: 100_000 },
    Shape { gib: 10, extents: 100_000 },
    Shape { gib: 100, extents: 100_000 },
];

impl Shape {
    /// Returns the size in bytes.
    pub(crate) fn bytes(self) -> u64 {
        self.gib << 30
    }

    /// Returns where the blocks go, in the order in which they are written: one anywhere in each of as many equal
    /// parts, never beside another one, in an order without order.
    pub(crate) fn places(self) -> Vec<u64> {
        let part = self.bytes() / BLOCK / self.extents.max(1);
        let mut random = Random(self.bytes() ^ self.extents);
        let place = |at: u64, random: &mut Random| {
            // The last block of a part stays free, so that the block of the next part is no neighbour.
            BLOCK * (at * part + random.below(part - 1))
        };
        let mut places: Vec<u64> = (0..self.extents).map(|at| place(at, &mut random)).collect();
        for at in (1..places.len()).rev() {
            places.swap(at, random.below(at as u64 + 1) as usize);
        }
        places
    }
}

/// `10g-100k`
impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.extents {
            few @ 0..1000 => write!(f, "{}g-{few}", self.gib),
            many => write!(f, "{}g-{}k", self.gib, many / 1000),
        }
    }
}

/// Numbers that are the same in every run (xorshift64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit.max(1)
    }
}
