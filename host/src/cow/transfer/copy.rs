//! Runs that are read and written.

use crate::{
    Error, Result,
    cow::{Disk, Run},
};
use std::os::unix::fs::FileExt as _;

/// How much is read at once.
const PIECE: usize = 1 << 20;

/// Copies what it is given.
pub(super) struct Copier<'a> {
    from: &'a Disk,
    to: &'a Disk,
    buffer: Vec<u8>,
}

impl<'a> Copier<'a> {
    pub(super) fn new(from: &'a Disk, to: &'a Disk) -> Self {
        Self { from, to, buffer: vec![0; PIECE] }
    }

    pub(super) fn take(&mut self, run: Run) -> Result<()> {
        let mut done = 0;
        while done < run.length {
            let length = usize::try_from(run.length - done).map_or(PIECE, |left| left.min(PIECE));
            let piece = &mut self.buffer[..length];
            let (from, at) = (run.from + done, run.at + done);
            self.from.file.read_exact_at(piece, from).map_err(Error::doing(format!(
                "read {length} bytes of {} at {from}",
                self.from.path.display()
            )))?;
            self.to.file.write_all_at(piece, at).map_err(Error::doing(format!(
                "write {length} bytes to {} at {at}",
                self.to.path.display()
            )))?;
            done += length as u64;
        }
        Ok(())
    }

    pub(super) fn end(self) -> Result<()> {
        Ok(())
    }
}
