//! The root stage: options, observation, plan, and the plan applied.
//!
//! In: the machine that is starting. Out: `/dev/mapper/dmroot` and swap, or why not. The verb `root` and
//! process 1 share it.

use crate::{apply, failure::Failure, kernel, observe, patience::Patience, root::Root};
use ebbtide_init::{
    options::Options,
    plan::{Outcome, Plan, plan},
};
use std::{io, time::Instant};

/// Reads the options from both their places; `command_line` stands in for the kernel's.
///
/// # Errors
/// When one cannot be read or taken.
pub(crate) fn read_options(root: &Root, command_line: Option<String>) -> Result<Options, Failure> {
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

/// Reads the options in a system that runs, and what is wrong with the file, if anything is: this boot
/// read the copy in its initramfs, so the kernel command line alone counts then.
///
/// # Errors
/// When the command line cannot be read or taken.
pub(crate) fn read_options_of_this_boot(
    root: &Root,
) -> Result<(Options, Option<Failure>), Failure> {
    let wrong = match read_options(root, None) {
        Ok(options) => return Ok((options, None)),
        Err(wrong) => wrong,
    };
    match Options::parse(&root.read("proc/cmdline")?, "") {
        Ok(options) if root.has("proc/cmdline") => Ok((options, Some(wrong))),
        _ => Err(wrong),
    }
}

/// Sets the root up, and returns what came of it.
///
/// # Errors
/// When it is refused, or a step fails.
pub(crate) fn set_up_root(root: &Root, options: &Options) -> Result<Outcome, Failure> {
    let began = Instant::now();
    let mut kernel = kernel::Linux::new(options.timeout);
    if options.wanted {
        kernel.ask_for_snapshots();
    }
    let encrypts = options.wanted && options.encrypt && kernel.has_encryption();
    let plan = plan_when_ready(root, options, encrypts)?;
    log::info!("{}", plan.outcome);
    for note in &plan.notes {
        log::warn!("{note}");
    }
    apply::apply(&plan, &mut kernel)?;
    if !matches!(plan.outcome, Outcome::NotWanted | Outcome::Already { .. }) {
        log::info!(
            "/dev/mapper/dmroot is ready after {} ms",
            began.elapsed().as_micros() as u64 / 1000
        );
    }
    Ok(plan.outcome)
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_mistake_in_the_file_does_not_hide_a_boot_that_has_not_seen_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::at(folder.path());
        for name in ["proc", "etc/ebbtide"] {
            fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        assert!(read_options_of_this_boot(&root).is_err(), "no /proc");
        write("proc/cmdline", "root=/dev/mapper/dmroot ebbtide.rw=/kept");
        write("etc/ebbtide/init.conf", "rw = /other\nspeed = high\n");

        let (options, wrong) = read_options_of_this_boot(&root).ok().unwrap();
        assert!(options.wanted);
        assert_eq!(options.rw, "/kept");
        assert!(wrong.unwrap().to_string().contains("speed"));

        write("etc/ebbtide/init.conf", "rw = /other\n");
        assert!(read_options_of_this_boot(&root).ok().unwrap().1.is_none());
        write("proc/cmdline", "root=/dev/mapper/dmroot ebbtide.speed=high");
        assert!(read_options_of_this_boot(&root).is_err(), "a mistake on the command line");
    }
}
