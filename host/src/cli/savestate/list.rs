//! `ebbtide savestate list`.

use super::shown::Shown;
use crate::cli::{Context, out, table::Table};
use ebbtide::{Result, VmName, vm::savestate};

/// List savestates, oldest first
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only those of this VM
    name: Option<VmName>,
}

pub(crate) fn run(context: &Context, options: &Options) -> Result<()> {
    let pool = context.open()?;
    let (mut found, unreadable) = savestate::list(&pool)?;
    for error in unreadable {
        out::say(&error.chain());
    }
    if let Some(name) = &options.name {
        // One that was renamed since, or removed and made again, is another one.
        let vm = pool.vm(name)?;
        found.retain(|savestate| savestate.of == vm.record.uuid);
    }
    let shown: Vec<Shown> =
        found.iter().map(|savestate| Shown::new(&pool, savestate)).collect::<Result<_>>()?;
    if context.json {
        return out::json(&shown);
    }
    let mut table = Table::new(["ID", "VM", "KIND", "TAKEN", "TAKES", "VERSIONS"]);
    shown.iter().for_each(|shown| table.row(shown.row()));
    out::text(&table.text())
}
