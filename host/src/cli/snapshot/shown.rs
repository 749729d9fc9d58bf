//! Snapshots and their VMs as JSON, with the names of XenAPI.

use ebbtide::{
    Result, VmName,
    name::VolumeName,
    pool::Pool,
    vm::{InstantDisk, Snapshot, Status, Vm, Whose, disk_uuid, status},
};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;
use uuid::Uuid;

/// A VM, or a snapshot of one.
#[derive(Debug, Serialize)]
pub(crate) struct VmShown<'a> {
    uuid: Option<Uuid>,
    name_label: Option<&'a str>,
    is_a_snapshot: bool,
    snapshot_of: Option<Uuid>,
    snapshot_time: Option<Timestamp>,
    snapshots: Vec<Uuid>,
    parent: Option<Uuid>,
    children: Vec<Uuid>,
    power_state: Option<&'static str>,
    vm: &'a VmName,
    vdis: Vec<VdiShown>,
}

/// A disk, or a snapshot of one; sizes in bytes.
#[derive(Debug, Serialize)]
struct VdiShown {
    uuid: Uuid,
    is_a_snapshot: bool,
    snapshot_of: Option<Uuid>,
    snapshot_time: Option<Timestamp>,
    snapshots: Vec<Uuid>,
    virtual_size: Option<u64>,
    physical_utilisation: Option<u64>,
    userdevice: String,
}

/// Who came after whom.
#[derive(Debug)]
pub(crate) struct Family<'a> {
    pool: &'a Pool,
    snapshots: &'a [Snapshot],
    children: BTreeMap<Uuid, Vec<Uuid>>,
}

impl<'a> Family<'a> {
    /// Looks at snapshots and at the VMs that began with one.
    pub(crate) fn of(pool: &'a Pool, snapshots: &'a [Snapshot]) -> Result<Self> {
        let mut children: BTreeMap<_, Vec<_>> = BTreeMap::new();
        let vms = pool.vms()?.vms;
        let of_vms = vms.iter().map(|vm| (vm.record.uuid, vm.record.parent));
        for (uuid, parent) in snapshots.iter().map(|one| (one.uuid, one.parent)).chain(of_vms) {
            if let Some(parent) = parent {
                children.entry(parent).or_default().push(uuid);
            }
        }
        Ok(Self { pool, snapshots, children })
    }

    /// Returns a snapshot.
    pub(crate) fn snapshot<'b>(&self, snapshot: &'b Snapshot) -> VmShown<'b> {
        VmShown {
            uuid: Some(snapshot.uuid),
            name_label: snapshot.label.as_deref(),
            is_a_snapshot: true,
            snapshot_of: snapshot.snapshot_of,
            snapshot_time: Some(snapshot.time),
            snapshots: Vec::new(),
            parent: snapshot.parent,
            children: self.children.get(&snapshot.uuid).cloned().unwrap_or_default(),
            power_state: Some(if snapshot.memory.is_some() { "Suspended" } else { "Halted" }),
            vm: &snapshot.vm,
            vdis: snapshot.disks.iter().map(|disk| self.image(snapshot, disk)).collect(),
        }
    }

    fn image(&self, snapshot: &Snapshot, disk: &InstantDisk) -> VdiShown {
        // One that cannot be looked at has no size; `pool check` says why.
        let stat = self.pool.store().stat(&snapshot.image(disk)).ok().flatten();
        VdiShown {
            uuid: disk.uuid,
            is_a_snapshot: true,
            snapshot_of: disk.snapshot_of,
            snapshot_time: Some(snapshot.time),
            snapshots: Vec::new(),
            virtual_size: stat.map(|stat| stat.size.0),
            physical_utilisation: stat.map(|stat| stat.allocated.0),
            userdevice: disk.volume.to_string(),
        }
    }

    /// Returns a VM with its snapshots. Of one that is gone it is what they tell.
    pub(crate) fn vm<'b>(&self, whose: &'b Whose) -> Result<VmShown<'b>> {
        let own = || self.snapshots.iter().filter(|snapshot| whose.has(snapshot));
        let mut disks = Disks::new();
        for disk in own().flat_map(|snapshot| &snapshot.disks) {
            if let Some(of) = disk.snapshot_of {
                let name = disk.volume.clone();
                disks.entry(of).or_insert((name, Vec::new())).1.push(disk.uuid);
            }
        }
        let (name, parent, vdis) = match whose {
            Whose::There(vm) => (&vm.name, vm.record.parent, self.disks(vm, disks)?),
            Whose::Gone { name, .. } => (name, None, gone(disks)),
        };
        Ok(VmShown {
            uuid: whose.uuid(),
            name_label: Some(name.as_str()),
            is_a_snapshot: false,
            snapshot_of: None,
            snapshot_time: None,
            snapshots: own().map(|snapshot| snapshot.uuid).collect(),
            parent,
            children: Vec::new(),
            power_state: match whose {
                Whose::There(vm) => Some(power_state(self.pool, vm)?),
                Whose::Gone { .. } => None,
            },
            vm: name,
            vdis,
        })
    }

    /// Returns the disks that a VM keeps, and others of which there are snapshots.
    fn disks(&self, vm: &Vm, mut snapshots: Disks) -> Result<Vec<VdiShown>> {
        let mut shown = Vec::new();
        for volume in vm.volumes(self.pool)? {
            let uuid = disk_uuid(vm.record.uuid, &volume.id.volume);
            let found = snapshots.remove(&uuid);
            if found.is_none() && !volume.role.is_kept() {
                continue;
            }
            let state = self.pool.driver().state(&volume)?;
            let version = state.dirty.or(state.current);
            shown.push(VdiShown {
                virtual_size: version.map(|version| version.size.0),
                physical_utilisation: version.map(|version| version.allocated.0),
                ..disk(
                    uuid,
                    &volume.id.volume,
                    found.map(|(_, snapshots)| snapshots).unwrap_or_default(),
                )
            });
        }
        shown.extend(gone(snapshots));
        Ok(shown)
    }
}

/// Disks of a VM, by their UUID: what each is called, and the snapshots of it.
type Disks = BTreeMap<Uuid, (VolumeName, Vec<Uuid>)>;

fn gone(disks: Disks) -> Vec<VdiShown> {
    let shown = disks.into_iter().map(|(uuid, (volume, snapshots))| disk(uuid, &volume, snapshots));
    shown.collect()
}

/// Returns a disk of which no size is known.
fn disk(uuid: Uuid, volume: &VolumeName, snapshots: Vec<Uuid>) -> VdiShown {
    VdiShown {
        uuid,
        is_a_snapshot: false,
        snapshot_of: None,
        snapshot_time: None,
        snapshots,
        virtual_size: None,
        physical_utilisation: None,
        userdevice: volume.to_string(),
    }
}

fn power_state(pool: &Pool, vm: &Vm) -> Result<&'static str> {
    Ok(match status(pool, vm)? {
        Status::Running(_) | Status::Prepared(_) | Status::Elsewhere(_) => "Running",
        Status::Stopped | Status::Busy { .. } | Status::CutOff(_) => "Halted",
    })
}
