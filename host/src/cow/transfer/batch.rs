//! Pieces of runs that are read together, and written together.
//!
//! They are written in the order of the device, and read in the order of the COW file: in a store, that is the order in
//! which the chunks were first written to.

use super::Zeros;
use crate::{
    Error, Result,
    cow::{Disk, Run},
    file::sparse,
};
use ebbtide_sys::writeback;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use std::{ops::Range, os::unix::fs::FileExt as _};

/// How many bytes a batch has at most.
const MOST: usize = 4 << 20;

/// Pieces in the order of the device, and their content.
#[derive(Debug, Default)]
pub(super) struct Batch<'a> {
    pieces: Vec<Piece<'a>>,
    /// The content of all pieces, one after another.
    content: Vec<u8>,
    /// How much of it is used.
    length: usize,
}

#[derive(Debug)]
struct Piece<'a> {
    run: Run,
    from: &'a Disk,
    /// Which part of the batch's content is its own.
    content: Range<usize>,
}

impl<'a> Batch<'a> {
    /// Takes as much of a run as there is room for, and returns the rest.
    pub(super) fn take(&mut self, run: Run, from: &'a Disk) -> Option<Run> {
        let room = MOST - self.length;
        let length = usize::try_from(run.length).map_or(room, |length| length.min(room));
        let taken = length as u64;
        if length > 0 {
            let content = self.length..self.length + length;
            self.pieces.push(Piece { run: Run { length: taken, ..run }, from, content });
            self.length += length;
        }
        let left = run.length - taken;
        (left > 0).then(|| Run { at: run.at + taken, from: run.from + taken, length: left })
    }

    /// Forgets its pieces.
    pub(super) fn clear(&mut self) {
        self.pieces.clear();
        self.length = 0;
    }

    /// Reads all pieces.
    pub(super) fn read(&mut self) -> Result<()> {
        if self.content.len() < self.length {
            self.content.resize(self.length, 0);
        }
        let mut order: Vec<_> = self.pieces.iter().collect();
        order.sort_unstable_by_key(|piece| (piece.from.node, piece.run.from));
        order.iter().for_each(|piece| piece.announce());
        for piece in order {
            piece.read(&mut self.content[piece.content.clone()])?;
        }
        Ok(())
    }

    /// Writes all pieces, those that touch each other together, and sets them on their way to the disk.
    pub(super) fn write(&self, to: &Disk, zeros: Zeros) -> Result<()> {
        for pieces in self.pieces.chunk_by(|one, next| one.run.range().end == next.run.at) {
            let (Some(first), Some(last)) = (pieces.first(), pieces.last()) else { continue };
            let content = &self.content[first.content.start..last.content.end];
            write(content, to, first.run.at, zeros)?;
        }
        if let (Some(first), Some(last)) = (self.pieces.first(), self.pieces.last())
            && let Err(error) = writeback::start(&to.file, first.run.at..last.run.range().end)
        {
            log::debug!("{} is written back later: {error}", to.path.display());
        }
        Ok(())
    }
}

impl Piece<'_> {
    /// Tells the kernel that it will be read.
    fn announce(&self) {
        let number = |of: u64| i64::try_from(of).unwrap_or_default();
        let (at, length) = (number(self.run.from), number(self.run.length));
        let wanted = PosixFadviseAdvice::POSIX_FADV_WILLNEED;
        // What is not read ahead is read when it is needed.
        let _ = posix_fadvise(&self.from.file, at, length, wanted);
    }

    fn read(&self, content: &mut [u8]) -> Result<()> {
        let Self { run: Run { from: at, length, .. }, from, .. } = self;
        let path = from.path.display();
        from.file
            .read_exact_at(content, *at)
            .map_err(Error::doing(format_args!("read {length} bytes of {path} at {at}")))
    }
}

/// Writes what touches each other.
fn write(content: &[u8], to: &Disk, at: u64, zeros: Zeros) -> Result<()> {
    let write = |content: &[u8], at| {
        let doing = format_args!("write {} bytes to {} at {at}", content.len(), to.path.display());
        to.file.write_all_at(content, at).map_err(Error::doing(doing))
    };
    match zeros {
        Zeros::Written => write(content, at),
        Zeros::LeftOut => sparse::runs(content)
            .into_iter()
            .try_for_each(|run| write(&content[run.clone()], at + run.start as u64)),
    }
}
