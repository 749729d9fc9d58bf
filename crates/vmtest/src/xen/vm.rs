//! A started machine of Xen: what a test asks of dom0, and of other domains through it.

use std::ops::Deref;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::agent::Reply;
use crate::error::Result;
use crate::limit::{DOMAIN, Deadline};
use crate::qemu::Qemu;
use crate::vm::Vm;

/// A machine of Xen that has been switched on, with all that a [`Vm`] can: its guest is dom0.
#[derive(Debug)]
pub struct XenVm(Vm);

impl XenVm {
    pub(crate) fn start(machine: Qemu) -> Result<Self> {
        let vm = Self(machine.start()?);
        vm.wait_until_ready()?;
        Ok(vm)
    }

    /// Runs a shell script in the domain `name` and returns its output, without the line end at its end.
    ///
    /// It waits for a domain that is still booting, 90 seconds at most.
    ///
    /// # Errors
    /// `Command` when the status is not 0: 124 when the domain has not answered, with the end of its console's log, and
    /// 125 when there is no such domain.
    pub fn run_in(&self, name: &str, script: &str) -> Result<String> {
        self.run(&through(name, script))
    }

    /// Runs a shell script in the domain `name` and returns its status and output.
    ///
    /// # Errors
    /// As for [`Vm::try_run`].
    pub fn try_run_in(&self, name: &str, script: &str) -> Result<Reply> {
        self.try_run(&through(name, script))
    }
}

impl Deref for XenVm {
    type Target = Vm;

    fn deref(&self) -> &Vm {
        &self.0
    }
}

/// Returns the script of dom0 that runs `script` in the domain `name`, with a copy that people can read in errors.
fn through(name: &str, script: &str) -> String {
    let shown = script.replace('\n', "\n# ");
    let seconds = Deadline::after(DOMAIN).left().unwrap_or_default().as_secs() + 1;
    let script = STANDARD.encode(script);
    format!("# in {name}: {shown}\necho {script} | base64 -d | domu {name} {seconds}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_with_any_quotes_is_one_line_and_stays_readable() {
        let text = through("work", "echo \"it's\"\nfalse");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[..2], ["# in work: echo \"it's\"", "# false"]);
        let sent = "echo ZWNobyAiaXQncyIKZmFsc2U= | base64 -d | domu work ";
        assert!(lines[2].starts_with(sent), "{text}");
    }
}
