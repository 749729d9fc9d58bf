//! Runs other programs: a command flows in, its output flows into a log, and a failure carries the log's tail.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::failure::{Context, Failure, Result};

/// Lines of a failed program's output that an error repeats.
const TAIL: usize = 15;

/// A file that keeps what the tools of one build said.
pub(crate) struct Log {
    path: PathBuf,
    file: RefCell<File>,
}

impl Log {
    /// Starts an empty log, with its folder.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .context(|| format!("cannot make {}", folder.display()))?;
        }
        let file = File::options()
            .read(true)
            .append(true)
            .create(true)
            .open(path)
            .and_then(|file| file.set_len(0).map(|()| file))
            .context(|| format!("cannot write the log {}", path.display()))?;
        Ok(Log { path: path.to_owned(), file: RefCell::new(file) })
    }

    /// Runs a part of the build and prints how long it took.
    pub(crate) fn step<T>(&self, name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let start = Instant::now();
        let done = work()?;
        eprintln!("  {:>6.1} s  {name}", start.elapsed().as_secs_f64());
        Ok(done)
    }

    /// Runs `command` to its end, its output in the log.
    ///
    /// # Errors
    /// The program is missing, or it failed: then with the last lines that it wrote.
    pub(crate) fn run(&self, command: &mut Command) -> Result<()> {
        let shown = shown(command);
        let offset = self.note(&format!("$ {shown}\n"))?;
        let handle =
            || self.file.borrow().try_clone().context(|| "cannot share the log".to_owned());
        let status = command
            .stdin(Stdio::null())
            .stdout(handle()?)
            .stderr(handle()?)
            .status()
            .context(|| cannot_start(command))?;
        if status.success() {
            return Ok(());
        }
        let said = self.since(offset).unwrap_or_default();
        Err(Failure::new(format!(
            "{shown}: {status}\n{}(all of it: {})",
            tail(&said),
            self.path.display()
        )))
    }

    /// Adds a line and returns where the text after it starts.
    fn note(&self, text: &str) -> Result<u64> {
        let mut file = self.file.borrow_mut();
        file.write_all(text.as_bytes())
            .and_then(|()| file.seek(SeekFrom::End(0)))
            .context(|| format!("cannot write {}", self.path.display()))
    }

    fn since(&self, offset: u64) -> std::io::Result<String> {
        let mut said = Vec::new();
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(offset))?;
        file.read_to_end(&mut said)?;
        Ok(String::from_utf8_lossy(&said).into_owned())
    }
}

/// Runs `command` with the terminal as its output.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().context(|| cannot_start(command))?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::new(format!("{}: {status}", shown(command))))
}

/// Runs `command` and returns its standard output.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().context(|| cannot_start(command))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Failure::new(format!("{}: {}\n{}", shown(command), output.status, tail(&said).trim_end())))
}

/// Returns whether this process is root already.
pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Returns a command that runs as root: really, or in a user namespace with the caller's subordinate ids.
///
/// Files made so have right owners for everything else that runs through this function; a mount namespace of its own
/// lets `program` mount without a trace.
pub(crate) fn as_root(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("unshare");
    if !is_root() {
        command.args(["--map-root-user", "--map-auto"]);
    }
    command.args(["--mount", "--pid", "--fork", "--kill-child", "--"]).arg(program);
    command
}

/// Returns where `program` is, looking in the folders of root too: a plain user's PATH often lacks them.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

fn cannot_start(command: &Command) -> String {
    format!(
        "cannot start {} (`cargo xtask setup` installs what is missing)",
        command.get_program().display()
    )
}

/// Returns the command as it would be typed, scripts among its words cut short.
fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| cut(&word.to_string_lossy())).collect::<Vec<_>>().join(" ")
}

fn cut(word: &str) -> String {
    match word.trim().split_once('\n') {
        Some((first, _)) => format!("'{first} …'"),
        None => word.to_owned(),
    }
}

/// Returns the last lines of `text`, indented.
fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL)..].iter().map(|line| format!("    {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_carries_what_the_program_said() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::create(&folder.path().join("log")).unwrap();
        log.run(Command::new("echo").arg("earlier")).unwrap();
        let failure =
            log.run(Command::new("sh").args(["-c", "echo no disk >&2; exit 3"])).unwrap_err();
        let text = failure.to_string();
        assert!(text.contains("no disk") && text.contains("exit status: 3"), "{text}");
        assert!(!text.contains("    earlier"), "{text}");
    }

    #[test]
    fn tail_is_bounded() {
        let many: String = (0..100).map(|n| format!("{n}\n")).collect();
        assert_eq!(tail(&many).lines().count(), TAIL);
        assert!(tail(&many).ends_with("    99\n"));
    }
}
