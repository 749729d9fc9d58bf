//! What a test says to a guest and hears from it: console text to expect, scripts to run.

use std::sync::PoisonError;
use std::time::Duration;

use crate::agent::Reply;
use crate::error::{Error, Result};
use crate::limit::{BOOT, COMMAND, Deadline};
use crate::outcome::{Outcome, readable};
use crate::search::{AnyOf, line_around};
use crate::vm::Vm;

impl Vm {
    /// Waits, as long as a boot may take, for `text` on the console after what was expected before.
    ///
    /// Returns the time since power on.
    ///
    /// # Errors
    /// `Waited` when the time is over, the kernel panics or the machine ends.
    pub fn expect_console(&self, text: &str) -> Result<Duration> {
        self.expect_console_within(text, BOOT)
    }

    /// Like [`Vm::expect_console`], with a limit of its own.
    ///
    /// # Errors
    /// The same.
    pub fn expect_console_within(&self, text: &str, limit: Duration) -> Result<Duration> {
        self.expect(&[text], limit, false)?;
        Ok(self.powered_on().elapsed())
    }

    /// Waits for a line with `text` and returns the whole line.
    ///
    /// # Errors
    /// As for [`Vm::expect_console`].
    pub fn expect_line(&self, text: &str) -> Result<String> {
        self.expect(&[text], BOOT, true).map(|(_, line)| line)
    }

    /// Waits for any of `texts` and returns the index of the one that came first.
    ///
    /// # Errors
    /// As for [`Vm::expect_console`].
    pub fn expect_any(&self, texts: &[&str]) -> Result<usize> {
        self.expect(texts, BOOT, false).map(|(index, _)| index)
    }

    fn expect(&self, texts: &[&str], limit: Duration, whole: bool) -> Result<(usize, String)> {
        let mut cursor = self.cursor.lock().unwrap_or_else(PoisonError::into_inner);
        let mut search = AnyOf::new(texts.iter().copied(), *cursor);
        let wanted = || format!("{} on the console", texts.join("` or `")).replace('\n', "\\n");
        let (index, range, line) = self.wait(Deadline::after(limit), wanted, |heard| {
            let (index, range) = search.look(&heard.console)?;
            let rest = &heard.console[range.end..];
            let line = line_around(&heard.console, range.start);
            (!whole || rest.contains(&b'\n')).then_some((index, range, line))
        })?;
        *cursor = range.end;
        Ok((index, line))
    }

    /// Waits until the guest takes commands and returns the time since power on.
    ///
    /// # Errors
    /// `Waited` when the time is over, the kernel panics or the machine ends.
    pub fn wait_until_ready(&self) -> Result<Duration> {
        let mut state = self.run.channel.lock();
        if !state.ready {
            let wanted = || "the guest to take commands on ttyS1".into();
            let answers = &mut state.answers;
            self.wait(Deadline::after(BOOT), wanted, |heard| answers.ready(&heard.channel))?;
            state.ready = true;
        }
        Ok(self.powered_on().elapsed())
    }

    /// Runs a shell script in the guest and returns its output, without the line end at its end.
    ///
    /// # Errors
    /// `Command` when its status is not 0, and as for [`Vm::try_run`].
    pub fn run(&self, script: &str) -> Result<String> {
        let reply = self.try_run(script)?;
        if reply.succeeded() {
            return Ok(reply.text());
        }
        Err(Error::Command {
            script: script.to_owned(),
            status: reply.status,
            output: readable(&reply.output),
            evidence: self.evidence(),
        })
    }

    /// Runs a shell script in the guest and returns its status and output.
    ///
    /// # Errors
    /// `Waited` when there is no answer in time or the machine ends, `Channel` when the answer is
    /// damaged.
    pub fn try_run(&self, script: &str) -> Result<Reply> {
        self.try_run_within(script, COMMAND)
    }

    /// Like [`Vm::try_run`], with a limit of its own.
    ///
    /// # Errors
    /// The same.
    pub fn try_run_within(&self, script: &str, limit: Duration) -> Result<Reply> {
        self.wait_until_ready()?;
        let mut state = self.run.channel.lock();
        if let Some(earlier) = &state.unanswered {
            let found = format!("no answer to `{earlier}` yet; `{script}` cannot be run");
            return Err(Error::Channel { found, evidence: self.evidence() });
        }
        self.run.channel.send(&mut state, script)?;
        state.unanswered = Some(script.to_owned());
        let wanted = || format!("the end of `{script}`");
        let answers = &mut state.answers;
        let reply =
            self.wait(Deadline::after(limit), wanted, |heard| answers.reply(&heard.channel))?;
        state.unanswered = None;
        reply.map_err(|found| Error::Channel { found, evidence: self.evidence() })
    }

    /// Runs a script that ends the machine, so that nobody waits for its answer.
    ///
    /// # Errors
    /// When the guest takes no commands.
    pub fn send_without_reply(&self, script: &str) -> Result<()> {
        self.wait_until_ready()?;
        let mut state = self.run.channel.lock();
        self.run.channel.send(&mut state, script)?;
        state.unanswered = Some(script.to_owned());
        Ok(())
    }

    /// Has the guest shut down in its own way and waits for the end.
    ///
    /// # Errors
    /// When it ends in another way, or takes longer than a command may.
    pub fn power_off(&self) -> Result<Outcome> {
        self.power_off_within(COMMAND)
    }
}
