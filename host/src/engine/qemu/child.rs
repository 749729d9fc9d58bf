//! A QEMU process: arguments and a lock go in; a monitor, its last words and its exit status come out.

use super::told;
use crate::error::{Error, Result};
use ebbtide_sys::inherited::block_signals;
use nix::{
    fcntl::{FcntlArg, FdFlag, fcntl},
    sys::signal::Signal,
};
use qemu::Monitor;
use std::{
    collections::VecDeque,
    ffi::OsString,
    fs::File,
    io::{BufRead, BufReader, Read},
    os::{
        fd::{AsFd, AsRawFd, RawFd},
        unix::{net::UnixStream, process::CommandExt},
    },
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
};

/// How many lines of QEMU go to the log: a guest can cause as many as it likes.
pub(super) const MOST_LINES: usize = 1000;
/// How many of them are shown when it ends in another way than it should.
const LAST_LINES: usize = 12;
/// The longest line; a longer one is divided.
const LONGEST_LINE: u64 = 4096;

/// What QEMU does not hear.
const BLOCKED: &[i32] = &[Signal::SIGTERM as i32, Signal::SIGHUP as i32];

/// A started QEMU.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
    pub(super) monitor: Arc<Monitor>,
    words: Arc<Mutex<VecDeque<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl Running {
    /// Starts QEMU with the arguments that `arguments` returns for the number of its monitor's socket. It inherits that
    /// socket and `lock`, and nothing else of ours. Returns when its monitor has answered.
    ///
    /// # Errors
    /// It does not start, or ends at once: with its own words.
    pub(super) fn start(
        program: &Path,
        arguments: impl FnOnce(RawFd) -> Result<Vec<OsString>>,
        lock: &File,
    ) -> Result<Self> {
        let doing = || format!("start {}", program.display());
        let (ours, theirs) = UnixStream::pair().map_err(Error::doing(doing()))?;
        let mut command = Command::new(program);
        command.args(arguments(theirs.as_raw_fd())?);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        // Whoever ends our group does not mean the machine.
        command.process_group(0);
        // Nor does whoever ends everything because the host goes down: its supervisor has the guest shut down.
        block_signals(&mut command, BLOCKED);
        let child = {
            let _theirs = Inherited::new(&theirs)?;
            let _lock = Inherited::new(lock)?;
            command.spawn().map_err(Error::doing(doing()))?
        };
        drop(theirs);
        let mut running = Self {
            child,
            monitor: Arc::new(Monitor::new(ours).map_err(told)?),
            words: Arc::default(),
            reader: None,
        };
        running.listen()?;
        match running.monitor.negotiate() {
            Ok(()) => Ok(running),
            Err(error) => Err(running.never_started(program, &told(error))),
        }
    }

    /// Follows its standard error to the log.
    fn listen(&mut self) -> Result<()> {
        let Some(stderr) = self.child.stderr.take() else { return Ok(()) };
        let words = Arc::clone(&self.words);
        let reader = thread::Builder::new().name("qemu-stderr".into());
        let reader = reader.spawn(move || follow(stderr, &words));
        self.reader = Some(reader.map_err(Error::doing("start a thread"))?);
        Ok(())
    }

    /// Returns its number.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end.
    pub(super) fn wait(&mut self) -> Option<ExitStatus> {
        let status = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        status.map_err(|error| log::warn!("cannot wait for QEMU: {error}")).ok()
    }

    /// Kills it and waits for its end.
    pub(super) fn kill(&mut self) {
        if let Err(error) = self.child.kill() {
            log::warn!("cannot kill QEMU, process {}: {error}", self.id());
        }
        self.wait();
    }

    /// Returns what it said last; empty when it said nothing.
    pub(super) fn last_words(&self) -> String {
        let words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        words.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }

    fn never_started(&mut self, program: &Path, error: &Error) -> Error {
        if !self.monitor.is_closed() {
            self.kill();
        }
        let status = self.wait();
        let program = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let said = match (self.last_words(), status) {
            (words, _) if !words.is_empty() => words,
            (_, Some(status)) => format!("it ended with {status} before it was ready"),
            (_, None) => error.to_string(),
        };
        // QEMU says its own name first.
        let said = said.strip_prefix(&format!("{program}: ")).unwrap_or(&said).to_owned();
        Error::Program { program, said }
    }
}

impl Drop for Running {
    /// Nothing that was started is left to itself: who wants it to go on keeps this.
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            self.kill();
        }
    }
}

/// A descriptor that children inherit, until this is dropped.
struct Inherited<'a, F: AsFd>(&'a F);

impl<'a, F: AsFd> Inherited<'a, F> {
    fn new(file: &'a F) -> Result<Self> {
        fcntl(file, FcntlArg::F_SETFD(FdFlag::empty()))
            .map_err(|errno| Error::doing("pass on a descriptor")(errno.into()))?;
        Ok(Self(file))
    }
}

impl<F: AsFd> Drop for Inherited<'_, F> {
    fn drop(&mut self) {
        // It was possible a moment ago; and we start nothing else.
        let _ = fcntl(self.0, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC));
    }
}

/// Reads lines to the end, which comes with QEMU's.
fn follow(stderr: impl Read, words: &Mutex<VecDeque<String>>) {
    let mut stderr = BufReader::new(stderr);
    let mut lines = 0;
    loop {
        let mut line = Vec::new();
        match stderr.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line) {
            Ok(length) if length > 0 => {}
            _ => return,
        }
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        lines += 1;
        if lines <= MOST_LINES {
            log::warn!("QEMU: {line}");
        }
        let mut words = words.lock().unwrap_or_else(PoisonError::into_inner);
        if words.len() == LAST_LINES {
            words.pop_front();
        }
        words.push_back(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// Starts a script in the place of QEMU.
    fn start(script: &str) -> Result<Running> {
        let dir = tempfile::tempdir().unwrap();
        let fake = dir.path().join("qemu");
        std::fs::write(&fake, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&fake, std::fs::Permissions::from_mode(0o755)).unwrap();
        let lock = File::create(dir.path().join("lock")).unwrap();
        Running::start(&fake, |monitor| Ok(vec![monitor.to_string().into()]), &lock)
    }

    #[test]
    fn who_does_not_start_has_the_last_word() {
        let error = start("echo 'qemu: no such machine' >&2; exit 1").unwrap_err();
        assert_eq!(error.to_string(), "qemu: no such machine");
        let error = start("exit 3").unwrap_err();
        assert!(error.to_string().contains("exit status: 3"), "{error}");
    }

    #[test]
    fn only_the_last_lines_are_kept() {
        let words = Mutex::default();
        let text: String = (0..100).map(|n| format!("line {n}\n")).collect();
        follow(text.as_bytes(), &words);
        let words = words.into_inner().unwrap();
        assert_eq!((words.len(), words[0].as_str()), (LAST_LINES, "line 88"));
    }
}
