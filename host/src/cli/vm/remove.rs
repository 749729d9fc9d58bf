//! `ebbtide vm remove`.

use crate::cli::{Context, context::said, out};
use ebbtide::{Result, VmName, engine::qemu, vm::remove};

/// Remove a VM or a template with all its versions
///
/// One to which something refers is marked, and goes with the last of these: it runs, VMs boot from it, a start of it runs, or
/// a savestate was taken of a VM that ran on it. 'ebbtide vm set NAME volatile=no' takes the mark away. Its own savestates go
/// with it. Clones of it lose nothing, and snapshots stay. Files that are not ebbtide's stay, and are named.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The VM or the template
    name: VmName,
}

pub(crate) fn run(context: &Context, options: &Options) -> Result<()> {
    let pool = context.open()?;
    if let Ok(vm) = pool.vm(&options.name) {
        qemu::end_ready(&pool, &vm.name)?;
    }
    // One whose removal was cut is not found, and had its logs removed or leaves them.
    let forget = pool.vm(&options.name).and_then(|vm| qemu::forget(&pool, &vm)).ok();
    let removed = remove(&pool, &options.name)?;
    said(&removed.said);
    if !removed.later.is_empty() {
        let name = &options.name;
        let why: Vec<_> = removed.later.iter().map(ToString::to_string).collect();
        out::say(&format!(
            "{name} is marked, and goes when nothing refers to it: {}",
            why.join(", ")
        ));
        return Ok(());
    }
    if let Some(forget) = forget {
        forget();
    }
    for path in &removed.left {
        out::say(&format!("{} stays: it is not ebbtide's", path.display()));
    }
    Ok(())
}
