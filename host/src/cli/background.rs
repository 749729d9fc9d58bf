//! Work that nobody waits for: the next dirty images of a VM, and hot savestates, made by processes of their own.

use super::Context;
use ebbtide::{
    Result, VmName,
    engine::qemu,
    pool::{Pool, driver::Given},
    vm::{self, Vm, savestate::related},
};
use std::{
    env, io,
    process::{Command, Stdio},
};

/// Make the next images that a VM writes to
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The VM
    name: VmName,
}

pub(crate) fn run(context: &Context, options: &Options) -> Result<()> {
    // In a session of its own it is not ended with the terminal. Started by hand it leads a group, and stays where it is.
    let _ = nix::unistd::setsid();
    vm::precache(&context.open()?, &options.name)
}

/// Begins what follows when a VM may have new versions, and does not wait: the next images that it writes to, and what is made
/// ahead of it. Where that fails, the next start makes its own images. Where disks are devices there are no such images, and
/// what is left to do is not worth a process.
pub(crate) fn precache(pool: &Pool, name: &VmName) {
    let begun = match pool.driver().given() {
        Given::File => begin(pool, "precache", name).map_err(|error| error.to_string()),
        Given::Device => vm::precache(pool, name).map_err(|error| error.chain()),
    };
    if let Err(error) = begun {
        log::warn!("the next start of {name} makes its images itself: {error}");
    }
    refresh(pool, name);
}

/// Begins to make what is to be made ahead of a VM, and of those that boot from it or were made of it, and is not there:
/// hot savestates, and disposables that stand ready. Does not wait.
pub(crate) fn refresh(pool: &Pool, name: &VmName) {
    let due = |vm: &Vm| {
        qemu::is_due(pool, vm).unwrap_or_else(|error| {
            log::warn!("what is made ahead of {}: {}", vm.name, error.chain());
            false
        })
    };
    let related = related(pool, name).unwrap_or_else(|error| {
        log::warn!("what is made ahead of {name}: {}", error.chain());
        Vec::new()
    });
    for vm in related.iter().filter(|vm| due(vm)) {
        if let Err(error) = begin(pool, "refresh", &vm.name) {
            log::warn!("what is made ahead of {} is not made: {error}", vm.name);
        }
    }
}

fn begin(pool: &Pool, verb: &str, name: &VmName) -> io::Result<()> {
    let mut command = Command::new(env::current_exe()?);
    command.arg("--pool").arg(pool.dir()).args([verb, name.as_str()]);
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    ebbtide_sys::inherited::keep_descriptors()?;
    command.spawn().map(drop)
}
