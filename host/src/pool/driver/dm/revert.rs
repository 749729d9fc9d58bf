//! A kept version becomes the current one again: its content is written to the base as a VM would, so whoever uses a
//! version of it keeps that, and then committed. A cut leaves the name that says so, and recovery puts everything back.

use super::{
    By, DmDriver, Outcome, Revision, Volume,
    chain::{Chain, chain},
    devices,
    name::Name,
    plan::{merge, open_to_write},
    seen::read_head,
    uses::{How, REVERT},
};
use crate::{
    cow::Cow,
    error::{Error, Refusal, RefusalKind, Result},
    file::{all_data, united},
    pool::{
        protocol::{revert::no_revision, sync_dir},
        step::Step,
        store::Unseen,
    },
};
use ebbtide_format::units::Bytes;
use std::{fs::File, io, ops::Range, os::unix::fs::FileExt as _, path::Path};

/// How much is copied at once.
const PIECE: usize = 1 << 20;

impl DmDriver {
    pub(super) fn revert_to(&self, volume: &Volume, to: Revision) -> Result<Outcome> {
        let lock = self.lock()?;
        let seen = self.committed(volume, "reverted")?;
        let kept = seen.kept(&volume.files);
        let chain = chain(&kept, to).filter(|_| seen.revision(to).is_some());
        let chain = chain.ok_or_else(|| no_revision(volume, &seen.revisions(), to))?;
        self.whole(volume, to, &chain)?;
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
        let mut steps =
            vec![Step::Link { from: volume.files.clean(), to: mark.clone() }, sync_dir(volume)];
        // The current version may be an import of less.
        let whole = devices::whole(size);
        if whole > base.size {
            steps.push(Step::Grow { path: volume.files.clean(), size: whole });
        }
        self.steps(&steps).inspect_err(|_| self.undo_locked(volume))?;
        let begun = self.map_to_write(base.inode, volume);
        // Others start and stop meanwhile.
        drop(lock);
        let written = begun.and_then(|()| {
            let device = self.devices.path(&Name::Origin(base.inode));
            self.write(volume, &chain, &device, size)
        });
        let placed = written.and_then(|()| {
            let _lock = self.lock()?;
            self.reconcile(base.inode, volume, |used| used.how == How::Writes)?;
            let seen = self.look(volume)?;
            let retention = volume.retention.at_least(1);
            let by = By { mark, purpose: "revert-store", retention, same_as };
            let plan = self.planner(volume, &seen).commit(&by)?;
            self.apply(volume, plan)
        });
        placed.inspect_err(|_| self.undo(volume))
    }

    /// Refuses a version of which the kernel gave up a part, before anything is written.
    fn whole(&self, volume: &Volume, of: Revision, chain: &Chain) -> Result<()> {
        for delta in &chain.deltas {
            if read_head(&self.store.real(delta))?.is_lost {
                let text = format!(
                    "version {of} of {} is lost: the kernel gave up {}, when a write to it failed",
                    volume.id,
                    delta.display()
                );
                let hint = "see 'ebbtide pool check'; versions after that one are whole";
                return Err(Refusal::new(RefusalKind::Unable, text).hint(hint).into());
            }
        }
        Ok(())
    }

    /// Writes a version of `size` bytes to the origin of its base, and zeros behind it: a disk does not shrink.
    fn write(&self, volume: &Volume, chain: &Chain, device: &Path, size: Bytes) -> Result<()> {
        let writing = || Error::doing(format!("write to {}", device.display()));
        let disk = open_to_write(device)?;
        let now = File::open(self.store.real(&volume.files.clean())).map_err(writing())?;
        match &chain.base {
            None => {
                for delta in &chain.deltas {
                    merge(&Cow::open(&self.store.real(delta))?, &disk, &mut Unseen)?;
                }
            }
            Some(base) => {
                let of = match chain.deltas.is_empty() {
                    true => File::open(self.store.real(base)).map_err(writing())?,
                    // Put together aside: versions between may be larger than both.
                    false => self.put_together(volume, base, &chain.deltas, size)?,
                };
                write_all(&of, &now, &disk.file, size.0).map_err(writing())?;
            }
        }
        let parts = all_data(&now, disk.size.0).map_err(writing())?;
        let behind = parts.into_iter().filter(|part| part.end > size.0);
        let zeros = vec![0; PIECE];
        for part in behind {
            pieces(part.start.max(size.0)..part.end)
                .try_for_each(|piece| disk.file.write_all_at(&zeros[..length(&piece)], piece.start))
                .map_err(writing())?;
        }
        disk.file.sync_all().map_err(writing())
    }
}

/// Writes the first `size` bytes of a file over what is there now: holes of both stay.
fn write_all(of: &File, now: &File, to: &File, size: u64) -> io::Result<()> {
    let mut parts = all_data(of, size)?;
    parts.extend(all_data(now, size)?);
    let mut buffer = vec![0; PIECE];
    for piece in united(parts).into_iter().flat_map(pieces) {
        let buffer = &mut buffer[..length(&piece)];
        of.read_exact_at(buffer, piece.start)?;
        to.write_all_at(buffer, piece.start)?;
    }
    Ok(())
}

/// Divides a part.
fn pieces(part: Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let end = part.end;
    part.step_by(PIECE).map(move |start| start..end.min(start + PIECE as u64))
}

fn length(piece: &Range<u64>) -> usize {
    usize::try_from(piece.end - piece.start).unwrap_or(PIECE)
}
