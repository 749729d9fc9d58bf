//! Pieces of runs that are read together, and written together.
//!
//! They are written in the order of the device, and read in the order of the COW file: in a store, that is the order in
//! which the chunks were first written to.

use crate::{
    Error, Result,
    cow::{Disk, Run},
};
use ebbtide_sys::writeback;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use std::os::unix::fs::FileExt as _;

/// How many bytes a batch has at most.
const MOST: usize = 4 << 20;

/// Pieces in the order of the device, and their content.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pieces: Vec<Piece>,
    /// The content of all pieces, one after another.
    content: Vec<u8>,
    /// How much of it is used.
    length: usize,
}

#[derive(Debug)]
struct Piece {
    run: Run,
    /// Where its content is in the batch's.
    start: usize,
}

impl Batch {
    /// Takes as much of a run as there is room for, and returns the rest.
    pub(super) fn take(&mut self, run: Run) -> Option<Run> {
        let room = MOST - self.length;
        let length = usize::try_from(run.length).map_or(room, |length| length.min(room));
        if length > 0 {
            let taken = Run { length: length as u64, ..run };
            self.pieces.push(Piece { run: taken, start: self.length });
            self.length += length;
        }
        let taken = length as u64;
        let left = run.length - taken;
        (left > 0).then(|| Run { at: run.at + taken, from: run.from + taken, length: left })
    }

    /// Returns how many bytes it has.
    pub(super) const fn length(&self) -> u64 {
        self.length as u64
    }

    /// Forgets its pieces.
    pub(super) fn clear(&mut self) {
        self.pieces.clear();
        self.length = 0;
    }

    /// Reads all pieces.
    pub(super) fn read(&mut self, from: &Disk) -> Result<()> {
        if self.content.len() < self.length {
            self.content.resize(self.length, 0);
        }
        let mut order: Vec<_> = self.pieces.iter().collect();
        order.sort_unstable_by_key(|piece| piece.run.from);
        for piece in &order {
            announce(from, piece.run);
        }
        for Piece { run: Run { from: at, length, .. }, start } in order {
            let end = start + usize::try_from(*length).unwrap_or_default();
            from.file.read_exact_at(&mut self.content[*start..end], *at).map_err(Error::doing(
                format!("read {length} bytes of {} at {at}", from.path.display()),
            ))?;
        }
        Ok(())
    }

    /// Writes all pieces, those that touch each other together, and sets them on their way to the disk.
    pub(super) fn write(&self, to: &Disk) -> Result<()> {
        let mut content = &self.content[..self.length];
        for chunk in self.pieces.chunk_by(|one, next| one.run.at + one.run.length == next.run.at) {
            let at = chunk[0].run.at;
            let length = chunk.iter().map(|piece| piece.run.length).sum::<u64>();
            let (now, later) = content.split_at(usize::try_from(length).unwrap_or_default());
            to.file.write_all_at(now, at).map_err(Error::doing(format!(
                "write {length} bytes to {} at {at}",
                to.path.display()
            )))?;
            content = later;
        }
        if let (Some(first), Some(last)) = (self.pieces.first(), self.pieces.last()) {
            let range = first.run.at..last.run.at + last.run.length;
            if let Err(error) = writeback::start(&to.file, range) {
                log::debug!("{} is written back later: {error}", to.path.display());
            }
        }
        Ok(())
    }
}

/// Tells the kernel what will be read.
fn announce(from: &Disk, run: Run) {
    let (Ok(at), Ok(length)) = (i64::try_from(run.from), i64::try_from(run.length)) else { return };
    // What cannot be read ahead is read when it is needed.
    let _ = posix_fadvise(&from.file, at, length, PosixFadviseAdvice::POSIX_FADV_WILLNEED);
}
