//! A kept version becomes the current one again: its content is written to the base as a VM would, so whoever uses a
//! version of it keeps that, and then committed. A cut leaves the name that says so, and recovery puts everything back.

use super::{
    By, DmDriver, Outcome, Revision, Volume,
    chain::{Chain, chain},
    name::Name,
    plan::{merge, open_to_write},
    uses::{How, REVERT},
};
use crate::{
    error::{Error, Result},
    file::next_data,
    pool::{
        protocol::{revert::no_revision, sync_dir},
        step::Step,
        store::Unseen,
    },
};
use ebbtide_format::units::Bytes;
use std::{fs::File, os::unix::fs::FileExt as _, path::Path};

/// How much is copied at once.
const PIECE: u64 = 1 << 20;

impl DmDriver {
    pub(super) fn revert_to(&self, volume: &Volume, to: Revision) -> Result<Outcome> {
        let lock = self.lock()?;
        let seen = self.committed(volume, "reverted")?;
        let kept = seen.kept(&volume.files);
        let chain = chain(&kept, to).filter(|_| seen.revision(to).is_some());
        let chain = chain.ok_or_else(|| no_revision(volume, &seen.revisions(), to))?;
        let same_as = seen.content(to);
        if seen.head.is_some_and(|head| head.label.same_as == same_as) {
            self.steps(&[sync_dir(volume)])?;
            return Ok(Outcome::Unchanged);
        }
        let Some(base) = seen.base.clean else { return Ok(Outcome::Unchanged) };
        let size = match seen.heads.get(&to) {
            Some(head) => head.label.device,
            None => seen.revision(to).map_or(base.size, |stat| stat.size),
        };
        let mark = volume.files.aside(REVERT);
        self.steps(&[
            Step::Link { from: volume.files.clean(), to: mark.clone() },
            sync_dir(volume),
        ])?;
        let begun = self.reconcile(base.inode, |_| false);
        // Others start and stop meanwhile.
        drop(lock);
        let written = begun.and_then(|()| {
            let device = self.devices.path(&Name::Origin(base.inode));
            self.write(&chain, &device, size.min(base.size), base.size)
        });
        let placed = written.and_then(|()| {
            let _lock = self.lock()?;
            self.reconcile(base.inode, |used| used.how == How::Writes)?;
            let seen = self.look(volume)?;
            let retention = volume.retention.at_least(1);
            let by = By { mark, purpose: "revert-store", retention, same_as };
            let plan = self.given(volume, &seen).commit(&by)?;
            self.apply(volume, plan)
        });
        placed.inspect_err(|_| self.undo(volume))
    }

    /// Writes a version of `size` bytes to the origin of its base, and zeros behind it: a disk does not shrink.
    fn write(&self, chain: &Chain, device: &Path, size: Bytes, whole: Bytes) -> Result<()> {
        let writing = || Error::doing(format!("write to {}", device.display()));
        let to = File::options().write(true).open(device).map_err(writing())?;
        if let Some(base) = &chain.base {
            self.write_all(base, &to, size).map_err(writing())?;
        }
        let disk = open_to_write(device)?;
        for delta in &chain.deltas {
            merge(&self.store.real(delta), &disk, &mut Unseen)?;
        }
        let zeros = vec![0; PIECE as usize];
        let mut at = size.0;
        while at < whole.0 {
            let piece = &zeros[..(whole.0 - at).min(PIECE) as usize];
            to.write_all_at(piece, at).map_err(writing())?;
            at += piece.len() as u64;
        }
        to.sync_all().map_err(writing())
    }

    /// Writes all of a file, holes as zeros.
    fn write_all(&self, from: &Path, to: &File, size: Bytes) -> std::io::Result<()> {
        let file = File::open(self.store.real(from))?;
        let mut buffer = vec![0; PIECE as usize];
        let mut at = 0;
        while at < size.0 {
            let piece = &mut buffer[..(size.0 - at).min(PIECE) as usize];
            let end = at + piece.len() as u64;
            match next_data(&file, at..end)? {
                Some(_) => file.read_exact_at(piece, at)?,
                None => piece.fill(0),
            }
            to.write_all_at(piece, at)?;
            at = end;
        }
        Ok(())
    }
}
