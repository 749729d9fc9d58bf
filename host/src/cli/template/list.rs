//! `ebbtide template list`.

use crate::cli::{Context, human, out, place::Place, shown, table::Table};
use ebbtide::{
    Result, VmName,
    pool::driver::State,
    vm::{Kind, Listed, list},
};
use ebbtide_format::units::Bytes;
use serde::Serialize;
use uuid::Uuid;

/// List the templates
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Also those that are internal: older versions, and what is made ahead
    #[arg(long)]
    all: bool,
}

/// A template; sizes in bytes.
#[derive(Debug, Serialize)]
struct Template<'a> {
    name: VmName,
    uuid: Uuid,
    state: &'static str,
    uncommitted: bool,
    size: Option<u64>,
    allocated: Option<u64>,
    modified: Option<jiff::Timestamp>,
    revisions: usize,
    vms: Vec<VmName>,
    #[serde(flatten)]
    place: Place<'a>,
}

pub(crate) fn run(context: &Context, options: &Options) -> Result<()> {
    let listing = list(&context.open()?)?;
    let templates: Vec<Template<'_>> = listing
        .vms
        .iter()
        .filter(|listed| listed.vm.record.kind == Kind::Template)
        .filter(|listed| options.all || !listed.vm.record.flags.internal)
        .map(|listed| look(listed, &listing.vms))
        .collect();
    if context.json {
        out::json(&templates)?;
    } else {
        out::text(&text(&templates))?;
    }
    shown::unreadable(listing.unreadable)
}

fn look<'a>(listed: &'a Listed, all: &[Listed]) -> Template<'a> {
    let root = listed.volumes.iter().find(|(name, _)| name.as_str() == "root");
    let current = root.and_then(|(_, state): &(_, State)| state.current);
    let flags = &listed.vm.record.flags;
    // After the end of versions the name is that of a VM again.
    let is_vm = |of: &VmName| all.iter().any(|other| other.vm.name == *of);
    let of = flags.version_of.as_ref().filter(|of| !flags.internal && !is_vm(of));
    let boots = |other: &&Listed| {
        let template = other.vm.record.template.as_ref();
        template == Some(&listed.vm.name) || (template.is_some() && template == of)
    };
    Template {
        name: listed.vm.name.clone(),
        uuid: listed.vm.record.uuid,
        state: shown::state(&listed.status),
        uncommitted: listed.uncommitted,
        size: current.map(|version| version.size.0),
        allocated: current.map(|version| version.allocated.0),
        modified: current.map(|version| version.modified),
        revisions: root.map_or(0, |(_, state)| state.revisions.len()),
        vms: all.iter().filter(boots).map(|other| other.vm.name.clone()).collect(),
        place: Place::of(&listed.vm.record),
    }
}

fn text(templates: &[Template<'_>]) -> String {
    let mut table = Table::new(["NAME", "STATE", "WRITTEN", "SIZE", "TAKES", "KEPT", "VMS"]);
    for template in templates {
        let size = |size: Option<u64>| size.map(|size| human::size(Bytes(size)));
        table.row([
            template.name.to_string(),
            template.place.beside(&shown::state_cell(template.state, template.uncommitted)),
            template.modified.map(human::time).unwrap_or_default(),
            size(template.size).unwrap_or_default(),
            size(template.allocated).unwrap_or_default(),
            template.revisions.to_string(),
            template.vms.len().to_string(),
        ]);
    }
    table.text()
}
