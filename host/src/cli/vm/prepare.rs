//! `ebbtide vm prepare`.

use crate::cli::{Context, context::take, human, out, table::Table};
use ebbtide::{
    Error, Result, VmName,
    pool::{Pool, driver::Disk},
    vm::{Allow, Kind, PREPARE, Run, Vm, prepare},
};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Make the disks of a VM ready for an engine of your own, and print them
///
/// Give each disk to the guest with its serial, in the format raw, and read-only where that is said. When the guest has
/// ended, `vm release` ends what this began. After a reboot of the host it is void.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The VM or the template
    name: VmName,
}

/// What another engine needs; sizes in bytes.
#[derive(Debug, Serialize)]
struct Prepared {
    vm: VmName,
    disks: Vec<DiskShown>,
    kernel: Option<PathBuf>,
    initrd: Option<PathBuf>,
    cmdline: Option<String>,
    memory: u64,
    cpus: u32,
}

/// A disk.
#[derive(Debug, Serialize)]
struct DiskShown {
    serial: String,
    path: PathBuf,
    read_only: bool,
    format: &'static str,
    size: u64,
}

pub(crate) fn run(context: &Context, options: &Options) -> Result<()> {
    let pool = context.open()?;
    let guard = take(&pool, &options.name, PREPARE, Allow::Stopped)?;
    let disks = prepare(&pool, &guard, Run::new(PREPARE)?)?;
    if !context.json {
        return out::text(&text(&disks));
    }
    let vm = guard.vm();
    let engine = &vm.record.engine;
    let kernel = beside_root(&pool, vm, "kernel")?;
    out::json(&Prepared {
        vm: vm.name.clone(),
        disks: disks.iter().map(show).collect(),
        cmdline: engine.cmdline.clone().filter(|_| kernel.is_some()),
        kernel,
        initrd: beside_root(&pool, vm, "initrd")?,
        memory: engine.memory.0,
        cpus: engine.cpus,
    })
}

fn show(disk: &Disk) -> DiskShown {
    DiskShown {
        serial: disk.id.volume.to_string(),
        path: disk.path.clone(),
        read_only: disk.read_only,
        format: "raw",
        size: disk.size.0,
    }
}

fn text(disks: &[Disk]) -> String {
    let mut table = Table::new(["SERIAL", "ACCESS", "SIZE", "PATH"]);
    for disk in disks {
        table.row([
            disk.id.volume.to_string(),
            if disk.read_only { "read-only" } else { "writable" }.into(),
            human::size(disk.size),
            disk.path.display().to_string(),
        ]);
    }
    table.text()
}

/// Returns the path of a file beside the root that the VM boots from, where it is there.
fn beside_root(pool: &Pool, vm: &Vm, file: &str) -> Result<Option<PathBuf>> {
    let dir = match &vm.record.template {
        Some(template) => Path::new(Kind::Template.directory()).join(template),
        None => vm.dir.clone(),
    };
    let path = dir.join(file);
    let stat = pool.store().stat(&path);
    let stat = stat.map_err(Error::doing(format!("look at {}", path.display())))?;
    Ok(stat.map(|_| pool.store().real(&path)))
}
