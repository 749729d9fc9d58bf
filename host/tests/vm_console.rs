//! A guest's console in a terminal.

#![allow(clippy::unwrap_used, reason = "a test may end here")]

mod machines;

use machines::{Host, qemu_is_there};
use nix::{
    pty::openpty,
    sys::{
        signal::{Signal, kill},
        termios::{Termios, tcgetattr},
    },
    unistd::Pid,
};
use std::{
    fs::File,
    io::{Read, Write},
    os::fd::OwnedFd,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};
use vmtest::{Guest, Image, Result, require};

/// A program in a terminal.
struct Terminal {
    keyboard: File,
    /// Kept open, so that the terminal outlives the program.
    side: OwnedFd,
    before: Termios,
    shown: Arc<Mutex<Vec<u8>>>,
    child: Child,
}

impl Terminal {
    fn run(mut command: Command) -> Self {
        let pty = openpty(None, None).unwrap();
        let before = tcgetattr(&pty.slave).unwrap();
        let side = || Stdio::from(pty.slave.try_clone().unwrap());
        let child = command.stdin(side()).stdout(side()).stderr(side()).spawn().unwrap();
        let keyboard = File::from(pty.master);
        let shown = Arc::new(Mutex::new(Vec::new()));
        let (mut screen, theirs) = (keyboard.try_clone().unwrap(), Arc::clone(&shown));
        thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(read @ 1..) = screen.read(&mut piece) {
                theirs.lock().unwrap().extend_from_slice(&piece[..read]);
            }
        });
        Self { keyboard, side: pty.slave, before, shown, child }
    }

    fn types(&mut self, keys: &[u8]) {
        self.keyboard.write_all(keys).unwrap();
    }

    #[track_caller]
    fn shows(&self, text: &str) {
        let started = Instant::now();
        loop {
            let shown = String::from_utf8_lossy(&self.shown.lock().unwrap()).into_owned();
            if shown.contains(text) {
                return;
            }
            assert!(started.elapsed() < Duration::from_secs(60), "no {text:?} in {shown}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Returns whether the terminal is as it was.
    fn is_as_it_was(&self) -> bool {
        let now = tcgetattr(&self.side).unwrap();
        (now.local_flags, now.input_flags, now.output_flags)
            == (self.before.local_flags, self.before.input_flags, self.before.output_flags)
    }

    /// Waits for the program to end, and returns its status.
    fn ended(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

#[test]
fn a_console_is_attached_left_and_taken_again_and_the_terminal_is_as_it_was() -> Result<()> {
    require!(qemu_is_there());
    let host = Host::new().booting(&require!(Image::named("stage")), &["a"]);
    let socket = host.beside("agent");
    let arguments = Guest::arguments(&socket);
    let mut words = vec!["run", "a", "--"];
    words.extend(arguments.iter().map(String::as_str));
    let mut terminal = Terminal::run(host.command(&words));
    terminal.shows("Ctrl-] is the key to leave");
    // From the first line on: the machine stood still until the console was there.
    terminal.shows("Linux version");
    assert!(!terminal.is_as_it_was());

    let guest = Guest::attach(&socket)?;
    guest.run("stty -F /dev/ttyS0 raw -echo; echo ready > /dev/ttyS0")?;
    terminal.shows("ready");
    terminal.types(b"\x03");
    assert_eq!(guest.run("head -c 1 /dev/ttyS0 | od -An -tx1")?.trim(), "03");

    host.refuses(&["console", "a"], &["attached to another terminal"]);
    terminal.types(b"\x1d");
    terminal.shows("d: detach");
    terminal.types(b"d");
    assert_eq!(terminal.ended(), Some(0));
    terminal.shows("a runs on");
    assert!(terminal.is_as_it_was());
    assert_eq!(host.state("a"), "running");

    let mut terminal = Terminal::run(host.command(&["console", "a"]));
    terminal.shows("Ctrl-] is the key to leave");
    let process = Pid::from_raw(terminal.child.id().cast_signed());
    kill(process, Signal::SIGTERM).unwrap();
    assert_eq!(terminal.ended(), None, "it ended by the signal");
    assert!(terminal.is_as_it_was());
    assert_eq!(host.state("a"), "running");

    let mut terminal = Terminal::run(host.command(&["console", "a"]));
    terminal.shows("Ctrl-] is the key to leave");
    host.must(&["stop", "a", "--force"]);
    assert_eq!(terminal.ended(), Some(1));
    terminal.shows("a was cut off: it was stopped by force");
    assert!(terminal.is_as_it_was());
    Ok(())
}
