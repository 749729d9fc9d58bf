//! Messages on the terminals of people who are logged in.
//!
//! In: logind's sessions and the records of utmp, either of which may be missing. Out: the text, on
//! each terminal that takes it at once. Only root can write those records; all the same they name
//! nothing but terminals below `/dev`.

use crate::root::Root;
use ebbtide_format::utmp;
use nix::libc::{O_NOCTTY, O_NOFOLLOW, O_NONBLOCK};
use std::{
    fs::{self, File},
    io::{IsTerminal, Read, Write},
    os::unix::fs::OpenOptionsExt,
};

/// More sessions than anybody has, fewer than would keep us from the next look.
const MOST: usize = 64;
/// Most bytes that are read of a file.
const LONGEST: u64 = 64 << 10;

/// Writes `text` to each terminal once. One that does not take it is passed over: it may be stopped.
pub(crate) fn tell(root: &Root, text: &str) {
    let line = format!("\r\nebbtide: {}\r\n", printable(text));
    for terminal in logged_in(root) {
        let open = File::options()
            .write(true)
            .custom_flags(O_NONBLOCK | O_NOCTTY | O_NOFOLLOW)
            .open(root.path("dev").join(terminal));
        if let Ok(mut terminal) = open
            && terminal.is_terminal()
        {
            // One write: a terminal that is full takes a part of it, and no more.
            let _ = terminal.write(line.as_bytes());
        }
    }
}

/// Returns the terminals with somebody behind them, each once, as names below `/dev`.
fn logged_in(root: &Root) -> Vec<String> {
    let mut terminals = Vec::new();
    let mut add = |name: &str| {
        let new = is_terminal_name(name) && !terminals.iter().any(|known| known == name);
        if new && terminals.len() < MOST {
            terminals.push(name.to_string());
        }
    };
    let sessions = fs::read_dir(root.path("run/systemd/sessions"));
    for session in sessions.into_iter().flatten().flatten() {
        let path = format!("run/systemd/sessions/{}", session.file_name().to_string_lossy());
        let text = String::from_utf8_lossy(&start_of(root, &path)).into_owned();
        text.lines().filter_map(|line| line.strip_prefix("TTY=")).for_each(&mut add);
    }
    utmp::lines(&start_of(root, "run/utmp")).for_each(&mut add);
    terminals
}

/// Returns the first bytes of a regular file; none of anything else.
fn start_of(root: &Root, below: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let open = File::options()
        .read(true)
        .custom_flags(O_NONBLOCK | O_NOCTTY | O_NOFOLLOW)
        .open(root.path(below));
    if let Ok(file) = open
        && file.metadata().is_ok_and(|metadata| metadata.is_file())
    {
        let _ = file.take(LONGEST).read_to_end(&mut bytes);
    }
    bytes
}

/// Tells whether a name is one that the kernel gives a terminal: `pts/N`, `ttyX`, `hvcN`, `xvcN`. To
/// open another device can do something.
fn is_terminal_name(name: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    ["pts/", "hvc", "xvc"].iter().any(|family| name.strip_prefix(family).is_some_and(digits))
        || name
            .strip_prefix("tty")
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric()))
}

/// Returns the text without anything that a terminal would take for a command.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A folder that looks like `/` with sessions and utmp.
    fn machine() -> (tempfile::TempDir, Root) {
        let folder = tempfile::tempdir().unwrap();
        let sessions = folder.path().join("run/systemd/sessions");
        fs::create_dir_all(&sessions).unwrap();
        let root = Root::at(folder.path());
        (folder, root)
    }

    #[test]
    fn finds_sessions_and_utmp_each_once() {
        let (folder, root) = machine();
        let run = folder.path().join("run");
        fs::write(run.join("systemd/sessions/1"), "UID=0\nTTY=pts/0\nSTATE=active\n").unwrap();
        fs::write(run.join("systemd/sessions/1.ref"), "").unwrap();
        fs::write(run.join("secret"), "TTY=tty9\n").unwrap();
        symlink("../../secret", run.join("systemd/sessions/2")).unwrap();
        let mut record = [0; utmp::RECORD];
        record[0] = 7;
        record[8..13].copy_from_slice(b"pts/0");
        let mut other = record;
        other[8..13].copy_from_slice(b"tty1\0");
        fs::write(run.join("utmp"), [record, other].concat()).unwrap();
        assert_eq!(logged_in(&root), ["pts/0", "tty1"]);
    }

    #[test]
    fn names_of_anything_else_are_passed_over() {
        for name in ["pts/0", "tty1", "ttyS0", "ttyAMA0", "hvc0"] {
            assert!(is_terminal_name(name), "{name}");
        }
        for name in
            ["", "pts/", "pts/../vda", "pts/ptmx", "tty", "tty/../vda", "vda", "watchdog", ":0"]
        {
            assert!(!is_terminal_name(name), "{name}");
        }
    }

    #[test]
    fn a_regular_file_or_a_link_in_the_place_of_a_terminal_is_not_written_to() {
        let (folder, root) = machine();
        fs::create_dir(folder.path().join("dev")).unwrap();
        fs::write(folder.path().join("run/systemd/sessions/1"), "TTY=ttyX\nTTY=ttyY\n").unwrap();
        fs::write(folder.path().join("dev/ttyX"), "").unwrap();
        symlink("ttyX", folder.path().join("dev/ttyY")).unwrap();
        tell(&root, "full");
        assert_eq!(fs::read(folder.path().join("dev/ttyX")).unwrap(), b"");
    }

    #[test]
    fn commands_of_terminals_are_taken_out() {
        assert_eq!(printable("a\x1b[2J\u{9b}b\nc\u{7f}ä"), "a?[2J?b?c?ä");
    }
}
