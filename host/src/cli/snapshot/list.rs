//! `ebbtide snapshot list`.

use super::shown::Family;
use crate::cli::{Context, human, out, shown::unreadable, table::Table};
use ebbtide::{
    Result, VmName,
    vm::{Snapshot, snapshots, snapshots_of},
};

/// List snapshots, oldest first: all, or those of one VM
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The VM or the template; of one that is gone, the name that it had, or its UUID
    #[arg(value_name = "VM")]
    name: Option<VmName>,
}

pub(crate) fn run(context: &Context, options: &Options) -> Result<()> {
    let pool = context.open()?;
    let (mut all, refused) = snapshots(&pool)?;
    let whose = options.name.as_ref().map(|name| snapshots_of(&pool, &all, name)).transpose()?;
    let is_listed = |snapshot: &Snapshot| whose.as_ref().is_none_or(|whose| whose.has(snapshot));
    if context.json {
        let family = Family::of(&pool, &all)?;
        let listed = all.iter().filter(|snapshot| is_listed(snapshot));
        out::json(&listed.map(|snapshot| family.snapshot(snapshot)).collect::<Vec<_>>())?;
    } else {
        all.retain(is_listed);
        out::text(&text(&all))?;
    }
    unreadable(refused)
}

fn text(snapshots: &[Snapshot]) -> String {
    let mut table = Table::new(["UUID", "VM", "TAKEN", "MEMORY", "LABEL"]);
    for snapshot in snapshots {
        table.row([
            snapshot.uuid.to_string(),
            snapshot.vm.to_string(),
            human::time(snapshot.time),
            if snapshot.memory.is_some() { "yes" } else { "no" }.into(),
            snapshot.label.clone().unwrap_or_default(),
        ]);
    }
    table.text()
}
