//! A child process that can be waited for with a limit, is killed on drop, and may die with us.
//!
//! A command goes in; its exit status comes out of a thread that does nothing but wait for it. A
//! command of [`dies_with_us`] is run by `setpriv --pdeathsig KILL`: the kernel sends that signal when the
//! *thread* that started the child is gone, so it is the waiting thread that starts it.

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;
use std::{io, thread};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use crate::deadline::Deadline;

/// For a killed process to be gone.
const KILLED: Duration = Duration::from_secs(10);

/// A running or ended child.
#[derive(Debug)]
pub struct Process {
    id: Pid,
    end: Arc<End>,
}

#[derive(Debug, Default)]
struct End {
    status: Mutex<Option<ExitStatus>>,
    changed: Condvar,
}

impl End {
    fn lock(&self) -> MutexGuard<'_, Option<ExitStatus>> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the child, and reaps it only under the lock: nobody may signal a reused number.
    fn watch(&self, mut child: Child, id: Pid) {
        while waitid(Id::Pid(id), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) == Err(Errno::EINTR)
        {
        }
        let mut status = self.lock();
        *status = Some(child.wait().unwrap_or_else(|_| ExitStatus::from_raw(0xff00)));
        self.changed.notify_all();
    }
}

/// Returns a command that runs `program` such that it is killed with the thread that starts it.
pub fn dies_with_us(program: &std::path::Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

impl Process {
    /// Starts `command`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(mut command: Command) -> io::Result<Self> {
        let end = Arc::new(End::default());
        let (tell, told) = mpsc::channel();
        let theirs = Arc::clone(&end);
        thread::Builder::new().name("child".into()).spawn(move || {
            let child = match command.spawn() {
                Ok(child) => child,
                Err(error) => return drop(tell.send(Err(error))),
            };
            drop(command);
            let id = Pid::from_raw(child.id().cast_signed());
            let _ = tell.send(Ok(id));
            theirs.watch(child, id);
        })?;
        let id = told.recv().map_err(|_| io::Error::other("the waiting thread is gone"))??;
        Ok(Self { id, end })
    }

    /// Returns its number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id.as_raw().cast_unsigned()
    }

    /// Waits for the end; `None` when the deadline comes first.
    pub fn wait(&self, deadline: Deadline) -> Option<ExitStatus> {
        let mut status = self.end.lock();
        loop {
            if let Some(status) = *status {
                return Some(status);
            }
            let woken = self.end.changed.wait_timeout(status, deadline.left()?);
            status = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Kills the process if it still runs and waits, within a limit, for it to be gone.
    ///
    /// Returns whether it is gone: a process that the kernel does not let go is left behind.
    pub fn kill(&self) -> bool {
        {
            let status = self.end.lock();
            if status.is_some() {
                return true;
            }
            let _ = kill(self.id, Signal::SIGKILL);
        }
        self.wait(Deadline::exactly(KILLED)).is_some()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn shell(script: &str) -> Process {
        let mut command = dies_with_us(Path::new("/bin/sh"));
        command.args(["-c", script]);
        Process::start(command).unwrap()
    }

    fn within(millis: u64) -> Deadline {
        Deadline::exactly(Duration::from_millis(millis))
    }

    #[test]
    fn the_status_arrives_and_stays() {
        let process = shell("exit 33");
        for _ in 0..2 {
            assert_eq!(process.wait(within(10_000)).and_then(|status| status.code()), Some(33));
        }
        assert!(process.kill());
    }

    #[test]
    fn a_process_that_ignores_everything_is_killed() {
        let process = shell("trap '' TERM INT; exec sleep 1000");
        assert_eq!(process.wait(within(50)), None);
        assert!(process.kill());
        assert_eq!(process.wait(within(1)).and_then(|status| status.signal()), Some(9));
    }

    #[test]
    fn a_process_started_by_a_thread_outlives_that_thread() {
        let process = thread::spawn(|| shell("exec sleep 1000")).join().unwrap();
        assert_eq!(process.wait(within(200)), None);
    }

    #[test]
    fn a_program_that_does_not_exist_is_an_error() {
        assert!(Process::start(Command::new("/nonexistent/qemu")).is_err());
    }
}
