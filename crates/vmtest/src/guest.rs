//! The command channel of a guest whose machine somebody else runs: a socket goes in, answers come out.
//!
//! The engine is told to put the guest's second serial port on a listening socket,
//! [`Guest::arguments`]; the guest says that it is ready once, so attach before it has booted.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::agent::{Channel, Reply};
use crate::error::{Error, Result};
use crate::limit::{BOOT, COMMAND, Deadline};
use crate::outcome::{Ending, Evidence};
use crate::wire::{Heard, Line, Stop, Wire};

/// A guest that takes commands.
#[derive(Debug)]
pub struct Guest {
    /// What leads to all that was heard: the log of its console, else its socket.
    heard: PathBuf,
    wire: Arc<Wire>,
    channel: Channel,
}

impl Guest {
    /// Returns the arguments of QEMU that put the second serial port on `socket`, whose path must have no comma.
    #[must_use]
    pub fn arguments(socket: &Path) -> Vec<String> {
        let chardev = format!("socket,id=agent,server=on,wait=off,path={}", socket.display());
        ["-chardev", &chardev, "-serial", "chardev:agent"].map(String::from).into()
    }

    /// Connects to the socket of a machine that was just started.
    ///
    /// # Errors
    /// When nobody listens.
    pub fn attach(socket: &Path) -> Result<Self> {
        let doing = || format!("connecting to {}", socket.display());
        let stream = UnixStream::connect(socket).map_err(Error::io(doing()))?;
        let duplicate = stream.try_clone().map_err(Error::io(doing()))?;
        let wire = Arc::new(Wire::default());
        wire.follow(Line::Channel, duplicate)?;
        Ok(Self { heard: socket.into(), wire, channel: Channel::new(stream) })
    }

    /// Connects to the socket of a machine whose guest had said that it is ready before the machine was resumed.
    ///
    /// # Errors
    /// When nobody listens.
    pub fn resumed(socket: &Path) -> Result<Self> {
        let guest = Self::attach(socket)?;
        guest.channel.lock().ready = true;
        Ok(guest)
    }

    /// Talks by `stream` to a guest whose lines are followed already, its console in `log` too.
    pub(crate) fn on(wire: Arc<Wire>, stream: UnixStream, log: &Path) -> Self {
        Self { heard: log.into(), wire, channel: Channel::new(stream) }
    }

    /// Waits until the guest takes commands.
    ///
    /// # Errors
    /// `Waited` when the time of a boot is over or the machine ends.
    pub fn wait_until_ready(&self) -> Result<()> {
        let mut state = self.channel.lock();
        if !state.ready {
            let answers = &mut state.answers;
            self.wait(Deadline::after(BOOT), "the guest to take commands", |heard| {
                answers.ready(&heard.channel)
            })?;
            state.ready = true;
        }
        Ok(())
    }

    /// Runs a shell script in the guest and returns its status and output.
    ///
    /// # Errors
    /// `Waited` when there is no answer in time or the machine ends, `Channel` when the answer is damaged.
    pub fn try_run(&self, script: &str) -> Result<Reply> {
        self.wait_until_ready()?;
        let mut state = self.channel.lock();
        self.channel.send(&mut state, script)?;
        let answers = &mut state.answers;
        let wanted = format!("the end of `{script}`");
        let reply =
            self.wait(Deadline::after(COMMAND), &wanted, |heard| answers.reply(&heard.channel))?;
        reply.map_err(|found| Error::Channel { found, evidence: self.evidence() })
    }

    /// Runs a shell script in the guest and returns its output, without the line end at its end.
    ///
    /// # Errors
    /// `Command` when its status is not 0, and as for [`Guest::try_run`].
    pub fn run(&self, script: &str) -> Result<String> {
        let reply = self.try_run(script)?;
        if reply.succeeded() {
            return Ok(reply.text());
        }
        let (script, status, output) = (script.to_owned(), reply.status, reply.text());
        Err(Error::Command { script, status, output, evidence: self.evidence() })
    }

    fn wait<T>(
        &self,
        deadline: Deadline,
        wanted: &str,
        look: impl FnMut(&Heard) -> Option<T>,
    ) -> Result<T> {
        let fatal = ["Kernel panic - not syncing".to_owned()];
        self.wire.wait(&fatal, deadline, look).map_err(|stop| Error::Waited {
            wanted: wanted.to_owned(),
            ending: match stop {
                Stop::TimeLimit => Ending::TimeLimit,
                Stop::Closed => Ending::Stopped("its line is closed".into()),
                Stop::GaveUp(line) => Ending::Panicked(line),
            },
            waited: deadline.waited(),
            evidence: self.evidence(),
        })
    }

    /// Where the console is the engine's, there is nothing to show but where the guest was.
    fn evidence(&self) -> Evidence {
        Evidence::new(&self.wire.lock().console, self.heard.clone())
    }
}
