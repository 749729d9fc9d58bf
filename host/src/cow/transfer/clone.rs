//! Runs that become extents which both files share.

use super::{
    Done, Sharing,
    split::{Parts, split},
};
use crate::{
    Error, Result,
    cow::{Disk, Kind, Run},
    file::cannot_share,
};
use ebbtide_sys::reflink;
use nix::sys::statvfs::fstatvfs;

/// Clones what it can.
pub(super) struct Cloner<'a> {
    from: &'a Disk,
    to: &'a Disk,
    /// The file system's block; none when nothing can be cloned.
    block: Option<u64>,
}

impl<'a> Cloner<'a> {
    pub(super) fn new(from: &'a Disk, to: &'a Disk, how: Sharing) -> Result<Self> {
        let files = from.kind == Kind::File && to.kind == Kind::File;
        let block = if how == Sharing::WhereItCan && files { block(to)? } else { None };
        Ok(Self { from, to, block })
    }

    /// Clones the middle of a run, and returns what of it is to be copied.
    pub(super) fn take(&mut self, run: Run, done: &mut Done) -> Result<[Option<Run>; 2]> {
        let Some(block) = self.block else { return Ok([Some(run), None]) };
        let ends =
            run.at + run.length == self.to.size.0 && run.from + run.length == self.from.size.0;
        let Parts { head, middle, tail } = split(run, block, ends);
        let Some(middle) = middle else { return Ok([head, tail]) };
        let Run { at, from, length } = middle;
        match reflink::clone_range(&self.from.file, from, length, &self.to.file, at) {
            Ok(()) => {
                done.clones += 1;
                done.cloned.0 += length;
                Ok([head, tail])
            }
            Err(error) if cannot_share(&error) => {
                log::debug!("{} is copied, not cloned: {error}", self.from.path.display());
                self.block = None;
                Ok([Some(run), None])
            }
            Err(error) => {
                let (from_path, to) = (self.from.path.display(), self.to.path.display());
                let doing =
                    format!("clone {length} bytes of {from_path} at {from} to {to} at {at}");
                Err(Error::doing(doing)(error))
            }
        }
    }
}

/// Returns the block that clones are whole multiples of.
fn block(to: &Disk) -> Result<Option<u64>> {
    let doing = || format!("look at the file system of {}", to.path.display());
    let found = fstatvfs(&to.file).map_err(|errno| Error::doing(doing())(errno.into()))?;
    let block = found.fragment_size();
    Ok(block.is_power_of_two().then_some(block))
}
