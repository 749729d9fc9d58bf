//! `ebbtide vm prepare`.

use crate::cli::{Context, context::take, human, out, table::Table};
use ebbtide::{
    Result, VmName,
    engine::{Boot, machine::boot},
    pool::driver::Disk,
    vm::{Allow, PREPARE, Run, prepare},
};
use serde::Serialize;
use std::path::PathBuf;

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
    // Looked up first: what fails here must not leave the VM prepared.
    let boots = boot(&pool, guard.vm())?;
    let disks = prepare(&pool, &guard, Run::new(PREPARE)?)?;
    if !context.json {
        return out::text(&text(&disks));
    }
    let vm = guard.vm();
    let (kernel, initrd, cmdline) = match boots {
        Boot::Disk => (None, None, None),
        Boot::Kernel { kernel, initrd, cmdline } => (Some(kernel), initrd, Some(cmdline)),
    };
    out::json(&Prepared {
        vm: vm.name.clone(),
        disks: disks.iter().map(show).collect(),
        kernel,
        initrd,
        cmdline,
        memory: vm.record.engine.memory.0,
        cpus: vm.record.engine.cpus,
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
