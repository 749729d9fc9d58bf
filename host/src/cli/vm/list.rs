//! `ebbtide vm list`.

use crate::cli::{Context, human, out, place::Place, shown, table::Table};
use ebbtide::{
    Result, VmName,
    engine::qemu,
    vm::{Kind, Listed, Status, list},
};
use ebbtide_format::units::Bytes;
use serde::Serialize;
use uuid::Uuid;

/// List the VMs
///
/// OUTDATED is yes where the template has another version now than the one that the VM runs on, or was cut off on: its
/// next start takes that. `uncommitted` is what a VM that was cut off has left: its next start goes on from there.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Also those that are internal: older versions, and what is made ahead
    #[arg(long)]
    all: bool,
}

/// A VM; sizes in bytes.
#[derive(Debug, Serialize)]
struct Vm<'a> {
    name: &'a VmName,
    uuid: Uuid,
    state: &'static str,
    template: Option<&'a VmName>,
    outdated: bool,
    uncommitted: bool,
    private_size: Option<u64>,
    private_allocated: Option<u64>,
    paused: Option<String>,
    #[serde(flatten)]
    place: Place<'a>,
}

pub(crate) fn run(context: &Context, options: &Options) -> Result<()> {
    let listing = list(&context.open()?)?;
    let vms: Vec<Vm<'_>> = listing
        .vms
        .iter()
        .filter(|listed| listed.vm.record.kind == Kind::AppVm)
        .filter(|listed| options.all || !listed.vm.record.flags.internal)
        .map(look)
        .collect();
    if context.json {
        out::json(&vms)?;
    } else {
        out::text(&text(&vms))?;
    }
    shown::unreadable(listing.unreadable)
}

fn look(listed: &Listed) -> Vm<'_> {
    let private = listed.volumes.iter().find(|(name, _)| name.as_str() == "private");
    let private = private.and_then(|(_, state)| state.dirty.or(state.current));
    Vm {
        name: &listed.vm.name,
        uuid: listed.vm.record.uuid,
        state: shown::state(&listed.status),
        template: listed.vm.record.template.as_ref(),
        outdated: listed.outdated,
        uncommitted: listed.uncommitted,
        private_size: private.map(|version| version.size.0),
        private_allocated: private.map(|version| version.allocated.0),
        paused: match &listed.status {
            Status::Running(run) => qemu::paused(run),
            _ => None,
        },
        place: Place::of(&listed.vm.record),
    }
}

fn text(vms: &[Vm<'_>]) -> String {
    let mut table = Table::new(["NAME", "STATE", "TEMPLATE", "OUTDATED", "PRIVATE", "TAKES"]);
    for vm in vms {
        let size = |size: Option<u64>| size.map_or("none".into(), |size| human::size(Bytes(size)));
        let state = if vm.paused.is_some() { "running, stands still" } else { vm.state };
        table.row([
            vm.name.to_string(),
            vm.place.beside(&shown::state_cell(state, vm.uncommitted)),
            vm.template.map(ToString::to_string).unwrap_or_default(),
            if vm.outdated { "yes" } else { "no" }.into(),
            size(vm.private_size),
            vm.private_allocated.map(|size| human::size(Bytes(size))).unwrap_or_default(),
        ]);
    }
    table.text()
}
