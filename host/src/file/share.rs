//! One file becomes a clone of another, a piece at a time.
//!
//! The kernel keeps the source locked while it clones from it, and with 100,000 extents that is seconds in which the
//! source gets no further name: no VM starts on that version. Between two pieces, others come in. All pieces together
//! take no longer than one clone of the whole.

use super::Progress;
use ebbtide_format::units::Bytes;
use ebbtide_sys::reflink;
use nix::errno::Errno;
use std::{
    fs::File,
    io,
    time::{Duration, Instant},
};

/// What the first piece has; every other has a multiple of it too, which is whole blocks of any file system.
pub(crate) const SMALLEST: u64 = 1 << 20;
/// How long a piece should take.
const WANTED: Duration = Duration::from_millis(3);
/// How many times as large as the piece before it one is at most: extents may be denser there.
const GROWTH: u128 = 4;

/// Makes `to`, an empty file, a clone of `from`, which nobody writes to.
///
/// # Errors
/// As [`reflink::clone_range`], and `EINVAL` when `from` is a disk.
pub(crate) fn share(from: &File, to: &File, progress: &mut dyn Progress) -> io::Result<()> {
    let found = from.metadata()?;
    if !found.is_file() {
        return Err(Errno::EINVAL.into());
    }
    let whole = found.len();
    let (mut done, mut piece) = (0, SMALLEST);
    while done < whole {
        let began = Instant::now();
        let length = piece.min(whole - done);
        reflink::clone_range(from, done, length, to, done)?;
        done += length;
        progress.bytes(Bytes(done), Bytes(whole));
        piece = next(piece, began.elapsed());
    }
    Ok(())
}

/// Returns how large the next piece is, after one of `piece` bytes that took as long as `took`.
fn next(piece: u64, took: Duration) -> u64 {
    let within = u128::from(piece) * WANTED.as_nanos() / took.as_nanos().max(1);
    let bytes = within.clamp(u128::from(piece) / GROWTH, u128::from(piece) * GROWTH);
    let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
    (bytes - bytes % SMALLEST).max(SMALLEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_follow_the_time_that_they_take() {
        assert_eq!(next(8 * SMALLEST, WANTED), 8 * SMALLEST);
        assert_eq!(next(8 * SMALLEST, WANTED * 2), 4 * SMALLEST);
        assert_eq!(next(8 * SMALLEST, WANTED / 2), 16 * SMALLEST);
    }

    #[test]
    fn pieces_change_by_steps_and_stay_whole_blocks() {
        assert_eq!(next(8 * SMALLEST, Duration::ZERO), 32 * SMALLEST);
        assert_eq!(next(8 * SMALLEST, Duration::from_secs(9)), 2 * SMALLEST);
        assert_eq!(next(SMALLEST, Duration::from_secs(9)), SMALLEST);
        for piece in [SMALLEST, 3 * SMALLEST, u64::MAX - u64::MAX % SMALLEST] {
            for took in [Duration::ZERO, WANTED * 3, Duration::MAX] {
                assert_eq!(next(piece, took) % SMALLEST, 0);
            }
        }
    }

    #[test]
    fn a_file_of_100_gib_in_one_extent_is_few_pieces() {
        let (mut done, mut piece, mut pieces) = (0, SMALLEST, 0);
        while done < 100 << 30 {
            done += piece;
            piece = next(piece, Duration::from_micros(50));
            pieces += 1;
        }
        assert_eq!(pieces, 10);
    }
}
