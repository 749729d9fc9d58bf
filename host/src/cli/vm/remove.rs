//! `ebbtide vm remove`.

use crate::cli::{Context, context::said, out};
use ebbtide::{Result, VmName, engine::qemu, vm::remove};

/// Remove a VM or a template with all its versions
///
/// One that runs is refused, and a template that VMs boot from. Files that are not ebbtide's stay, and are named.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The VM or the template
    name: VmName,
}

pub(crate) fn run(context: &Context, options: &Options) -> Result<()> {
    let pool = context.open()?;
    // One whose removal was cut is not found, and had its logs removed or leaves them.
    let forget = pool.vm(&options.name).and_then(|vm| qemu::forget(&pool, &vm)).ok();
    let removed = remove(&pool, &options.name)?;
    if let Some(forget) = forget {
        forget();
    }
    said(&removed.said);
    for path in &removed.left {
        out::say(&format!("{} stays: it is not ebbtide's", path.display()));
    }
    Ok(())
}
