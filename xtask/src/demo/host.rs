//! The host of the story: the program `ebbtide` on a pool, as somebody at a terminal would use it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::place::Place;
use crate::failure::{Context, Failure, Result};
use crate::{process, workspace};
use vmtest::Guest;

/// The program, its pool, and where guests are talked to.
pub(crate) struct Host {
    program: PathBuf,
    images: PathBuf,
    place: Place,
}

/// What a command came to: everything that it said, and whether it was done.
pub(crate) struct Said {
    /// Standard output and standard error.
    pub(crate) text: String,
    /// Whether the exit status is 0.
    pub(crate) done: bool,
}

impl Host {
    /// Builds the program.
    pub(crate) fn new(place: Place, images: PathBuf) -> Result<Self> {
        Ok(Self { program: workspace::build_host()?, images, place })
    }

    /// Returns the pool's folder.
    pub(crate) fn pool(&self) -> &Path {
        self.place.pool()
    }

    /// Runs `ebbtide` with these words.
    pub(crate) fn ebbtide(&self, words: &[&str]) -> Result<Said> {
        self.run(Command::new(&self.program).args(words))
    }

    /// Runs a line of shell in the pool's folder.
    pub(crate) fn shell(&self, line: &str) -> Result<Said> {
        self.run(Command::new("sh").args(["-c", line]).current_dir(self.pool()))
    }

    /// Runs a command that has to succeed, and returns what it said.
    pub(crate) fn must(&self, words: &[&str]) -> Result<String> {
        let said = self.ebbtide(words)?;
        if said.done {
            return Ok(said.text);
        }
        Err(Failure::new(format!("ebbtide {}: {}", words.join(" "), said.text)))
    }

    /// Starts a machine in the background and connects to the agent in it.
    pub(crate) fn start(&self, name: &str) -> Result<Guest> {
        let socket = self.place.socket(name);
        let arguments = Guest::arguments(&socket);
        let mut words = vec!["start", name, "--"];
        words.extend(arguments.iter().map(String::as_str));
        self.must(&words)?;
        Guest::attach(&socket).context(|| format!("{name} does not listen"))
    }

    fn run(&self, command: &mut Command) -> Result<Said> {
        let output = command
            .env("EBBTIDE_POOL", self.pool())
            .env("EBBTIDE_IMAGES", &self.images)
            .stdin(Stdio::null())
            .output()
            .context(|| format!("cannot start {}", command.get_program().display()))?;
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).trim_end().to_owned();
        Ok(Said { text, done: output.status.success() })
    }
}

impl Host {
    /// Stops all machines and removes all files, whatever has become of the story.
    pub(crate) fn clear(&self) {
        for name in ["work", "mail", "debian"] {
            let _ = self.ebbtide(&["stop", name, "--force", "--discard"]);
        }
        // What was made of them: none of it is kept.
        let starts = self.shell("ls appvms vm-templates | grep -E -- '-(disp|seed|inst)[0-9]+$'");
        for name in starts.iter().flat_map(|said| said.text.lines()) {
            let _ = self.ebbtide(&["stop", name, "--force", "--discard"]);
        }
        self.place.clear();
    }
}

/// Returns the checksum of a file, by a program that anybody can run again.
pub(crate) fn sha256(path: &Path) -> Result<String> {
    let said = process::output(Command::new("sha256sum").arg(path))?;
    Ok(said.split_whitespace().next().unwrap_or_default().to_owned())
}
