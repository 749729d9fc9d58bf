//! A transcript: its commands are run, and the text that it should be is written.

use crate::{background, mask};
use std::{env, fs, path::Path, process::Command};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_ebbtide");

/// Where sockets of machines are, beside the directory of the case.
const SOCKETS: &str = "r";
const FUNCTIONS: &str = "functions";

/// How machines are run here, which no transcript depends on.
const HANDED_ON: [&str; 3] = ["EBBTIDE_QEMU", "EBBTIDE_ACCEL", "EBBTIDE_TIME_SCALE"];

/// `. new-pool` makes a pool, `pool`, that commands without `--pool` use. It copies, so any file system does.
const NEW_POOL: &str = r#"
ebbtide pool create pool --driver copy >/dev/null
mkdir -p .config/ebbtide
echo "pool = \"$PWD/pool\"" > .config/ebbtide/config.toml
"#;

/// What a program of transcripts has around the commands of each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Around {
    /// Whether what they need is here; says why not.
    pub(crate) can_run: fn() -> bool,
    /// Said to the shell before each command: the functions that transcripts may use.
    pub(crate) functions: &'static str,
    /// Ends what still runs in the directory of a transcript.
    pub(crate) end: fn(&Path),
}

/// The directory of a transcript. Nothing runs in it any more when it is dropped, whatever has failed.
struct Room {
    dir: TempDir,
    end: fn(&Path),
}

impl Drop for Room {
    fn drop(&mut self) {
        (self.end)(self.dir.path());
    }
}

/// What stays of a transcript when what was printed is taken away.
#[derive(Debug)]
pub(crate) struct Script<'a> {
    lines: Vec<Line<'a>>,
}

#[derive(Debug)]
enum Line<'a> {
    /// A comment or an empty line before a command.
    Kept(&'a str),
    /// What is run.
    Command(&'a str),
}

impl<'a> Script<'a> {
    /// Reads the commands and the comments of a transcript.
    pub(crate) fn parse(text: &'a str) -> Self {
        let line = |line: &'a str| match line.strip_prefix("$ ") {
            Some(command) => Some(Line::Command(command)),
            None => line.starts_with("# ").then_some(Line::Kept(line)),
        };
        Self { lines: text.lines().filter_map(line).collect() }
    }

    /// Runs the commands in a new directory and returns the transcript.
    pub(crate) fn run(&self, around: Around) -> Result<String, String> {
        let dir = tempfile::Builder::new()
            .prefix("ebbtide-cli-")
            .tempdir()
            .map_err(|e| format!("temporary directory: {e}"))?;
        let room = Room { dir, end: around.end };
        let room = room.dir.path();
        let here = room.join("here");
        for dir in [&here, &room.join(SOCKETS)] {
            fs::create_dir(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        }
        for (name, text) in [("new-pool", NEW_POOL), (FUNCTIONS, around.functions)] {
            let path = room.join(name);
            fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))?;
        }
        let mut text = String::new();
        for line in &self.lines {
            match line {
                Line::Kept(line) => text += &format!("{line}\n"),
                Line::Command(command) => {
                    let said = run(command, room, &here)?;
                    text += &format!("$ {command}\n{}", mask::mask(&said, &here));
                }
            }
        }
        Ok(text)
    }
}

/// Runs a command, waits for it and for all that it left in the background, and returns what both said.
fn run(command: &str, room: &Path, here: &Path) -> Result<String, String> {
    let wrapped = ". functions; eval \"$1\" >\"$2/out\" 2>\"$2/err\"; echo $? >\"$2/status\"";
    let programs = Path::new(PROGRAM).parent().unwrap_or(Path::new("/"));
    let path = env::var("PATH").unwrap_or_default();
    Command::new("sh")
        .args(["-c", wrapped, "sh", command])
        .arg(room)
        .current_dir(here)
        .env_clear()
        .env("PATH", format!("{}:{}:{path}", programs.display(), room.display()))
        .env("HOME", here)
        .env("XDG_RUNTIME_DIR", room.join(SOCKETS))
        .env("TZ", "UTC")
        .env("LC_ALL", "C")
        .envs(HANDED_ON.iter().filter_map(|name| Some((name, env::var_os(name)?))))
        .output()
        .map_err(|e| format!("sh: {e}"))?;
    background::wait(room);
    let read = |name: &str| {
        fs::read(room.join(name))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .map_err(|e| format!("{command}: {name}: {e}"))
    };
    let mut said = read("out")?;
    if !said.is_empty() && !said.ends_with('\n') {
        said.push_str("[no end of line]\n");
    }
    for line in read("err")?.lines() {
        said += format!("! {line}").trim_end();
        said.push('\n');
    }
    match read("status")?.trim() {
        "0" => {}
        status => said += &format!("[exit {status}]\n"),
    }
    Ok(said)
}
