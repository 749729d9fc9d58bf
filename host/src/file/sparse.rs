//! Copies without what is zero.
//!
//! In: a file or a disk, and an empty file. Out: the same content and length; a hole wherever a whole block is zero.

use super::{Progress, next_data};
use ebbtide_format::units::Bytes;
use std::{
    fs::File,
    io::{self, Seek as _, SeekFrom},
    ops::Range,
    os::unix::fs::FileExt as _,
};

/// How much is read at once.
const PIECE: usize = 1 << 20;
/// What is left out when it is zero: no file system has smaller extents that are worth it.
const BLOCK: usize = 4096;

/// Copies all of `from` to `to`, which is empty.
///
/// # Errors
/// `UnexpectedEof` when `from` becomes shorter meanwhile; else the kernel's.
pub(crate) fn copy(from: &File, to: &File, progress: &mut dyn Progress) -> io::Result<()> {
    // A disk has a length only to those who look for its end.
    let size = (&*from).seek(SeekFrom::End(0))?;
    to.set_len(size)?;
    let mut buffer = vec![0; PIECE];
    let mut at = 0;
    while let Some(data) = next_data(from, at..size)? {
        copy_data(from, to, data.clone(), &mut buffer, |done| {
            progress.bytes(Bytes(done), Bytes(size))
        })?;
        at = data.end;
    }
    progress.bytes(Bytes(size), Bytes(size));
    Ok(())
}

/// Copies these parts of a disk alone; what is between is zeros.
///
/// # Errors
/// The kernel's; `to` has a part of the content then.
pub(crate) fn copy_parts(
    from: &File,
    to: &File,
    parts: &[Range<u64>],
    progress: &mut dyn Progress,
) -> io::Result<()> {
    let size = (&*from).seek(SeekFrom::End(0))?;
    to.set_len(size)?;
    let mut buffer = vec![0; PIECE];
    for part in parts.iter().filter(|part| part.start < size) {
        let part = part.start..part.end.min(size);
        copy_data(from, to, part, &mut buffer, |done| progress.bytes(Bytes(done), Bytes(size)))?;
    }
    progress.bytes(Bytes(size), Bytes(size));
    Ok(())
}

fn copy_data(
    from: &File,
    to: &File,
    data: Range<u64>,
    buffer: &mut [u8],
    mut copied: impl FnMut(u64),
) -> io::Result<()> {
    let mut at = data.start;
    while at < data.end {
        let length = usize::try_from(data.end - at).map_or(PIECE, |left| left.min(PIECE));
        let piece = &mut buffer[..length];
        from.read_exact_at(piece, at)?;
        for run in runs(piece) {
            to.write_all_at(&piece[run.clone()], at + run.start as u64)?;
        }
        at += length as u64;
        copied(at);
    }
    Ok(())
}

/// Returns the runs of blocks that are not zero.
pub(crate) fn runs(piece: &[u8]) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for (index, block) in piece.chunks(BLOCK).enumerate() {
        if is_zero(block) {
            continue;
        }
        let start = index * BLOCK;
        match runs.last_mut() {
            Some(last) if last.end == start => last.end += block.len(),
            _ => runs.push(start..start + block.len()),
        }
    }
    runs
}

fn is_zero(block: &[u8]) -> bool {
    let (words, rest) = block.as_chunks::<16>();
    words.iter().all(|word| u128::from_ne_bytes(*word) == 0) && rest.iter().all(|byte| *byte == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::Unseen;
    use proptest::prelude::*;
    use std::os::unix::fs::MetadataExt as _;

    #[test]
    fn runs_leave_zero_blocks_out() {
        let mut piece = vec![0; 5 * BLOCK + 100];
        assert!(runs(&piece).is_empty());
        piece[BLOCK] = 1;
        piece[3 * BLOCK - 1] = 1;
        piece[5 * BLOCK + 99] = 1;
        assert_eq!(runs(&piece), [BLOCK..3 * BLOCK, 5 * BLOCK..5 * BLOCK + 100]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_copy_has_the_same_content_and_length(
            size in 0_u64..(5 << 20),
            writes in prop::collection::vec((0_u64..(4 << 20), 1_usize..20_000, 0_u8..3), 0..12),
        ) {
            let (from, to) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
            for (at, length, byte) in writes {
                from.write_all_at(&vec![byte; length], at).unwrap();
            }
            from.set_len(size).unwrap();
            copy(&from, &to, &mut Unseen).unwrap();
            let read = |file: &File| {
                let mut content = vec![0; usize::try_from(file.metadata().unwrap().len()).unwrap()];
                file.read_exact_at(&mut content, 0).unwrap();
                content
            };
            prop_assert!(read(&from) == read(&to));
        }
    }

    #[test]
    fn zeros_that_were_written_become_a_hole() {
        let (from, to) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        from.write_all_at(&vec![0; 3 << 20], 0).unwrap();
        from.write_all_at(b"end", 5 << 20).unwrap();
        let mut last = (0, 0);
        struct Seen<'a>(&'a mut (u64, u64));
        impl Progress for Seen<'_> {
            fn bytes(&mut self, done: Bytes, whole: Bytes) {
                assert!(done.0 >= self.0.0 && done.0 <= whole.0);
                *self.0 = (done.0, whole.0);
            }
        }
        copy(&from, &to, &mut Seen(&mut last)).unwrap();
        assert_eq!(last, ((5 << 20) + 3, (5 << 20) + 3));
        assert!(to.metadata().unwrap().blocks() * 512 < 1 << 20);
    }
}
