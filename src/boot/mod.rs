//! `ebbtide-init boot`: process 1 of an initramfs that holds nothing else.
//!
//! In: a kernel that has just started, and modules. Out: the real init, in a writable root; or a screen
//! that says why not, and the end of the machine. Nothing here returns, and nothing here panics: the
//! end of process 1 is the end of the kernel.

mod disposal;
mod early;
mod modules;
mod real_init;
mod screen;
mod switch_root;
mod sysroot;

pub(crate) use modules::{answer, asked_by_the_kernel};

use crate::{failure::Failure, kmsg, mounts, root::Root, stage};
use ebbtide_init::boot_words::BootWords;
use std::{convert::Infallible, ffi::OsString, path::Path};

/// Where the root is mounted until it is the root.
const SYSROOT: &str = "/sysroot";

/// Tells whether this process was started by the kernel out of an initramfs. Process 1 of a container
/// has its root elsewhere, and a command line of its own.
pub(crate) fn is_the_whole_initramfs() -> bool {
    std::process::id() == 1 && disposal::is_in_memory(Path::new("/"))
}

/// Returns why any other process cannot boot.
pub(crate) fn refuse() -> Failure {
    let found = match std::process::id() {
        1 => "a root that is not one".to_string(),
        other => format!("process {other}"),
    };
    Failure::Boot {
        said: format!("boot: wanted to be process 1 of an initramfs; found {found}"),
        hint: "make this program the /init of an initramfs; in a running system there is nothing to \
               boot",
    }
}

/// Boots the machine. `words` are what the kernel hands to its first process.
pub(crate) fn boot(words: &[OsString]) -> ! {
    screen::instead_of_a_panic();
    match up_to_the_real_init(words) {
        Err(failure) => screen::end(&failure),
        Ok(never) => match never {},
    }
}

fn up_to_the_real_init(words: &[OsString]) -> Result<Infallible, Failure> {
    early::mount_and_open()?;
    screen::decide();
    kmsg::init();
    log::info!("boot: process 1 runs");
    let machine = Root::at("/");
    let options = stage::read_options(&machine, None)?;
    let command_line = machine.read("proc/cmdline")?;
    let boot = BootWords::parse(&command_line);
    if !options.wanted {
        return Err(somebody_elses(&boot));
    }
    let modules = modules::load_listed(&machine, &command_line);
    stage::set_up_root(&machine, &options)?;
    sysroot::mount(&boot)?;
    let init = real_init::find(&boot)?;
    log::info!("boot: the root is mounted");
    if let Err(failure) = mounts::set_up(&options, Path::new(SYSROOT)) {
        log::error!("{failure}");
    }
    log::info!("boot: mounts are done, leaving for {init}");
    drop(modules);
    switch_root::switch()?;
    real_init::start(&init, words)
}

fn somebody_elses(boot: &BootWords) -> Failure {
    let found = match &boot.root {
        Some(root) => format!("root={root}"),
        None => "no root=".to_string(),
    };
    Failure::Boot {
        said: format!(
            "kernel command line: wanted root=/dev/mapper/dmroot, since this initramfs boots no other \
             root; found {found}"
        ),
        hint: "correct root=, or boot with the distribution's initramfs",
    }
}
