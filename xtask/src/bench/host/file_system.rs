//! A file system for one measurement: made in a sparse file, mounted for one program alone, gone with it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::failure::{Context, Failure, Result};
use crate::process;

/// Those that share extents between files.
pub(in super::super) const KINDS: [&str; 2] = ["btrfs", "xfs"];
/// Room for all images, their versions, and what they share.
const SIZE: u64 = 48 << 30;

/// One that is made, and mounted while a program runs.
pub(in super::super) struct FileSystem {
    image: PathBuf,
    mounted: PathBuf,
}

impl FileSystem {
    /// Makes an empty one.
    pub(in super::super) fn make(kind: &str) -> Result<Self> {
        let folder = super::super::folder();
        let system = Self {
            image: folder.join(format!("host.{kind}")),
            mounted: folder.join("host.mounted"),
        };
        fs::create_dir_all(&system.mounted)
            .and_then(|()| File::create(&system.image))
            .and_then(|file| file.set_len(SIZE))
            .context(|| format!("cannot make {}", system.image.display()))?;
        process::output(Command::new(format!("mkfs.{kind}")).arg("-q").arg(&system.image))?;
        Ok(system)
    }

    /// Returns where it is mounted.
    pub(in super::super) fn mounted(&self) -> &Path {
        &self.mounted
    }

    /// Runs a program that sees it mounted, and returns what it printed. Messages of the program go to the terminal.
    pub(in super::super) fn run(&self, words: &[&OsStr]) -> Result<String> {
        let script = "mount -o loop \"$1\" \"$2\" && shift 2 && exec \"$@\"";
        let mut command = process::as_root("sh");
        command.args(["-c", script, "sh"]).arg(&self.image).arg(&self.mounted).args(words);
        let output = command
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .context(|| "cannot start unshare".to_owned())?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
        Err(Failure::new(format!("{}: {}", words.join(" "), output.status)))
    }
}

impl Drop for FileSystem {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.image);
    }
}
