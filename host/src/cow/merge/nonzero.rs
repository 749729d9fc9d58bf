//! How much of what is copied is not zeros: those are left out of a file that is made from nothing.

use crate::{
    Error, Result,
    cow::{
        Disk, Run,
        transfer::{Part, split::copied},
    },
    file::sparse,
};
use std::os::unix::fs::FileExt as _;

/// How much is read at once.
const PIECE: usize = 1 << 20;

/// Reads what is copied of parts, and counts the bytes of blocks that are not zeros; when it is more than `most`, how much
/// more is not said.
///
/// # Errors
/// The first that a part gave; it cannot be read.
pub(super) fn nonzero<'a>(
    mut parts: impl Iterator<Item = Result<Part<'a>>>,
    to: &Disk,
    block: Option<u64>,
    most: u64,
) -> Result<u64> {
    let mut piece = vec![0; PIECE];
    parts.try_fold(0, |count, part| {
        let part = part?;
        copied(&part, block, to.size)
            .into_iter()
            .flatten()
            .try_fold(count, |count, run| of_run(run, part.from, &mut piece, count, most))
    })
}

fn of_run(run: Run, from: &Disk, piece: &mut [u8], mut count: u64, most: u64) -> Result<u64> {
    let end = run.from + run.length;
    let mut at = run.from;
    while at < end && count <= most {
        let length = usize::try_from(end - at).map_or(PIECE, |left| left.min(PIECE));
        let piece = &mut piece[..length];
        let path = from.path.display();
        from.file
            .read_exact_at(piece, at)
            .map_err(Error::doing(format_args!("read {length} bytes of {path} at {at}")))?;
        count += sparse::runs(piece).iter().map(|run| run.len() as u64).sum::<u64>();
        at += length as u64;
    }
    Ok(count)
}
