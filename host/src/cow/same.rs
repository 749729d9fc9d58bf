//! Whether two files have the same content.

use crate::file::{Progress, next_data};
use ebbtide_format::units::Bytes;
use std::{fs::File, io, os::unix::fs::FileExt as _};

/// How much of each is read at once.
const PIECE: usize = 1 << 20;

/// Returns the first byte in which two files of `size` bytes differ. What is a hole in both is not read.
///
/// # Errors
/// The kernel's; `UnexpectedEof` when one is shorter.
pub(super) fn first_difference(
    one: &File,
    other: &File,
    size: Bytes,
    progress: &mut dyn Progress,
) -> io::Result<Option<u64>> {
    let mut pieces = [vec![0; PIECE], vec![0; PIECE]];
    let mut at = 0;
    while let Some(data) = either(one, other, at, size)? {
        at = data;
        let length = usize::try_from(size.0 - at).map_or(PIECE, |left| left.min(PIECE));
        let [first, second] = pieces.each_mut().map(|piece| &mut piece[..length]);
        one.read_exact_at(first, at)?;
        other.read_exact_at(second, at)?;
        if first != second {
            let differs = first.iter().zip(second.iter()).position(|(one, other)| one != other);
            return Ok(differs.map(|offset| at + offset as u64));
        }
        at += length as u64;
        progress.bytes(Bytes(at), size);
    }
    progress.bytes(size, size);
    Ok(None)
}

/// Returns where the next byte is that is not in a hole of both.
fn either(one: &File, other: &File, at: u64, size: Bytes) -> io::Result<Option<u64>> {
    let next = |file| io::Result::Ok(next_data(file, at..size.0)?.map(|data| data.start));
    Ok(next(one)?.into_iter().chain(next(other)?).min())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::Unseen;

    #[test]
    fn the_first_difference_is_found_and_holes_are_zeros() {
        let size = Bytes((5 << 20) + 100);
        let [one, other] = [(); 2].map(|()| tempfile::tempfile().unwrap());
        for file in [&one, &other] {
            file.set_len(size.0).unwrap();
        }
        let found = || first_difference(&one, &other, size, &mut Unseen).unwrap();
        one.write_all_at(&[0; 10_000], 1 << 20).unwrap();
        assert_eq!(found(), None);
        for at in [size.0 - 1, (3 << 20) + 7, (1 << 20) - 1, 0] {
            other.write_all_at(b"x", at).unwrap();
            assert_eq!(found(), Some(at));
        }
        one.write_all_at(b"x", 0).unwrap();
        assert_eq!(found(), Some((1 << 20) - 1));
        one.set_len(100).unwrap();
        first_difference(&one, &other, size, &mut Unseen).unwrap_err();
    }
}
