//! `ebbtide refresh`: what is made before somebody wants a disposable, by a process that nobody waits for.

use super::{Context, context::said, out, supervise};
use ebbtide::{
    Result, VmName,
    engine::qemu::{self, How, Need},
    pool::Pool,
    vm::{Instance, follow_up, savestate::Savestate},
};

/// Make what is made ahead of a VM: its hot savestate, where there is none of its current versions, and disposables that stand ready
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The VM
    name: VmName,
}

pub(crate) fn run(context: &Context, options: &Options) -> Result<()> {
    // In a session of its own it is not ended with the terminal. Started by hand it leads a group, and stays where it is.
    let _ = nix::unistd::setsid();
    let pool = context.open()?;
    let name = &options.name;
    let failed = hot(&pool, name, Need::Stale).err();
    let failed = failed.map(|error| {
        let hint = error.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
        format!("its hot savestate is not made: {}{hint}", error.chain())
    });
    // The one before may have been the last that kept a template.
    match follow_up(&pool) {
        Ok(sentences) => said(&sentences),
        Err(error) => log::warn!("what that makes possible is not done yet: {}", error.chain()),
    }
    let supervisor = |name: &VmName, how: &How| supervise::command(&pool, name, how);
    for sentence in qemu::refill(&pool, name, failed, &supervisor)? {
        out::say(&format!("{name}: {sentence}"));
    }
    Ok(())
}

/// Makes the hot savestate of a VM; `None` where it is not needed, or somebody makes it.
pub(crate) fn hot(pool: &Pool, name: &VmName, need: Need) -> Result<Option<Savestate>> {
    let how = How { instance: Some(Instance::Seed), ..How::default() };
    let seed = |name: &VmName| supervise::command(pool, name, &how);
    qemu::refresh(pool, name, need, &seed)
}
