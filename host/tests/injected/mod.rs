//! The program under strace, which kills it or fails one of its system calls.
#![allow(dead_code, clippy::unwrap_used, reason = "tests; each program uses what it needs")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::process::ExitStatusExt as _,
    path::PathBuf,
    process::{Command, Output},
};

/// The system calls by which anything on a disk can change, or somebody can be kept waiting.
pub(crate) const CHANGING: [&str; 20] = [
    "openat",
    "mkdir",
    "rmdir",
    "link",
    "linkat",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "ftruncate",
    "fallocate",
    "ioctl",
    "utimensat",
    "fsync",
    "fdatasync",
    "write",
    "pwrite64",
    "copy_file_range",
    "flock",
];

/// Does something at each call, as long as there is one; a file that is opened and not made changes nothing. `at` says
/// whether there was the call. Returns at how many calls, and of how many kinds.
pub(crate) fn at_each_call(
    syscalls: &[&str],
    creations: &[u32],
    mut at: impl FnMut(&str, u32) -> bool,
) -> (usize, usize) {
    let (mut calls, mut kinds) = (0, 0);
    for syscall in syscalls {
        let hits = if *syscall == "openat" {
            creations.iter().filter(|nth| at(syscall, **nth)).count()
        } else {
            (1..).take_while(|nth| at(syscall, *nth)).count()
        };
        calls += hits;
        kinds += usize::from(hits > 0);
    }
    (calls, kinds)
}

/// What happens at a system call.
#[derive(Debug, Clone, Copy)]
pub(crate) enum What {
    /// The process is gone before it is made.
    Kill,
    /// It is not made, and this is the kernel's answer.
    Fail(&'static str),
}

/// How a run under strace went.
#[derive(Debug)]
pub(crate) struct Run {
    /// Whether there was such a call in any process.
    pub(crate) was_hit: bool,
    /// Whether the program itself was killed.
    pub(crate) was_killed: bool,
    pub(crate) succeeded: bool,
    pub(crate) said: String,
}

/// The program, as it is run under strace.
#[derive(Debug, Clone)]
pub(crate) struct Traced {
    /// Where strace writes what it sees.
    pub(crate) log: PathBuf,
    /// Arguments before all others.
    pub(crate) before: Vec<String>,
}

impl Traced {
    /// Runs it to the end of all its processes.
    pub(crate) fn succeeds(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("strace");
        command.args(["-f", "-q", "-o", "/dev/null", "-e", "trace=none", "--"]);
        succeeded(self.program(&mut command).args(arguments))
    }

    /// Runs it, and lets something happen at the `nth` call of a process.
    pub(crate) fn run(&self, syscall: &str, what: What, nth: u32, arguments: &[&str]) -> Run {
        let fault = match what {
            What::Kill => "signal=SIGKILL".to_owned(),
            What::Fail(errno) => format!("error={errno}"),
        };
        let mut command = Command::new("strace");
        command.args(["-f", "-q", "-e", &format!("trace={syscall}"), "-o"]).arg(&self.log);
        command.args(["-e", &format!("inject={syscall}:{fault}:when={nth}"), "--"]);
        let Output { status, stderr, .. } =
            self.program(&mut command).args(arguments).output().unwrap();
        let log = fs::read_to_string(&self.log).unwrap();
        Run {
            was_hit: log.contains("(INJECTED)") || log.contains("killed by SIGKILL"),
            was_killed: status.signal() == Some(9),
            succeeded: status.success(),
            said: String::from_utf8_lossy(&stderr).into_owned(),
        }
    }

    /// Runs it, and returns which of the calls of `openat` in each of its processes make a file.
    pub(crate) fn creations(&self, arguments: &[&str]) -> Vec<u32> {
        let (mut counts, mut found) = (BTreeMap::<String, u32>::new(), BTreeSet::new());
        for line in self.calls(&["openat"], arguments).lines() {
            let Some((process, call)) = line.split_once(" openat(") else { continue };
            let count = counts.entry(process.trim().to_owned()).or_default();
            *count += 1;
            if call.contains("O_CREAT") {
                found.insert(*count);
            }
        }
        found.into_iter().collect()
    }

    /// Runs it, and returns its calls, a line each: the process, the call with paths beside descriptors, the answer.
    pub(crate) fn calls(&self, syscalls: &[&str], arguments: &[&str]) -> String {
        let mut command = Command::new("strace");
        let traced = format!("trace={}", syscalls.join(","));
        command.args(["-f", "-q", "-y", "-e", &traced, "-o"]).arg(&self.log).arg("--");
        succeeded(self.program(&mut command).args(arguments));
        fs::read_to_string(&self.log).unwrap()
    }

    fn program<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.arg(env!("CARGO_BIN_EXE_ebbtide")).args(&self.before).env("LC_ALL", "C")
    }
}

/// Runs a program that has to succeed.
fn succeeded(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{said}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}
