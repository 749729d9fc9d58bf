//! The init stage of Ebbtide: observe, plan, apply.
//!
//! In: the machine that is starting. Out: `/dev/mapper/dmroot`, swap, and lines in the kernel log;
//! or an exit status of 1 and a line that says why not.

#![cfg_attr(not(test), no_main)]
#![forbid(unsafe_code)]

mod apply;
mod arguments;
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
mod status;
mod store;
mod tree;
mod watch;

use arguments::Command;
use ebbtide_init::{
    options::Options,
    plan::{Outcome, Plan, plan},
};
use failure::Failure;
use patience::Patience;
use root::Root;
use std::{
    ffi::OsString,
    io::{self, Write},
    time::Instant,
};

#[cfg(not(test))]
ebbtide_sys::program!(run);

/// Returns the exit status.
#[cfg_attr(test, expect(dead_code))]
fn run(words: Vec<OsString>) -> u8 {
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
            set_up_root()
        }
        Command::Plan { root, command_line } => dry_run(&Root::at(root), command_line),
        Command::Mounts { root } => {
            kmsg::init();
            read_options(&Root::at("/"), None).and_then(|options| mounts::set_up(&options, &root))
        }
        Command::Status { json } => tell_status(json),
        Command::Watch => {
            journal::init();
            let root = Root::at("/");
            read_options(&root, None).and_then(|options| watch::run(&root, &options))
        }
        Command::Boot => Err(io::Error::from(io::ErrorKind::Unsupported).into()),
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

fn read_options(root: &Root, command_line: Option<String>) -> Result<Options, Failure> {
    let command_line = match command_line {
        Some(text) => text,
        // Without it the question whether this boot is ours has no answer, which is not a no.
        None if !root.has("proc/cmdline") => {
            let text =
                format!("{}: not there; is /proc mounted?", root.path("proc/cmdline").display());
            return Err(io::Error::new(io::ErrorKind::NotFound, text).into());
        }
        None => root.read("proc/cmdline")?,
    };
    Ok(Options::parse(&command_line, &root.read("etc/ebbtide/init.conf")?)?)
}

fn dry_run(root: &Root, command_line: Option<String>) -> Result<(), Failure> {
    let options = read_options(root, command_line)?;
    let plan = plan(&options, &observe::observe(root, &options)?)?;
    print(&plan.to_string())
}

fn tell_status(json: bool) -> Result<(), Failure> {
    let root = Root::at("/");
    let report = status::look(&root, &read_options(&root, None)?)?;
    print(&if json { report.json() } else { report.to_string() })
}

fn set_up_root() -> Result<(), Failure> {
    let began = Instant::now();
    let root = Root::at("/");
    let options = read_options(&root, None)?;
    let mut kernel = kernel::Linux::new(options.timeout);
    if options.wanted {
        kernel.ask_for_snapshots();
    }
    let encrypts = options.wanted && options.encrypt && kernel.has_encryption();
    let plan = plan_when_ready(&root, &options, encrypts)?;
    log::info!("{}", plan.outcome);
    for note in &plan.notes {
        log::warn!("{note}");
    }
    apply::apply(&plan, &mut kernel)?;
    match plan.outcome {
        Outcome::NotWanted | Outcome::Already { .. } => print(&format!("{}\n", plan.outcome)),
        Outcome::Rest { .. } | Outcome::Snapshot { .. } | Outcome::Direct { .. } => {
            log::info!(
                "/dev/mapper/dmroot is ready after {} ms",
                began.elapsed().as_micros() as u64 / 1000
            );
            Ok(())
        }
    }
}

/// Plans as soon as the disks are there.
fn plan_when_ready(root: &Root, options: &Options, encrypts: bool) -> Result<Plan, Failure> {
    let mut patience = Patience::new(options.timeout);
    loop {
        let mut observed = observe::observe(root, options)?;
        observed.crypt |= encrypts;
        match plan(options, &observed) {
            Err(refusal) if refusal.may_pass() && patience.look_again(refusal.role())? => {}
            decided => return Ok(decided?),
        }
    }
}
