//! A pool, and the program that runs its VMs, as somebody at a terminal would use it.

#![allow(dead_code, reason = "each test uses its part")]
#![allow(clippy::unwrap_used, reason = "a test may end here")]

pub(crate) mod asked;

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use vmtest::{Guest, Image};

/// A pool in a directory of its own; when it is dropped, no machine of it is left.
pub(crate) struct Host {
    dir: TempDir,
}

/// What a command said.
pub(crate) struct Said {
    pub(crate) status: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Host {
    /// Makes a pool that copies, which works anywhere.
    pub(crate) fn new() -> Self {
        let host = Self { dir: tempfile::Builder::new().prefix("vm").tempdir().unwrap() };
        fs::create_dir(host.dir.path().join("r")).unwrap();
        host.must(&["pool", "create", host.pool().to_str().unwrap(), "--allow-copy"]);
        host
    }

    /// Makes a template whose machines find nothing to boot, and are up at once.
    pub(crate) fn blank(self, vms: &[&str]) -> Self {
        self.must(&["template", "create", "t", "--root", "1M", "--private", "0", "--swap", "1M"]);
        self.vms(vms, "1M")
    }

    /// Makes a template of an image.
    pub(crate) fn booting(self, image: &Image, vms: &[&str]) -> Self {
        let path = |path: PathBuf| path.to_str().unwrap().to_owned();
        let (root, kernel, initrd) =
            (path(image.root()), path(image.kernel()), path(image.initrd()));
        let create = ["template", "create", "t", "--root", &root, "--kernel", &kernel];
        let more = ["--initrd", &initrd, "--cmdline", image.cmdline(), "--private", "0"];
        self.must(&[&create[..], &more[..], &["--swap", "64M"]].concat());
        self.vms(vms, "64M")
    }

    fn vms(self, vms: &[&str], private: &str) -> Self {
        for vm in vms {
            let create = ["vm", "create", vm, "--template", "t", "--private", private];
            self.must(&[&create[..], &["--swap", "1M"]].concat());
        }
        self
    }

    pub(crate) fn pool(&self) -> PathBuf {
        self.dir.path().join("pool, with: \"everything\"")
    }

    /// Returns a path beside the pool.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Returns the directory of an AppVM.
    pub(crate) fn vm(&self, name: &str) -> PathBuf {
        self.pool().join("appvms").join(name)
    }

    /// Returns a command of the program.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ebbtide"));
        command.env("EBBTIDE_POOL", self.pool()).env_remove("RUST_LOG");
        command.env("XDG_RUNTIME_DIR", self.dir.path().join("r"));
        command.args(words).stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, words: &[&str]) -> Said {
        Said::new(&self.command(words).output().unwrap())
    }

    /// Runs a command that has to succeed.
    #[track_caller]
    pub(crate) fn must(&self, words: &[&str]) -> Said {
        let said = self.run(words);
        assert_eq!(said.status, Some(0), "{words:?}: {}{}", said.out, said.err);
        said
    }

    /// Runs a command that has to fail, and say each of `texts`.
    #[track_caller]
    pub(crate) fn refuses(&self, words: &[&str], texts: &[&str]) {
        let said = self.run(words);
        assert_eq!(said.status, Some(1), "{words:?}: {}{}", said.out, said.err);
        for text in texts {
            assert!(said.err.contains(text), "{words:?} did not say {text:?}: {}", said.err);
        }
    }

    /// Starts a VM, with its command channel.
    pub(crate) fn start(&self, name: &str) -> Guest {
        let socket = self.beside(&format!("agent-{name}"));
        let _ = fs::remove_file(&socket);
        let arguments = Guest::arguments(&socket);
        let mut words = vec!["start", name, "--"];
        words.extend(arguments.iter().map(String::as_str));
        self.must(&words);
        Guest::attach(&socket).unwrap()
    }

    /// Returns whether a VM runs, in the word of `vm list`.
    pub(crate) fn state(&self, name: &str) -> String {
        let list = self.must(&["vm", "list"]).out;
        let line = list.lines().find(|line| line.split_whitespace().next() == Some(name));
        let state = line.and_then(|line| line.split_whitespace().nth(1)).unwrap_or("missing");
        state.trim_end_matches(',').to_owned()
    }

    /// Waits for a VM to be in a state.
    #[track_caller]
    pub(crate) fn until(&self, name: &str, state: &str) {
        let started = Instant::now();
        while self.state(name) != state {
            assert!(started.elapsed() < Duration::from_secs(20), "{}", self.state(name));
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Returns the process of a VM's QEMU.
    pub(crate) fn qemu(&self, name: &str) -> i32 {
        let run = fs::read_to_string(self.vm(name).join("run.toml")).unwrap();
        let line = run.lines().find_map(|line| line.strip_prefix("pid = "));
        line.unwrap().parse().unwrap()
    }

    /// Returns the process that supervises a VM, if there is one.
    pub(crate) fn supervisor(&self, name: &str) -> Option<i32> {
        let wanted = [self.pool().to_str().unwrap(), "--verbose", "supervise", name].join("\0");
        processes().find_map(|(pid, command)| command.contains(&wanted).then_some(pid))
    }

    /// Returns the names in a VM's directory that come and go with its runs.
    pub(crate) fn left(&self, name: &str) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.vm(name))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| !name.starts_with('.') && name != "vm.toml" && name != "private.img")
            .filter(|name| !name.contains("-precache"))
            .collect();
        names.sort();
        names
    }

    /// Returns what is left of the sockets of all runs.
    pub(crate) fn sockets(&self) -> Vec<PathBuf> {
        let dir = self.dir.path().join("r/ebbtide");
        let entries = fs::read_dir(dir).into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).collect()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        end_below(self.dir.path());
    }
}

/// Ends all that runs machines of pools below a directory, or makes some.
pub(crate) fn end_below(dir: &Path) {
    // The pool's name may have quotes, which QEMU's arguments escape.
    let dir = format!("{}/", dir.display());
    loop {
        let mut found = false;
        // What begins something else when that ends is first.
        for program in ["\0refresh\0", "\0supervise\0", "-nodefaults"] {
            for (pid, command) in processes() {
                if command.contains(program) && command.contains(&dir) {
                    end(pid);
                    found = true;
                }
            }
        }
        // What was begun meanwhile may have been missed.
        if !found {
            return;
        }
    }
}

impl Said {
    pub(crate) fn new(output: &Output) -> Self {
        Self {
            status: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// Kills a process, and waits until it is gone.
pub(crate) fn end(pid: i32) {
    let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    let started = Instant::now();
    while is_alive(pid) {
        assert!(started.elapsed() < Duration::from_secs(20), "process {pid} stays");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Returns whether a process runs: one that nobody has waited for yet does not.
pub(crate) fn is_alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // Its other threads may take longer, and have its files open until then.
    let threads = fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z') || threads > 1)
}

/// Returns all processes with their arguments.
fn processes() -> impl Iterator<Item = (i32, String)> {
    fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let entry = entry.ok()?;
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let command = fs::read(entry.path().join("cmdline")).ok()?;
        Some((pid, String::from_utf8_lossy(&command).into_owned()))
    })
}

/// Ends a test where there is no QEMU, outside of CI.
pub(crate) fn qemu_is_there() -> vmtest::Result<()> {
    qemu::program().map(drop).map_err(Into::into)
}

/// Makes a path in which nothing is.
pub(crate) fn is_gone(path: &Path) -> bool {
    path.symlink_metadata().is_err()
}

/// Has the guest power off when its power button is pressed, as a real one does.
pub(crate) fn hears_its_power_button(guest: &Guest) -> vmtest::Result<()> {
    guest.run(
        "name=$(grep -l 'Power Button' /sys/class/input/event*/device/name) || exit 1\n\
         event=${name#/sys/class/input/}\n\
         (head -c 24 /dev/input/${event%%/*} >/dev/null; sync; poweroff -f) </dev/null >/dev/null 2>&1 &",
    )?;
    Ok(())
}
