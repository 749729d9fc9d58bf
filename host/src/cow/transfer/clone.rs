//! Runs that become extents which both files share.

use super::{
    Done, Part, Sharing,
    split::{Parts, split},
};
use crate::{
    Error, Result,
    cow::{Disk, Kind, Run},
    file::cannot_share,
};
use ebbtide_format::units::Bytes;
use ebbtide_sys::reflink;
use nix::sys::statvfs::fstatvfs;

/// Clones what it can.
pub(super) struct Cloner<'a> {
    to: &'a Disk,
    /// The file system's block; none when nothing can be cloned.
    block: Option<u64>,
}

impl<'a> Cloner<'a> {
    pub(super) fn new(to: &'a Disk) -> Result<Self> {
        Ok(Self { to, block: block(to)? })
    }

    /// Clones the middle of a part, and returns what of it is to be copied.
    pub(super) fn take(&mut self, part: &Part<'_>, done: &mut Done) -> Result<[Option<Run>; 2]> {
        let Part { run, from, sharing } = *part;
        let all = [Some(run), None];
        let Some(block) = self.block else { return Ok(all) };
        if sharing == Sharing::Never || from.kind == Kind::Device {
            return Ok(all);
        }
        let Parts { head, middle, tail } = split(run, block, from.size, self.to.size);
        let Some(middle) = middle else { return Ok(all) };
        match reflink::clone_range(&from.file, middle.from, middle.length, &self.to.file, middle.at)
        {
            Ok(()) => {
                done.clones += 1;
                done.cloned.0 += middle.length;
                Ok([head, tail])
            }
            Err(error) if cannot_share(&error) => {
                log::debug!("{} is copied, not cloned: {error}", from.path.display());
                self.block = None;
                Ok(all)
            }
            Err(error) => Err(Error::doing(format!(
                "clone {} of {} at {} to {} at {}",
                Bytes(middle.length),
                from.path.display(),
                middle.from,
                self.to.path.display(),
                middle.at
            ))(error)),
        }
    }
}

/// Returns the block that whatever is cloned is whole multiples of; none for a device.
pub(in crate::cow) fn block(to: &Disk) -> Result<Option<u64>> {
    if to.kind == Kind::Device {
        return Ok(None);
    }
    let doing = || format!("look at the file system of {}", to.path.display());
    let found = fstatvfs(&to.file).map_err(|errno| Error::doing(doing())(errno.into()))?;
    let block = found.fragment_size();
    Ok(block.is_power_of_two().then_some(block))
}
