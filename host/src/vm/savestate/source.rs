//! What a machine can go on from: a savestate, or a snapshot with memory.

use super::read::{list, matching};
use crate::{
    error::{Error, Refusal, RefusalKind, Result},
    name::{VmName, VolumeName},
    pool::{Pool, SNAPSHOTS, driver::Disk, protocol::uncommitted},
    vm::{
        Guard, InstantDisk, Memory, Run,
        instant::{MEMORY, instants},
        life::prepare_by,
        snapshots,
    },
    volume::{FileKind, files::file_name},
};
use std::{
    fs::File,
    path::{Path, PathBuf},
};
use uuid::Uuid;

/// The memory of a machine, and its disks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// That of the savestate or snapshot.
    pub uuid: Uuid,
    /// The UUID of the VM that the machine was of, where that is known.
    pub of: Option<Uuid>,
    /// The VM's name at that time.
    pub vm: VmName,
    /// What the machine was.
    pub memory: Memory,
    disks: Vec<InstantDisk>,
    dir: PathBuf,
}

impl Source {
    /// Opens the memory, to be read.
    ///
    /// # Errors
    /// It is gone.
    pub fn open(&self, pool: &Pool) -> Result<File> {
        let path = pool.store().real(&self.dir.join(MEMORY));
        File::open(&path).map_err(Error::doing(format!("open {}", path.display())))
    }
}

/// Returns the savestate, or the snapshot with memory, that has that UUID or is the only one whose UUID begins so, or the
/// only snapshot with that label.
///
/// # Errors
/// There is none, or there are several.
pub fn source(pool: &Pool, id: &str) -> Result<Source> {
    let (all, _) = list(pool)?;
    let found = matching(all, |savestate| savestate.uuid, id).into_iter();
    let mut found: Vec<Source> = found
        .map(|savestate| Source {
            uuid: savestate.uuid,
            of: Some(savestate.of),
            dir: savestate.dir(),
            vm: savestate.vm,
            memory: savestate.memory,
            disks: savestate.disks,
        })
        .collect();
    let (all, _) = snapshots(pool)?;
    let mut those = matching(all.clone(), |snapshot| snapshot.uuid, id);
    if found.is_empty() && those.is_empty() {
        those = all;
        those.retain(|snapshot| snapshot.label.as_deref() == Some(id));
    }
    let without = those.iter().any(|snapshot| snapshot.memory.is_none());
    found.extend(those.into_iter().filter_map(|snapshot| {
        let dir = Path::new(SNAPSHOTS).join(snapshot.uuid.to_string());
        Some(Source {
            uuid: snapshot.uuid,
            of: snapshot.snapshot_of,
            vm: snapshot.vm,
            dir,
            memory: snapshot.memory?,
            disks: snapshot.disks,
        })
    }));
    match (found.pop(), found.len()) {
        (Some(source), 0) => Ok(source),
        (None, _) if without => {
            let text = format!("snapshot {id} has no memory: no machine can go on from it");
            let hint = "'ebbtide snapshot clone' makes a VM with its disks";
            Err(Refusal::new(RefusalKind::Rule, text).hint(hint).into())
        }
        (None, _) => {
            let text = format!("there is no savestate and no snapshot {id}");
            let hint = "'ebbtide savestate list' and 'ebbtide snapshot list' show what is there";
            Err(Refusal::new(RefusalKind::Missing, text).hint(hint).into())
        }
        (Some(_), more) => {
            let text = format!("{id} is the beginning of {} savestates and snapshots", more + 1);
            Err(Refusal::new(RefusalKind::Invalid, text).hint("give more of it").into())
        }
    }
}

/// Does what [`crate::vm::prepare`] does with the disks of a machine that somebody goes on from: what the guest writes goes to
/// disks of the VM's own. `run` has become that of a machine that stands, for as long as [`crate::vm::goes_on`] was not told.
///
/// # Errors
/// The VM has other disks, or something uncommitted; the driver writes disks in place; and as for that.
pub fn prepare_from(
    pool: &Pool,
    guard: &Guard,
    run: &mut Run,
    source: &Source,
) -> Result<Vec<Disk>> {
    let vm = guard.vm();
    let driver = instants(pool, vm)?;
    let named = |name: &VolumeName| source.disks.iter().any(|disk| disk.volume == *name);
    let volumes = vm.volumes(pool)?;
    let missing: Vec<&str> = volumes
        .iter()
        .map(|volume| &volume.id.volume)
        .filter(|name| !named(name))
        .map(VolumeName::as_str)
        .collect();
    if !missing.is_empty() || source.disks.len() != volumes.len() {
        let theirs: Vec<&str> = source.disks.iter().map(|disk| disk.volume.as_str()).collect();
        let ours: Vec<&str> = volumes.iter().map(|volume| volume.id.volume.as_str()).collect();
        let text = format!(
            "{} cannot go on from {}: that machine has the disks {}, this one {}",
            vm.name,
            source.uuid,
            theirs.join(", "),
            ours.join(", ")
        );
        return Err(Refusal::new(RefusalKind::Rule, text).into());
    }
    // Before the run is written: what is on the disks of one that stands goes with it.
    for volume in volumes.iter().filter(|volume| volume.role.is_kept()) {
        let dirty = volume.files.dirty();
        let found = pool.store().stat(&dirty);
        if found.map_err(Error::doing(format!("look at {}", dirty.display())))?.is_some() {
            return Err(uncommitted(volume, "resumed").into());
        }
    }
    (run.resumed, run.stands) = (Some(source.uuid), true);
    let access = vm.root_access();
    prepare_by(pool, guard, run.clone(), &|volume| {
        let from = source.dir.join(file_name(&volume.id.volume, &FileKind::Clean));
        driver.resume(volume, &from, access)
    })
}
