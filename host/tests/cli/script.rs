//! A transcript: its commands are run, and the text that it should be is written.

use crate::{background, mask};
use std::{env, fs, path::Path, process::Command};

const PROGRAM: &str = env!("CARGO_BIN_EXE_ebbtide");

/// `. new-pool` makes a pool, `pool`, that commands without `--pool` use. It copies, so any file system does.
const NEW_POOL: &str = r#"
ebbtide pool create pool --driver copy >/dev/null
mkdir -p .config/ebbtide
echo "pool = \"$PWD/pool\"" > .config/ebbtide/config.toml
"#;

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
    pub(crate) fn run(&self) -> Result<String, String> {
        let room = tempfile::Builder::new()
            .prefix("ebbtide-cli-")
            .tempdir()
            .map_err(|e| format!("temporary directory: {e}"))?;
        let here = room.path().join("here");
        fs::create_dir(&here).map_err(|e| format!("{}: {e}", here.display()))?;
        let path = room.path().join("new-pool");
        fs::write(&path, NEW_POOL).map_err(|e| format!("{}: {e}", path.display()))?;
        let mut text = String::new();
        for line in &self.lines {
            match line {
                Line::Kept(line) => text += &format!("{line}\n"),
                Line::Command(command) => {
                    let said = run(command, room.path(), &here)?;
                    text += &format!("$ {command}\n{}", mask::mask(&said, &here));
                }
            }
        }
        Ok(text)
    }
}

/// Runs a command, waits for it and for all that it left in the background, and returns what both said.
fn run(command: &str, room: &Path, here: &Path) -> Result<String, String> {
    let wrapped = "eval \"$1\" >\"$2/out\" 2>\"$2/err\"; echo $? >\"$2/status\"";
    let programs = Path::new(PROGRAM).parent().unwrap_or(Path::new("/"));
    let path = env::var("PATH").unwrap_or_default();
    Command::new("sh")
        .args(["-c", wrapped, "sh", command])
        .arg(room)
        .current_dir(here)
        .env_clear()
        .env("PATH", format!("{}:{}:{path}", programs.display(), room.display()))
        .env("HOME", here)
        .env("TZ", "UTC")
        .env("LC_ALL", "C")
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
