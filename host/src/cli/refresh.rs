//! `ebbtide refresh`: a hot savestate that nobody waits for, made by a process of its own.

use super::{Context, supervise};
use ebbtide::{
    Result, VmName,
    engine::qemu::{self, How, Need},
    pool::Pool,
    vm::{Instance, savestate::Savestate},
};

/// Make the hot savestate of a VM, where there is none of its current versions
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The VM
    name: VmName,
}

pub(crate) fn run(context: &Context, options: &Options) -> Result<()> {
    // In a session of its own it is not ended with the terminal. Started by hand it leads a group, and stays where it is.
    let _ = nix::unistd::setsid();
    hot(&context.open()?, &options.name, Need::Stale).map(drop)
}

/// Makes the hot savestate of a VM; `None` where it is not needed, or somebody makes it.
pub(crate) fn hot(pool: &Pool, name: &VmName, need: Need) -> Result<Option<Savestate>> {
    let how = How { instance: Some(Instance::Seed), ..How::default() };
    let seed = |name: &VmName| supervise::command(pool, name, &how);
    qemu::refresh(pool, name, need, &seed)
}
