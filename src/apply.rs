//! Does what a plan says, step by step, and takes it back when a step fails.

use ebbtide_init::{
    plan::Plan,
    step::{Step, Undo},
};
use std::{fmt, io};

/// Whatever carries steps out: the kernel, or a stand-in for a test.
pub(crate) trait Kernel {
    /// Carries a step out.
    fn perform(&mut self, step: &Step) -> io::Result<()>;
    /// Takes a step back.
    fn take_back(&mut self, undo: &Undo) -> io::Result<()>;
}

/// A step that failed, and what could not be taken back after it.
pub(crate) struct ApplyError {
    number: usize,
    of: usize,
    step: String,
    cause: io::Error,
    left: Vec<(String, io::Error)>,
}

impl fmt::Display for ApplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step {}/{} failed: {}", self.number, self.of, self.step)?;
        for (undo, cause) in &self.left {
            write!(f, "; could not {undo} after it: {cause}")?;
        }
        Ok(())
    }
}

impl ApplyError {
    /// Returns why the step failed.
    pub(crate) fn cause(&self) -> &io::Error {
        &self.cause
    }
}

/// Carries a plan out, with a line in the log before each step.
///
/// # Errors
/// The step that failed. Those before it have been taken back, last first; any that could not be is
/// named too.
pub(crate) fn apply(plan: &Plan, kernel: &mut impl Kernel) -> Result<(), ApplyError> {
    let of = plan.steps.len();
    let mut done = Vec::new();
    let mut steps = plan.steps.iter().enumerate();
    while let Some((at, step)) = steps.next() {
        log::info!("step {}/{of} {step}", at + 1);
        let Err(cause) = kernel.perform(step) else {
            done.push(step);
            continue;
        };
        let left = take_back(&done, kernel);
        let error = ApplyError { number: at + 1, of, step: step.to_string(), cause, left };
        if at >= plan.optional {
            return Err(error);
        }
        log::warn!("{error}: {}; the boot goes on without", error.cause);
        done.clear();
        steps.by_ref().take(plan.optional - at - 1).for_each(drop);
    }
    Ok(())
}

fn take_back(done: &[&Step], kernel: &mut impl Kernel) -> Vec<(String, io::Error)> {
    let mut left = Vec::new();
    for undo in done.iter().rev().filter_map(|step| step.undo()) {
        log::info!("undo: {undo}");
        if let Err(cause) = kernel.take_back(&undo) {
            left.push((undo.to_string(), cause));
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;
    use ebbtide_init::{
        plan::Outcome,
        step::{Marker, Target},
    };

    /// Records what it is told, and fails where it is told to.
    #[derive(Default)]
    struct Script {
        said: Vec<String>,
        fails: Vec<&'static str>,
    }

    impl Script {
        fn say(&mut self, what: String) -> io::Result<()> {
            let fails = self.fails.contains(&what.as_str());
            self.said.push(what);
            if fails { Err(io::Error::from_raw_os_error(5)) } else { Ok(()) }
        }
    }

    impl Kernel for Script {
        fn perform(&mut self, step: &Step) -> io::Result<()> {
            self.say(step.to_string())
        }
        fn take_back(&mut self, undo: &Undo) -> io::Result<()> {
            self.say(undo.to_string())
        }
    }

    fn three_steps() -> Plan {
        let steps = vec![
            Step::Mark(Marker::Cow("vdc2".into())),
            Step::SwapOn { device: "vdc1".into() },
            Step::Link { target: Target::Mapped },
        ];
        Plan { outcome: Outcome::NotWanted, notes: vec![], steps, optional: 0 }
    }

    #[test]
    fn takes_finished_steps_back_last_first() {
        let mut kernel = Script { fails: vec!["link /dev/mapper/dmroot"], ..Script::default() };
        let error = apply(&three_steps(), &mut kernel).err().unwrap();
        assert_eq!(error.to_string(), "step 3/3 failed: link /dev/mapper/dmroot");
        assert_eq!(kernel.said[3..], ["swap off vdc1", "take /run/ebbtide/cow/vdc2 away"]);
    }

    #[test]
    fn reports_both_errors_and_goes_on_undoing() {
        let fails = vec!["link /dev/mapper/dmroot", "swap off vdc1"];
        let mut kernel = Script { fails, ..Script::default() };
        let error = apply(&three_steps(), &mut kernel).err().unwrap();
        assert!(error.to_string().contains("could not swap off vdc1 after it"), "{error}");
        assert_eq!(kernel.said.last().unwrap(), "take /run/ebbtide/cow/vdc2 away");
    }

    #[test]
    fn goes_on_without_what_it_can_do_without() {
        let mut kernel = Script { fails: vec!["swap on vdc1"], ..Script::default() };
        let plan = Plan { optional: 2, ..three_steps() };
        assert!(apply(&plan, &mut kernel).is_ok());
        let taken_back = "take /run/ebbtide/cow/vdc2 away";
        assert_eq!(kernel.said[1..], ["swap on vdc1", taken_back, "link /dev/mapper/dmroot"]);
    }

    #[test]
    fn a_failed_step_is_not_taken_back_itself() {
        let mut kernel = Script { fails: vec!["mark /run/ebbtide/cow/vdc2"], ..Script::default() };
        assert!(apply(&three_steps(), &mut kernel).is_err());
        assert_eq!(kernel.said.len(), 1);
    }
}
