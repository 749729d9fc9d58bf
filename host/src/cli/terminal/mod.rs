//! A guest's console in this terminal: what is typed goes to the guest, what the guest says is shown.

mod keys;
mod raw;

use ebbtide::{Error, Result};
use keys::{Keys, Typed};
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        signal::{SigSet, Signal},
        signalfd::{SfdFlags, SignalFd},
    },
};
use raw::Raw;
use std::{
    io::{self, Read as _, Stdin, Write as _},
    os::{fd::AsFd as _, unix::net::UnixStream},
};

/// How much of what was typed waits for a guest that does not read; what comes then is lost.
const MOST_TYPED: usize = 64 << 10;
/// How much is shown at once: what a pipe takes as a whole.
const MOST_SHOWN: usize = 4096;
/// What is said when the key to leave was pressed.
const MENU: &str = "\r\n[d: detach, the machine runs on; p: press its power button; Ctrl-]: send this key; else: go back]\r\n";

/// Why a session with a guest has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// The person has left, and the guest runs on.
    Detached,
    /// The guest's line is closed.
    Closed,
    /// This process was told to end. The terminal is as it was; the caller ends as the signal wants.
    Signal(Signal),
}

/// Connects this terminal to `guest` until one of them ends. `press` is called for the power button.
///
/// While it lasts the terminal is raw: keys such as Ctrl-C go to the guest. On every way out it is as it was.
pub(crate) fn attach(guest: &UnixStream, press: &dyn Fn()) -> Result<Left> {
    let signals = catch()?;
    let raw = Raw::of_stdin().map_err(Error::doing("set the terminal to raw mode"))?;
    if raw.is_some() {
        eprint!("[Ctrl-] is the key to leave]\r\n");
    }
    guest.set_nonblocking(true).map_err(Error::doing("talk to the guest"))?;
    let session = Session {
        guest,
        press,
        stdin: io::stdin(),
        open: true,
        keys: raw.is_some().then(Keys::default),
        typed: Vec::new(),
        shown: Vec::new(),
    };
    session.run(&signals).map_err(Error::doing("talk to the guest"))
}

/// Has the signals that end a process come to a descriptor instead.
fn catch() -> Result<SignalFd> {
    let mut set = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT] {
        set.add(signal);
    }
    let failed = |errno: nix::Error| Error::doing("wait for signals")(errno.into());
    set.thread_block().map_err(failed)?;
    SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).map_err(failed)
}

/// Ends this process as a signal that was caught would have.
pub(crate) fn end_by(signal: Signal) {
    let mut set = SigSet::empty();
    set.add(signal);
    let _ = set.thread_unblock();
    let _ = nix::sys::signal::raise(signal);
}

/// What can be done at once.
#[derive(Debug, Clone, Copy, Default)]
struct Ready {
    stdin: bool,
    stdout: bool,
    guest: bool,
    signal: bool,
}

struct Session<'a> {
    guest: &'a UnixStream,
    press: &'a dyn Fn(),
    stdin: Stdin,
    /// Whether there is more to come from standard input.
    open: bool,
    /// On a terminal: what the keys mean.
    keys: Option<Keys>,
    /// What the guest has not read yet.
    typed: Vec<u8>,
    /// What this terminal has not taken yet.
    shown: Vec<u8>,
}

impl Session<'_> {
    fn run(mut self, signals: &SignalFd) -> io::Result<Left> {
        loop {
            let Ready { stdin, stdout, guest, signal } = self.wait(signals)?;
            if signal && let Some(signal) = signals.read_signal()? {
                let number = i32::try_from(signal.ssi_signo).unwrap_or(0);
                return Ok(Left::Signal(Signal::try_from(number).unwrap_or(Signal::SIGTERM)));
            }
            if stdout && self.show()? {
                return Ok(Left::Detached);
            }
            // What the guest said last is shown before it counts as gone.
            if guest && self.shown.is_empty() && self.hear() {
                return Ok(Left::Closed);
            }
            if stdin && self.read()? {
                return Ok(Left::Detached);
            }
            self.send()?;
        }
    }

    /// Waits until something can be read, sent or shown.
    fn wait(&self, signals: &SignalFd) -> io::Result<Ready> {
        let shows = !self.shown.is_empty();
        let mut wanted = PollFlags::empty();
        // A guest that says more than can be shown waits.
        wanted.set(PollFlags::POLLIN, !shows);
        wanted.set(PollFlags::POLLOUT, !self.typed.is_empty());
        let stdout = io::stdout();
        // A terminal is always read, so that the key to leave works; a file can wait.
        let reads = self.open && (self.keys.is_some() || self.typed.len() < MOST_TYPED);
        let stdin = if reads { PollFlags::POLLIN } else { PollFlags::empty() };
        // A guest that hangs up would wake us again and again until all is shown.
        let mut all = vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        let mut add = |wanted: bool, fd| {
            wanted.then(|| {
                all.push(fd);
                all.len() - 1
            })
        };
        let guest_at = add(!wanted.is_empty(), PollFd::new(self.guest.as_fd(), wanted));
        let stdout_at = add(shows, PollFd::new(stdout.as_fd(), PollFlags::POLLOUT));
        let stdin_at = add(reads, PollFd::new(self.stdin.as_fd(), stdin));
        match poll(&mut all, PollTimeout::NONE) {
            Err(nix::Error::EINTR) => return Ok(Ready::default()),
            other => other.map_err(io::Error::from)?,
        };
        let ready = |place: Option<usize>| {
            place.and_then(|place| all.get(place)).is_some_and(|one| one.any() == Some(true))
        };
        Ok(Ready {
            stdin: ready(stdin_at),
            stdout: ready(stdout_at),
            guest: ready(guest_at),
            signal: ready(Some(0)),
        })
    }

    /// Shows a part of what the guest said. Returns whether nobody looks any more.
    fn show(&mut self) -> io::Result<bool> {
        // So much fits into a pipe that can be written to: it does not block, and signals are heard.
        let most = self.shown.len().min(MOST_SHOWN);
        match nix::unistd::write(io::stdout(), &self.shown[..most]) {
            Ok(written) => drop(self.shown.drain(..written)),
            Err(nix::Error::EINTR | nix::Error::EAGAIN) => {}
            Err(nix::Error::EPIPE) => return Ok(true),
            Err(errno) => return Err(errno.into()),
        }
        Ok(false)
    }

    /// Hears what the guest says. Returns whether its line is closed.
    fn hear(&mut self) -> bool {
        let mut piece = [0; 16 << 10];
        let read = match self.guest.read(&mut piece) {
            Ok(read) => read,
            Err(error) if is_for_later(&error) => return false,
            // A killed QEMU resets the connection: the line is closed either way.
            Err(_) => 0,
        };
        self.shown.extend_from_slice(&piece[..read]);
        read == 0
    }

    /// Reads what is typed. Returns whether the person leaves.
    fn read(&mut self) -> io::Result<bool> {
        let mut piece = [0; 4096];
        // Past the buffer of the standard library, which would keep bytes that poll does not see.
        let read = match nix::unistd::read(self.stdin.as_fd(), &mut piece) {
            Ok(read) => read,
            Err(nix::Error::EINTR | nix::Error::EAGAIN) => return Ok(false),
            // The terminal is gone.
            Err(nix::Error::EIO) => 0,
            Err(errno) => return Err(errno.into()),
        };
        if read == 0 {
            self.open = false;
            return Ok(self.keys.is_some());
        }
        let Some(keys) = &mut self.keys else {
            self.typed.extend_from_slice(&piece[..read]);
            return Ok(false);
        };
        for typed in keys.feed(&piece[..read]) {
            match typed {
                Typed::Text(text) => {
                    let room = MOST_TYPED.saturating_sub(self.typed.len()).min(text.len());
                    self.typed.extend_from_slice(&text[..room]);
                }
                Typed::Menu => {
                    let mut out = io::stdout().lock();
                    out.write_all(MENU.as_bytes()).and_then(|()| out.flush())?;
                }
                Typed::PowerButton => (self.press)(),
                Typed::Leave => return Ok(true),
            }
        }
        Ok(false)
    }

    /// Sends as much of what was typed as the guest takes.
    fn send(&mut self) -> io::Result<()> {
        while !self.typed.is_empty() {
            match self.guest.write(&self.typed) {
                Ok(sent) => drop(self.typed.drain(..sent)),
                Err(error) if is_for_later(&error) => break,
                // Reading tells that the line is closed.
                Err(_) => self.typed.clear(),
            }
        }
        Ok(())
    }
}

fn is_for_later(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
