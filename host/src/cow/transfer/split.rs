//! Which part of a run can be cloned.

use crate::cow::Run;

/// A run in parts, each of which may be missing: the middle is whole blocks in the COW file and in the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) head: Option<Run>,
    pub(super) middle: Option<Run>,
    pub(super) tail: Option<Run>,
}

impl Parts {
    /// Nothing of a run can be cloned.
    pub(super) const fn copied(run: Run) -> Self {
        Self { head: Some(run), middle: None, tail: None }
    }
}

/// Splits a run for a file system with blocks of `block` bytes, a power of two. A run that `ends` both files needs no
/// whole block at its end.
pub(super) fn split(run: Run, block: u64, ends: bool) -> Parts {
    let in_block = run.at & (block - 1);
    if in_block != run.from & (block - 1) {
        return Parts::copied(run);
    }
    let head = (block - in_block) & (block - 1);
    if head >= run.length {
        return Parts::copied(run);
    }
    let left = run.length - head;
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

fn part(run: Run, skip: u64, length: u64) -> Option<Run> {
    (length > 0).then(|| Run { at: run.at + skip, from: run.from + skip, length })
}
