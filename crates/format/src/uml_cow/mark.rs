//! Bits of sectors that are in a COW file.

use core::ops::Range;

/// Sets the bits of `sectors` in a piece of a bitmap, whose bit 0 stands for the sector `first`. Those that it has no room
/// for are left out.
pub fn mark(bitmap: &mut [u8], first: u64, sectors: Range<u64>) {
    let bits = u64::try_from(bitmap.len()).unwrap_or(u64::MAX).saturating_mul(8);
    let bit = |sector: u64| sector.saturating_sub(first).min(bits);
    let (start, end) = (bit(sectors.start), bit(sectors.end));
    if start >= end {
        return;
    }
    let byte = |bit: u64| usize::try_from(bit / 8).unwrap_or(usize::MAX);
    let last = byte(end - 1);
    let Some(bytes) = bitmap.get_mut(byte(start)..=last) else { return };
    let (head, tail) = (0xff << (start % 8), 0xff >> (7 - (end - 1) % 8));
    match bytes {
        [] => {}
        [only] => *only |= head & tail,
        [head_byte, whole @ .., tail_byte] => {
            *head_byte |= head;
            whole.fill(0xff);
            *tail_byte |= tail;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uml_cow::runs;
    use alloc::{vec, vec::Vec};
    use proptest::prelude::*;

    #[test]
    fn the_least_significant_bit_is_the_first_sector() {
        let mut bitmap = [0; 3];
        mark(&mut bitmap, 16, 17..19);
        assert_eq!(bitmap, [0b110, 0, 0]);
        mark(&mut bitmap, 16, 22..34);
        assert_eq!(bitmap, [0b1100_0110, 0xff, 0b11]);
    }

    #[test]
    fn sectors_outside_of_the_piece_are_left_out() {
        let mut bitmap = [0; 2];
        for outside in [0..8, 24..u64::MAX, 12..12, Range { start: 15, end: 9 }] {
            mark(&mut bitmap, 8, outside);
        }
        mark(&mut [], 8, 0..u64::MAX);
        assert_eq!(bitmap, [0; 2]);
        mark(&mut bitmap, 8, 0..u64::MAX);
        assert_eq!(bitmap, [0xff; 2]);
    }

    proptest! {
        #[test]
        fn what_is_marked_is_read_back(
            first in 0_u64..100, bits in prop::collection::vec(any::<bool>(), 1..400),
        ) {
            let mut bitmap = vec![0; bits.len().div_ceil(8)];
            let mut wanted: Vec<Range<u64>> = Vec::new();
            for (sector, _) in (first..).zip(&bits).filter(|(_, bit)| **bit) {
                match wanted.last_mut() {
                    Some(run) if run.end == sector => run.end += 1,
                    _ => wanted.push(sector..sector + 1),
                }
            }
            for run in &wanted {
                mark(&mut bitmap, first, run.clone());
            }
            let found: Vec<_> = runs(&bitmap, first, bits.len() as u64).collect();
            prop_assert_eq!(found, wanted);
        }
    }
}
