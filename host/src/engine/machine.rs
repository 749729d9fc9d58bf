//! A machine, as plain data that any engine can be told.

use crate::{
    error::{Error, Refusal, RefusalKind, Result},
    pool::{
        Pool,
        driver::{Access, Disk, Given, Volume},
    },
    vm::{
        Vm,
        record::{Engine, Network},
    },
    volume::Role,
};
use ebbtide_format::units::Bytes;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// What is booted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Boot {
    /// Whatever the root disk's boot loader boots.
    Disk,
    /// A kernel, without a boot loader.
    Kernel {
        /// The kernel's file.
        kernel: PathBuf,
        /// Its initial file system.
        initrd: Option<PathBuf>,
        /// Its command line; empty for none.
        cmdline: String,
    },
}

/// A VM with its started volumes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// What it is called.
    pub name: String,
    /// Stays the same over all its runs.
    pub uuid: Uuid,
    /// Memory of the guest.
    pub memory: Bytes,
    /// Number of its processors.
    pub cpus: u32,
    /// Its network.
    pub network: Network,
    /// What is booted.
    pub boot: Boot,
    /// Its disks, in the order in which the guest finds them. The serial of each is its volume's name.
    pub disks: Vec<Disk>,
    /// Further arguments of the engine's program.
    pub args: Vec<String>,
}

impl Machine {
    /// Returns the machine of a VM's engine settings.
    ///
    /// # Errors
    /// Settings without sense: no processor, or memory in which nothing boots.
    pub fn new(
        name: &str,
        uuid: Uuid,
        engine: &Engine,
        boot: Boot,
        disks: Vec<Disk>,
    ) -> Result<Self> {
        let refuse = |text: String| Err(Refusal::new(RefusalKind::Invalid, text));
        if engine.cpus == 0 {
            refuse(format!("{name} has 0 cpus; a machine has one at least"))?;
        }
        if engine.memory < Bytes::mib(1) {
            refuse(format!(
                "{name} has {} of memory; a machine has 1 MiB at least",
                engine.memory
            ))?;
        }
        Ok(Self {
            name: name.into(),
            uuid,
            memory: engine.memory,
            cpus: engine.cpus,
            network: engine.network,
            boot,
            disks,
            args: engine.args.clone(),
        })
    }
}

/// Returns the machine of a VM whose volumes are started.
///
/// # Errors
/// As for [`Machine::new`]; its template, or a file beside a root, cannot be looked at.
pub fn of(pool: &Pool, vm: &Vm, disks: Vec<Disk>) -> Result<Machine> {
    let record = &vm.record;
    Machine::new(vm.name.as_str(), record.uuid, &record.engine, boot(pool, vm)?, disks)
}

/// Returns the disks that a VM has once its volumes are started, whether they are or not.
///
/// # Errors
/// The template is not there, or a file cannot be looked at.
pub fn disks(pool: &Pool, vm: &Vm) -> Result<Vec<Disk>> {
    let disk = |volume: Volume| pool.driver().disk(&volume, vm.root_access());
    vm.volumes(pool)?.into_iter().map(disk).collect()
}

/// Returns disks of which nothing is known but which a guest may write to, for whoever makes them ready later.
#[must_use]
pub fn rights(vm: &Vm, volumes: &[Volume]) -> Vec<Disk> {
    let is_shared = |volume: &Volume| {
        matches!(volume.role, Role::Snapshot { .. }) && vm.root_access() == Access::Shared
    };
    let disk = |volume: &Volume| Disk {
        id: volume.id.clone(),
        path: PathBuf::new(),
        given: Given::Device,
        read_only: is_shared(volume),
        size: volume.size,
    };
    volumes.iter().map(disk).collect()
}

/// Returns what a VM boots: the kernel beside the root that it boots from, if there is one. The command line is the
/// VM's own, else its template's.
///
/// # Errors
/// The template is not there, or a file cannot be looked at.
pub fn boot(pool: &Pool, vm: &Vm) -> Result<Boot> {
    let template = vm.record.template.as_ref().map(|name| pool.vm(name)).transpose()?;
    let root = template.as_ref().unwrap_or(vm);
    let beside = |file: &str| {
        let path = root.dir.join(file);
        let found = pool.store().stat(&path);
        let found = found.map_err(Error::doing(format!("look at {}", path.display())))?;
        Ok::<_, Error>(found.map(|_| pool.store().real(&path)))
    };
    let Some(kernel) = beside("kernel")? else { return Ok(Boot::Disk) };
    let cmdline = vm.record.engine.cmdline.as_ref().or(root.record.engine.cmdline.as_ref());
    Ok(Boot::Kernel {
        kernel,
        initrd: beside("initrd")?,
        cmdline: cmdline.cloned().unwrap_or_default(),
    })
}

/// Returns a path as text, which is what engines are told.
///
/// # Errors
/// A path that is no text.
pub(super) fn text(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| {
        let text = format!("{} is no UTF-8 text; engines are told paths as text", path.display());
        Refusal::new(RefusalKind::Unable, text).hint("rename the directory").into()
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        name::{VolumeId, VolumeName},
        pool::driver::Given,
    };

    /// A machine with three disks in `dir`.
    pub(in crate::engine) fn machine(name: &str, dir: &str) -> Machine {
        let disk = |volume: VolumeName, file: &str, read_only| Disk {
            id: VolumeId { vm: "work".parse().unwrap(), volume },
            path: Path::new(dir).join(file),
            given: Given::File,
            read_only,
            size: Bytes::gib(1),
        };
        let disks = vec![
            disk(VolumeName::root(), "root.img", true),
            disk(VolumeName::private(), "private-dirty.img", false),
            disk(VolumeName::volatile(), "volatile-dirty.img", false),
        ];
        let uuid = Uuid::from_u128(7);
        Machine::new(name, uuid, &Engine::default(), Boot::Disk, disks).unwrap()
    }

    #[test]
    fn settings_without_sense_are_refused_by_name() {
        let refusal = |engine: &Engine| {
            let uuid = Uuid::from_u128(7);
            Machine::new("work", uuid, engine, Boot::Disk, Vec::new()).unwrap_err().to_string()
        };
        assert!(refusal(&Engine { cpus: 0, ..Engine::default() }).contains("work has 0 cpus"));
        let none = Engine { memory: Bytes(0), ..Engine::default() };
        assert!(refusal(&none).contains("of memory"));
    }
}
