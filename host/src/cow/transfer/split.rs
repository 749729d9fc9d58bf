//! Which part of a run can be cloned.

use super::{Part, Sharing};
use crate::cow::Run;
use ebbtide_format::units::Bytes;

/// A run in parts, each of which may be missing: the middle is whole blocks in the COW file and in the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cow) struct Parts {
    pub(in crate::cow) head: Option<Run>,
    pub(in crate::cow) middle: Option<Run>,
    pub(in crate::cow) tail: Option<Run>,
}

impl Parts {
    /// Nothing of a run can be cloned.
    const fn copied(run: Run) -> Self {
        Self { head: Some(run), middle: None, tail: None }
    }
}

/// Splits a run for a file system with blocks of `block` bytes, a power of two. Where both files end, with these sizes, no
/// whole block is needed.
pub(in crate::cow) fn split(run: Run, block: u64, from: Bytes, to: Bytes) -> Parts {
    let in_block = run.at & (block - 1);
    let head = (block - in_block) & (block - 1);
    if in_block != run.from & (block - 1) || head >= run.length {
        return Parts::copied(run);
    }
    let left = run.length - head;
    let ends = run.from + run.length == from.0 && run.at + run.length == to.0;
    let tail = if ends { 0 } else { left & (block - 1) };
    let middle = left - tail;
    if middle == 0 {
        return Parts::copied(run);
    }
    Parts {
        head: part(run, 0, head),
        middle: part(run, head, middle),
        tail: part(run, head + middle, tail),
    }
}

/// Returns what of a part is copied, as far as the file systems can be believed: all that is not cloned.
pub(in crate::cow) fn copied(part: &Part<'_>, block: Option<u64>, to: Bytes) -> [Option<Run>; 2] {
    match (block, part.sharing) {
        (Some(block), Sharing::WhereItCan) => {
            let Parts { head, tail, .. } = split(part.run, block, part.from.size, to);
            [head, tail]
        }
        _ => [Some(part.run), None],
    }
}

fn part(run: Run, skip: u64, length: u64) -> Option<Run> {
    (length > 0).then(|| Run { at: run.at + skip, from: run.from + skip, length })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BLOCK: u64 = 4096;
    const SIZE: Bytes = Bytes(1 << 40);

    fn run(at: u64, from: u64, length: u64) -> Run {
        Run { at, from, length }
    }

    #[test]
    fn whole_blocks_are_one_clone() {
        let whole = run(8192, 4096, 3 * BLOCK);
        let parts = Parts { head: None, middle: Some(whole), tail: None };
        assert_eq!(split(whole, BLOCK, SIZE, SIZE), parts);
    }

    #[test]
    fn what_is_not_a_whole_block_is_copied() {
        let parts = Parts {
            head: Some(run(512, 4608, 3584)),
            middle: Some(run(4096, 8192, 4096)),
            tail: Some(run(8192, 12288, 1024)),
        };
        assert_eq!(split(run(512, 4608, 3584 + 4096 + 1024), BLOCK, SIZE, SIZE), parts);
        for small in [run(0, 4096, 4095), run(1, 4097, 4096), run(4095, 4095, 4096)] {
            assert_eq!(split(small, BLOCK, SIZE, SIZE), Parts::copied(small));
        }
    }

    #[test]
    fn other_places_in_their_blocks_are_copied() {
        let shifted = run(0, 512, 100 * BLOCK);
        assert_eq!(split(shifted, BLOCK, SIZE, SIZE), Parts::copied(shifted));
    }

    #[test]
    fn a_part_of_a_block_is_cloned_where_both_files_end_and_nowhere_else() {
        let last = run(8192, 4096, 5000);
        let (from, to) = (Bytes(9096), Bytes(13192));
        assert_eq!(split(last, BLOCK, from, to).middle, Some(last));
        for (from, to) in [(Bytes(9097), to), (from, Bytes(13193))] {
            assert_eq!(split(last, BLOCK, from, to).middle, Some(run(8192, 4096, 4096)));
        }
    }

    proptest! {
        #[test]
        fn parts_are_the_run_and_the_middle_is_whole_blocks(
            at in 0_u64..20_000, from in 0_u64..20_000, length in 1_u64..50_000, shift in 9_u32..17,
        ) {
            let (block, whole) = (1 << shift, run(at, from, length));
            let Parts { head, middle, tail } = split(whole, block, SIZE, SIZE);
            let mut joined: Option<Run> = None;
            for part in [head, middle, tail].into_iter().flatten() {
                prop_assert!(part.length > 0);
                joined = Some(match joined {
                    None => part,
                    Some(before) => before.joined(part).unwrap(),
                });
            }
            prop_assert_eq!(joined, Some(whole));
            if let Some(Run { at, from, length }) = middle {
                prop_assert_eq!((at | from | length) % block, 0);
            }
        }
    }
}
