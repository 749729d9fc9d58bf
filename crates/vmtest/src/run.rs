//! One run of a machine, from power on to its end: a QEMU process and the three sockets to it.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use crate::agent::Channel;
use crate::args::{Sockets, arguments};
use crate::disk::Drive;
use crate::error::{Error, Result};
use crate::limit::{Deadline, KILLED};
use crate::log::Log;
use crate::outcome::{Ending, Evidence};
use crate::qemu::Qemu;
use crate::search::{AnyOf, line_around};
use crate::wire::{Line, Wire};
use ::qemu::Accelerator;
use ::qemu::Monitor;
use ::qemu::{Process, dies_with_us};

/// Held while sockets can be inherited: another machine's QEMU must not keep ours open.
pub(crate) static STARTING: Mutex<()> = Mutex::new(());

/// A started QEMU.
#[derive(Debug)]
pub(crate) struct Run {
    process: Process,
    pub(crate) wire: Arc<Wire>,
    pub(crate) channel: Channel,
    pub(crate) monitor: Monitor,
    pub(crate) powered_on: Instant,
    complaint: PathBuf,
}

impl Run {
    /// Starts QEMU for the start number `start`, with files in `dir` and the console in `log`.
    ///
    /// # Errors
    /// When QEMU does not start, or ends before it answers its monitor.
    pub(crate) fn start(
        machine: &Qemu,
        drives: &[Drive],
        (program, accelerator): (&Path, Accelerator),
        dir: &Path,
        (log, start): (&Log, u32),
    ) -> Result<Self> {
        let complaint = dir.join("qemu.stderr");
        let starting = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
        let [console, channel, monitor] = [pair()?, pair()?, pair()?];
        let sockets = Sockets {
            console: console.1.as_raw_fd(),
            channel: channel.1.as_raw_fd(),
            monitor: monitor.1.as_raw_fd(),
        };
        let mut command = dies_with_us(program);
        command.args(arguments(machine, drives, accelerator, sockets));
        let stderr = File::create(&complaint).map_err(Error::io("making a file for stderr"))?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
        let powered_on = Instant::now();
        let process = Process::start(command)
            .map_err(Error::io(format!("starting {}", program.display())))?;
        drop((console.1, channel.1, monitor.1));
        drop(starting);

        let wire = Arc::new(Wire::default());
        let duplicate = channel.0.try_clone().map_err(Error::io("duplicating a socket"))?;
        wire.follow(Line::Console(log.begin(start)?), console.0)?;
        wire.follow(Line::Channel, channel.0)?;
        let (channel, monitor) = (Channel::new(duplicate), Monitor::new(monitor.0)?);
        let run = Self { process, wire, channel, monitor, powered_on, complaint };
        run.monitor.negotiate().map_err(|_| run.never_started(log))?;
        Ok(run)
    }

    fn never_started(&self, log: &Log) -> Error {
        log.keep();
        let waited = self.powered_on.elapsed();
        self.process.wait(Deadline::exactly(Duration::from_secs(2)));
        Error::Waited {
            wanted: "QEMU to start".into(),
            ending: Ending::Stopped(self.last_words()),
            waited,
            evidence: Evidence::new(&self.wire.lock().console, log.path().to_owned()),
        }
    }

    /// Returns the exit status and what QEMU wrote to its standard error.
    fn last_words(&self) -> String {
        let status = self.process.wait(Deadline::exactly(Duration::ZERO));
        let status = status.map_or("still running".into(), |status| status.to_string());
        match std::fs::read_to_string(&self.complaint).unwrap_or_default().trim() {
            "" => status,
            said => format!("{status}: {said}"),
        }
    }

    /// Returns why QEMU has ended, once its serial lines are closed.
    pub(crate) fn ending(&self, fatal: &[String]) -> Ending {
        let gave_up = {
            let heard = self.wire.lock();
            let mut any = AnyOf::new(fatal.iter().map(String::as_str), 0);
            any.look(&heard.console).map(|(_, range)| line_around(&heard.console, range.start))
        };
        if let Some(line) = gave_up {
            return Ending::Panicked(line);
        }
        let gone = self.process.wait(Deadline::after(KILLED)).is_some();
        match self.monitor.shutdown_reason().as_deref() {
            Some("guest-shutdown") if gone => Ending::PoweredOff,
            Some("guest-reset") if gone => Ending::Reset,
            _ => Ending::Stopped(self.last_words()),
        }
    }

    /// Pulls the plug and waits until everything that QEMU had sent has been read.
    pub(crate) fn kill(&self) {
        self.process.kill();
        let _ = self.wire.wait(&[], Deadline::exactly(KILLED), |_| None::<()>);
    }
}

/// Returns our end of a socket, and an end that children inherit.
pub(crate) fn pair() -> Result<(UnixStream, UnixStream)> {
    let (ours, theirs) = UnixStream::pair().map_err(Error::io("making a socket pair"))?;
    fcntl(&theirs, FcntlArg::F_SETFD(FdFlag::empty()))
        .map_err(|errno| Error::io("passing on a socket")(errno.into()))?;
    Ok((ours, theirs))
}
