//! The rules of snapshots.

use super::{
    machine::{Machine, Shot},
    rules::Model,
};

impl Model {
    pub(crate) fn snapshot(&mut self, name: &str) -> Option<()> {
        let name = self.resolve(name)?;
        let of = self.vms[&name].clone();
        let mut disks = of.disks.clone();
        for (disk, version) in &mut disks {
            // What runs may be written to, so it is a copy.
            if of.runs || of.dirty.contains_key(disk) {
                *version = self.version(of.dirty.get(disk).copied().unwrap_or(version.byte));
            }
        }
        let id = self.new_id();
        self.vms.get_mut(&name)?.parent = Some(id);
        self.snapshots.insert(id, Shot { parent: of.parent, disks, of });
        Some(())
    }

    pub(crate) fn revert(&mut self, id: u32) -> Option<()> {
        let shot = self.snapshots.get(&id)?.clone();
        let its = |(_, vm): &(&String, &Machine)| vm.uuid == shot.of.uuid;
        let name = self.vms.iter().find(its)?.0.clone();
        let template = shot.of.template.filter(|template| self.is_template(template));
        let machine = self.still(&name)?;
        if shot.disks.keys().any(|disk| machine.dirty.contains_key(disk)) {
            return None;
        }
        machine.disks.extend(shot.disks);
        machine.template = template.or(machine.template.take());
        machine.parent = Some(id);
        Some(())
    }

    pub(crate) fn clone_snapshot(&mut self, id: u32, name: &str) -> Option<()> {
        let shot = self.snapshots.get(&id)?.clone();
        self.is_free(name)?;
        if shot.of.template.as_ref().is_some_and(|template| !self.is_template(template)) {
            return None;
        }
        let mut new = self.blank(shot.of.template, shot.of.own_root);
        (new.disks, new.parent) = (shot.disks, Some(id));
        self.vms.insert(name.into(), new);
        Some(())
    }

    pub(crate) fn remove_snapshot(&mut self, id: u32) -> Option<()> {
        let gone = self.snapshots.remove(&id)?.parent;
        let parents = self.snapshots.values_mut().map(|child| &mut child.parent);
        let parents = parents.chain(self.vms.values_mut().map(|vm| &mut vm.parent));
        parents.filter(|parent| **parent == Some(id)).for_each(|parent| *parent = gone);
        Some(())
    }
}
