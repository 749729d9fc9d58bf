//! The devices of a pool, made what the names of its files want. Whoever calls has them locked.

use super::{
    DmDriver, Volume,
    beside::is_used_beside,
    devices::{Change, Found},
    name::Name,
    reconcile::{Open, reconcile},
    uses::{self, How, Use, uses, wanted},
};
use crate::{
    error::{Error, Refusal, RefusalKind, Result},
    pool::{
        step::Step,
        store::{Inode, Stat},
    },
    volume::FileKind,
};

impl DmDriver {
    pub(super) fn found(&self, which: impl Fn(&Name) -> bool) -> Result<Vec<Found>> {
        self.devices.found(&which).map_err(Error::doing("list the mapped devices"))
    }

    pub(super) fn find(&self, name: &Name) -> Result<Option<Found>> {
        self.devices.find(name).map_err(Error::doing(format!("look at {name}")))
    }

    pub(super) fn change(&self, changes: &[Change]) -> Result<()> {
        for change in changes {
            log::info!("{change}");
            self.devices.apply(change).map_err(Error::doing(change))?;
        }
        Ok(())
    }

    /// Has the devices over a base be what its uses want, but for some of them. Nothing is changed when one that would
    /// have to go is open. The volume is one of those that use it.
    pub(super) fn reconcile(
        &self,
        base: Inode,
        volume: &Volume,
        but: impl Fn(&Use) -> bool,
    ) -> Result<()> {
        let found = self.found_over(base)?;
        let stays = |used: &Use| !but(used) && used.goes_on(&found);
        let changes = self.changes_for(base, volume, &found, stays)?;
        self.change_over(base, &changes)
    }

    /// Has the devices over a base be what its uses want, and what is begun now.
    pub(super) fn reconcile_for(
        &self,
        base: Inode,
        volume: &Volume,
        now: impl Fn(&Use) -> bool,
    ) -> Result<()> {
        let found = self.found_over(base)?;
        let wanted = |used: &Use| now(used) || used.goes_on(&found);
        let changes = self.changes_for(base, volume, &found, wanted)?;
        self.change_over(base, &changes)
    }

    /// Maps what a volume is written by.
    pub(super) fn map_to_write(&self, base: Inode, volume: &Volume) -> Result<()> {
        self.reconcile_for(base, volume, |used| used.how == How::Writes)
    }

    /// Ends a use: its name of the store goes as soon as nothing is in the way, and the device after that. A version that
    /// was unmapped while a VM writes lacks what was written since, so nothing may have it mapped again.
    pub(super) fn end_using(&self, base: Inode, volume: &Volume, kind: &FileKind) -> Result<()> {
        let path = volume.files.used().path(kind);
        let store = uses::stat(&*self.store, &path)?;
        let stays = match store.filter(|_| *kind == FileKind::Clean) {
            Some(store) => self.stays_mapped(base, volume, store)?,
            None => false,
        };
        let is_it = |used: &Use| used.files == volume.files && used.how == How::Reads(kind.clone());
        let changes = if stays {
            Vec::new()
        } else {
            let found = self.found_over(base)?;
            let goes_on = |used: &Use| !is_it(used) && used.goes_on(&found);
            self.changes_for(base, volume, &found, goes_on)?
        };
        if store.is_some() {
            self.steps(&[Step::Remove(path)])?;
        }
        self.change_over(base, &changes)
    }

    /// Returns whether a version stays mapped when one of its users goes, and nothing has to change.
    fn stays_mapped(&self, base: Inode, volume: &Volume, store: Stat) -> Result<bool> {
        let name = Name::Snapshot { base, store: store.inode };
        let is_used = is_used_beside(&*self.store, &volume.files, store)?;
        Ok(is_used && self.is_settled(base, name)?)
    }

    /// Returns whether a version is there and what writes to its base is not held back, as whoever was killed in the
    /// middle of a change would leave it: one user more or less, of many, changes no device then. This takes the same
    /// time whatever else there is.
    pub(super) fn is_settled(&self, base: Inode, version: Name) -> Result<bool> {
        let origin = self.find(&Name::Origin(base))?;
        if origin.is_some_and(|origin| !origin.is_live || origin.suspended) {
            return Ok(false);
        }
        Ok(self.find(&version)?.is_some_and(|version| version.is_live && !version.suspended))
    }

    fn found_over(&self, base: Inode) -> Result<Vec<Found>> {
        self.found(|name| name.base() == Some(base))
    }

    /// Returns what changes when the uses of a base are those.
    fn changes_for(
        &self,
        base: Inode,
        volume: &Volume,
        found: &[Found],
        of: impl Fn(&Use) -> bool,
    ) -> Result<Vec<Change>> {
        let mut near = vec![volume.files.dir.as_path()];
        near.extend(volume.source.as_ref().map(|source| source.dir.as_path()));
        let all = uses(&*self.store, base, &near)?;
        let (uses, gone): (Vec<Use>, Vec<Use>) = all.into_iter().partition(of);
        let wanted = wanted(&*self.store, base, &uses)?;
        // A version that was not wanted before either, and that somebody has open, is in nobody's way.
        let was_used = |store| gone.iter().any(|used| used.inode == Some(store));
        let concerns = |device: &&Found| match device.name {
            Name::Snapshot { store, .. } if device.opened > 0 => {
                wanted.snapshots.contains_key(&store) || was_used(store)
            }
            _ => true,
        };
        let found: Vec<Found> = found.iter().filter(concerns).cloned().collect();
        Ok(reconcile(&wanted, &found).map_err(|Open(name)| self.open(&name))?)
    }

    fn change_over(&self, base: Inode, changes: &[Change]) -> Result<()> {
        self.change(changes).inspect_err(|_| self.let_go_on(base))
    }

    /// Lets what is written to a base go on, where a change that failed has left it held back: a VM waits for it.
    fn let_go_on(&self, base: Inode) {
        let origin = Name::Origin(base);
        let gone_on = self.find(&origin).and_then(|found| match found {
            Some(found) if found.is_live && found.suspended => {
                self.change(&[Change::Resume(origin)])
            }
            _ => Ok(()),
        });
        if let Err(error) = gone_on {
            log::warn!("{error}; who writes to {origin} waits until the next command");
        }
    }

    /// Removes a device that no other is over, if it is there.
    pub(super) fn unmap(&self, name: Name) -> Result<()> {
        match self.find(&name)? {
            None => Ok(()),
            Some(found) if found.opened > 0 => Err(self.open(&name).into()),
            Some(_) => self.change(&[Change::Remove(name)]),
        }
    }

    /// Returns the refusal of a device that has to go and is open.
    fn open(&self, name: &Name) -> Refusal {
        let holders = self.devices.holders(name);
        let who = if holders.is_empty() { "somebody".into() } else { holders.join(", ") };
        let text = format!("{} is in use by {who}", self.devices.path(name).display());
        Refusal::new(RefusalKind::Busy, text).hint("end that first, and try again")
    }
}
