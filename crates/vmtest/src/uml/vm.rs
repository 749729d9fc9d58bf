//! A started machine of user-mode Linux: commands go in, what they said comes out, and no process stays.

use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::agent::Reply;
use crate::error::{Error, Result};
use crate::guest::Guest;
use crate::limit::{Deadline, KILLED};
use crate::log::Log;
use crate::outcome::{Ending, Evidence, readable};
use crate::run::{STARTING, pair};
use crate::uml::Uml;
use crate::wire::{Line, Wire};
use ::qemu::{Process, dies_with_us};

/// For a guest to power itself off.
const POWER_OFF: Duration = Duration::from_secs(60);

/// The shell at the other end of the channel.
const AGENT: &str = include_str!("../../../../vm-images/agent");

/// The request of `ptrace` by which the kernel learns that it may ask for more registers than those of SSE.
const PTRACE_GETREGSET: u32 = 0x4204;

/// A machine of user-mode Linux that has been switched on; dropping it pulls the plug.
#[derive(Debug)]
pub struct UmlVm {
    // Dropped first: the kernel is gone before its files are.
    process: Process,
    kernel: Option<Pid>,
    wire: Arc<Wire>,
    guest: Guest,
    log: Log,
    powered_on: Instant,
    scripts: AtomicU32,
    dir: TempDir,
}

impl UmlVm {
    pub(crate) fn start(uml: &Uml, program: &Path) -> Result<Self> {
        let doing = || Error::io("making a folder for the machine");
        let dir = tempfile::Builder::new().prefix("vmtest-").tempdir().map_err(doing())?;
        let init = dir.path().join("init");
        std::fs::write(&init, uml.init(dir.path())).map_err(doing())?;
        std::fs::write(dir.path().join("agent"), AGENT).map_err(doing())?;
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&init, executable).map_err(doing())?;

        let log = Log::new()?;
        let starting = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
        let [console, channel] = [pair()?, pair()?];
        // A namespace of its own: when the kernel is gone, so are the processes of its programs.
        let mut command = dies_with_us(Path::new("unshare"));
        command.args(["--pid", "--fork", "--kill-child", "--"]).arg(program);
        command.args(uml.arguments(dir.path(), channel.1.as_raw_fd()));
        ebbtide_sys::seccomp::refuse_ptrace(&mut command, PTRACE_GETREGSET);
        let duplicate = || console.1.try_clone().map_err(Error::io("duplicating a socket"));
        command.stdin(Stdio::null());
        command.stdout(std::os::fd::OwnedFd::from(duplicate()?));
        command.stderr(std::os::fd::OwnedFd::from(duplicate()?));
        let powered_on = Instant::now();
        let process = Process::start(command)
            .map_err(Error::io(format!("starting {}", program.display())))?;
        drop((console.1, channel.1));
        drop(starting);

        let wire = Arc::new(Wire::default());
        let duplicate = channel.0.try_clone().map_err(Error::io("duplicating a socket"))?;
        wire.follow(Line::Console(log.begin(0)?), console.0)?;
        wire.follow(Line::Channel, duplicate)?;
        let guest = Guest::on(Arc::clone(&wire), channel.0, log.path());
        let scripts = AtomicU32::new(0);
        let mut vm = Self { process, kernel: None, wire, guest, log, powered_on, scripts, dir };
        let ready = vm.guest.wait_until_ready();
        vm.kernel = vm.child();
        match ready {
            Ok(()) => Ok(vm),
            Err(error) => Err(vm.told(error)),
        }
    }

    /// Returns the kernel's process, the only child of the one that was started.
    fn child(&self) -> Option<Pid> {
        let parent = self.process.id();
        let path = format!("/proc/{parent}/task/{parent}/children");
        std::fs::read_to_string(path).ok()?.trim().parse().ok().map(Pid::from_raw)
    }

    /// Returns the number of the kernel's process: it holds the locks on the disks' files.
    ///
    /// # Errors
    /// When it has ended.
    pub fn pid(&self) -> Result<u32> {
        let pid = self.kernel.map(|pid| pid.as_raw().cast_unsigned());
        pid.ok_or_else(|| Error::Description("the machine has ended".into()))
    }

    /// Runs a shell script in the guest and returns its output, without the line end at its end.
    ///
    /// # Errors
    /// `Command` when its status is not 0, and as for [`UmlVm::try_run`].
    pub fn run(&self, script: &str) -> Result<String> {
        let reply = self.try_run(script)?;
        if reply.succeeded() {
            return Ok(reply.text());
        }
        let (script, status, output) = (script.to_owned(), reply.status, reply.text());
        let evidence = self.evidence();
        Err(self.told(Error::Command { script, status, output, evidence }))
    }

    /// Runs a shell script in the guest and returns its status and output.
    ///
    /// # Errors
    /// `Waited` when there is no answer in time, the kernel panics or the machine ends.
    pub fn try_run(&self, script: &str) -> Result<Reply> {
        // The terminal would lose some of a long one; the guest sees our folder as it sees all.
        let number = self.scripts.fetch_add(1, Ordering::Relaxed);
        let file = self.dir.path().join(format!("script{number}"));
        std::fs::write(&file, script).map_err(Error::io("writing a script"))?;
        let sent = self.guest.try_run(&format!("exec sh {}", file.display()));
        sent.map_err(|error| self.told(error))
    }

    fn evidence(&self) -> Evidence {
        Evidence::new(&self.wire.lock().console, self.log.path().to_owned())
    }

    /// Keeps the log that an error names.
    fn told(&self, error: Error) -> Error {
        self.log.keep();
        error
    }

    /// Returns the console text so far.
    pub fn console(&self) -> String {
        readable(&self.wire.lock().console)
    }

    /// Returns how long the machine has run.
    pub fn up(&self) -> Duration {
        self.powered_on.elapsed()
    }

    /// Has the guest write everything and power off, and waits until no process of it is left.
    ///
    /// # Errors
    /// `Waited` when it does not end, or in another way.
    pub fn power_off(self) -> Result<()> {
        // There is no answer: the end is.
        let _ = self.guest.try_run("sync; echo o > /proc/sysrq-trigger; sleep 1000");
        let deadline = Deadline::after(POWER_OFF);
        let ended = self.process.wait(deadline);
        let _ = self.wire.wait(&[], Deadline::exactly(KILLED), |_| None::<()>);
        let ending = match ended {
            Some(_) if self.console().contains("reboot: Power down") => return Ok(()),
            Some(status) => Ending::Stopped(status.to_string()),
            None => Ending::TimeLimit,
        };
        self.log.keep();
        Err(Error::Waited {
            wanted: "the guest to power off".into(),
            ending,
            waited: deadline.waited(),
            evidence: self.evidence(),
        })
    }

    /// Pulls the plug, and waits until no process of it is left.
    ///
    /// What the kernel has written to a disk stays, as the host keeps it; what it has not is lost.
    pub fn pull_the_plug(self) {
        drop(self);
    }

    fn kill(&self) {
        // The one that was started ends with the kernel, and that one when all of its programs have.
        if let Some(kernel) = self.kernel
            && self.process.wait(Deadline::exactly(Duration::ZERO)).is_none()
        {
            let _ = kill(kernel, Signal::SIGKILL);
            self.process.wait(Deadline::exactly(KILLED));
        }
        self.process.kill();
        let _ = self.wire.wait(&[], Deadline::exactly(KILLED), |_| None::<()>);
    }
}

impl Drop for UmlVm {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("console of user-mode Linux:\n{}", self.evidence());
        }
    }
}
