//! The init stage of Ebbtide: observe, plan, apply.
//!
//! In: the machine that is starting. Out: `/dev/mapper/dmroot`, swap, and lines in the kernel log;
//! or an exit status of 1 and a line that says why not.

#![cfg_attr(not(test), no_main)]
#![forbid(unsafe_code)]

mod apply;
mod arguments;
mod boot;
mod claim;
mod direct;
mod encryption;
mod events;
mod failure;
mod journal;
mod kernel;
mod kmsg;
mod mapper;
mod mounts;
mod observe;
mod patience;
mod root;
mod stage;
mod status;
mod store;
mod tree;
mod watch;

use arguments::Command;
use ebbtide_init::{
    options::Options,
    plan::{Outcome, plan},
};
use failure::Failure;
use root::Root;
use std::{
    ffi::OsString,
    io::{self, Write},
};

#[cfg(not(test))]
ebbtide_sys::program!(run);

/// Returns the exit status.
#[cfg_attr(test, expect(dead_code))]
fn run(words: Vec<OsString>) -> u8 {
    if boot::is_the_whole_initramfs() {
        boot::boot(&words);
    }
    if let Some(name) = boot::asked_by_the_kernel(&words) {
        return boot::answer(name);
    }
    let command = match arguments::parse(words.into_iter()) {
        Ok(command) => command,
        Err(usage) => {
            let _ = writeln!(io::stderr(), "ebbtide-init: {usage}\nTry: ebbtide-init --help");
            return 2;
        }
    };
    let result = match command {
        Command::Help => print(arguments::HELP),
        Command::Version => print(concat!("ebbtide-init ", env!("CARGO_PKG_VERSION"), "\n")),
        Command::Root => {
            kmsg::init();
            root_stage()
        }
        Command::Plan { root, command_line } => dry_run(&Root::at(root), command_line),
        Command::Mounts { root } => {
            kmsg::init();
            stage::read_options(&Root::at("/"), None).and_then(|options| {
                if options.wanted {
                    mounts::set_up(&options, &root)
                } else {
                    print(&format!("{}\n", Outcome::NotWanted))
                }
            })
        }
        Command::Boot => Err(boot::refuse()),
        Command::Status { json } => tell_status(json),
        Command::Watch => {
            journal::init();
            let root = Root::at("/");
            options_of_this_boot(&root).and_then(|options| watch::run(&root, &options))
        }
    };
    match result {
        Ok(()) => 0,
        Err(failure) => {
            report(&failure);
            1
        }
    }
}

fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

fn report(failure: &Failure) {
    if log::max_level() == log::LevelFilter::Off {
        let _ = writeln!(io::stderr(), "ebbtide-init: {failure}");
    } else {
        log::error!("{failure}");
    }
}

/// Returns the options, with a warning where the file is not as the boot has seen it.
fn options_of_this_boot(root: &Root) -> Result<Options, Failure> {
    let (options, wrong) = stage::read_options_of_this_boot(root)?;
    if let Some(wrong) = wrong {
        let text = format!("{wrong}; the kernel command line alone counts");
        if log::max_level() == log::LevelFilter::Off {
            let _ = writeln!(io::stderr(), "ebbtide-init: {text}");
        } else {
            log::warn!("{text}");
        }
    }
    Ok(options)
}

fn dry_run(root: &Root, command_line: Option<String>) -> Result<(), Failure> {
    let options = stage::read_options(root, command_line)?;
    let plan = plan(&options, &observe::observe(root, &options)?)?;
    print(&plan.to_string())
}

fn tell_status(json: bool) -> Result<(), Failure> {
    let root = Root::at("/");
    let report = status::look(&root, &options_of_this_boot(&root)?)?;
    print(&if json { report.json() } else { report.to_string() })
}

fn root_stage() -> Result<(), Failure> {
    let root = Root::at("/");
    match stage::set_up_root(&root, &stage::read_options(&root, None)?)? {
        said @ (Outcome::NotWanted | Outcome::Already { .. }) => print(&format!("{said}\n")),
        Outcome::Rest { .. } | Outcome::Snapshot { .. } | Outcome::Direct { .. } => Ok(()),
    }
}
