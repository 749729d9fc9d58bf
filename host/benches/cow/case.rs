//! What was written over a backing: where, and in which order.

use super::random::{Of, Random, fill};
use std::ops::Range;

/// What pieces are whole multiples of: the block of a guest's file system.
const BLOCK: u64 = 4096;
const MIB: u64 = 1 << 20;

/// A backing and the pieces that were written over it.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// Bytes of the backing.
    pub(crate) size: u64,
    /// What was written, in the order of the device.
    pub(crate) pieces: Vec<Range<u64>>,
    /// In which order they were written: numbers of pieces.
    pub(crate) order: Vec<usize>,
}

/// What was written, in memory.
pub(crate) struct Written {
    /// In the order of the device.
    pub(crate) pieces: Vec<Range<u64>>,
    /// All of them, one after the other.
    pub(crate) bytes: Vec<u8>,
}

/// 2 GiB, 200 MiB of it in random pieces of 4 to 64 KiB.
pub(crate) fn scattered() -> Case {
    let size = 2048 * MIB;
    let mut random = Random(0x7363_6174);
    let mut pieces = Vec::new();
    let mut left = 200 * MIB;
    while left > 0 {
        let length = (BLOCK * (1 + random.below(16))).min(left);
        pieces.push(length);
        left -= length;
    }
    // Pieces and what lies between them: what is free, shared out at random, in whole blocks, never nothing.
    let count = pieces.len() as u64;
    let free = (size - 200 * MIB) / BLOCK - count;
    let mut cuts: Vec<u64> = pieces.iter().map(|_| random.below(free)).collect();
    cuts.sort_unstable();
    let (mut pieces_at, mut before) = (Vec::new(), 0);
    for (at, (length, cut)) in pieces.into_iter().zip(cuts).enumerate() {
        let begin = (cut + at as u64) * BLOCK + before;
        pieces_at.push(begin..begin + length);
        before += length;
    }
    Case::new("scattered", size, pieces_at, &mut random)
}

/// 1 GiB, half of it: every other MiB.
pub(crate) fn dense() -> Case {
    let pieces = (0..512).map(|at| 2 * at * MIB..(2 * at + 1) * MIB).collect();
    Case::new("dense", 1024 * MIB, pieces, &mut Random(0x6465_6e73))
}

/// 256 MiB, five pieces of 16 KiB.
pub(crate) fn tiny() -> Case {
    let pieces = (0..5).map(|at| at * 51 * MIB + BLOCK..at * 51 * MIB + 5 * BLOCK).collect();
    Case::new("tiny", 256 * MIB, pieces, &mut Random(0x7469_6e79))
}

impl Case {
    pub(crate) fn new(
        name: &'static str,
        size: u64,
        pieces: Vec<Range<u64>>,
        random: &mut Random,
    ) -> Self {
        let mut order: Vec<usize> = (0..pieces.len()).collect();
        for at in (1..order.len()).rev() {
            order.swap(at, random.below(at as u64 + 1) as usize);
        }
        Self { name, size, pieces, order }
    }

    /// Returns how much was written.
    pub(crate) fn bytes(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.end - piece.start).sum()
    }

    /// Returns the pieces in the order in which they were written.
    pub(crate) fn as_written(&self) -> impl Iterator<Item = &Range<u64>> {
        self.order.iter().map(|at| &self.pieces[*at])
    }

    /// Returns what was written as a store with chunks of `chunk` bytes has it: whole chunks, the rest of each as in the
    /// backing.
    pub(crate) fn written(&self, chunk: u64) -> Written {
        let mut pieces: Vec<Range<u64>> = Vec::new();
        for piece in &self.pieces {
            let whole = piece.start / chunk * chunk..piece.end.next_multiple_of(chunk);
            match pieces.last_mut() {
                Some(last) if last.end >= whole.start => last.end = whole.end,
                _ => pieces.push(whole),
            }
        }
        let length: u64 = pieces.iter().map(|piece| piece.end - piece.start).sum();
        let mut bytes = vec![0; length as usize];
        let (mut left, mut own) = (bytes.as_mut_slice(), self.pieces.iter().peekable());
        for piece in &pieces {
            let (these, rest) = left.split_at_mut((piece.end - piece.start) as usize);
            left = rest;
            fill(these, piece.start, Of::Backing);
            while let Some(own) = own.next_if(|own| own.end <= piece.end) {
                let at = (own.start - piece.start) as usize..(own.end - piece.start) as usize;
                fill(&mut these[at], own.start, Of::Written);
            }
        }
        Written { pieces, bytes }
    }
}

impl Written {
    /// Returns each piece and its bytes.
    pub(crate) fn each(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let mut left = self.bytes.as_slice();
        self.pieces.iter().map(move |piece| {
            let (these, rest) = left.split_at((piece.end - piece.start) as usize);
            left = rest;
            (piece.start, these)
        })
    }
}
