//! The log of a console: a file per machine, removed when its test had nothing to complain about.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::error::{Error, Result};
use crate::image::in_target;

/// How many machines this process has made: tests may use several.
static MACHINES: AtomicU32 = AtomicU32::new(1);

/// The log of one machine over all of its starts.
#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    file: File,
    needed: AtomicBool,
}

impl Log {
    /// Starts a log in [`folder`], named after the running test.
    pub(crate) fn new() -> Result<Self> {
        let folder = folder();
        let number = MACHINES.fetch_add(1, Ordering::Relaxed);
        let program = std::env::current_exe().unwrap_or_default();
        let thread = std::thread::current();
        let name = name(&program, thread.name().unwrap_or("thread"), number);
        let path = folder.join(name);
        let failed = || Error::io(format!("making the console log {}", path.display()));
        std::fs::create_dir_all(&folder).map_err(failed())?;
        // Without the old one first, a machine that still writes there would go on in this one.
        let _ = std::fs::remove_file(&path);
        let file = OpenOptions::new().append(true).create(true).open(&path).map_err(failed())?;
        Ok(Self { path, file, needed: AtomicBool::new(false) })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns a handle that appends, after a line that says which start this is.
    pub(crate) fn begin(&self, start: u32) -> Result<File> {
        let failed = || Error::io(format!("writing {}", self.path.display()));
        let mut file = self.file.try_clone().map_err(failed())?;
        writeln!(file, "--- start {} ---", start + 1).map_err(failed())?;
        Ok(file)
    }

    /// Returns everything logged so far, over all starts.
    pub(crate) fn read(&self) -> Result<Vec<u8>> {
        let failed = Error::io(format!("reading {}", self.path.display()));
        std::fs::read(&self.path).map_err(failed)
    }

    /// Keeps the file, since somebody has been told about it.
    pub(crate) fn keep(&self) {
        self.needed.store(true, Ordering::Relaxed);
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let kept = self.needed.load(Ordering::Relaxed) || std::thread::panicking();
        if !kept && std::env::var_os("EBBTIDE_KEEP_LOGS").is_none() {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Returns where logs go: `EBBTIDE_VM_LOGS`, else `target/vm-logs`.
pub(crate) fn folder() -> PathBuf {
    std::env::var_os("EBBTIDE_VM_LOGS").map_or_else(|| in_target("vm-logs"), PathBuf::from)
}

/// Returns a file name that a later run of the same test uses again.
fn name(program: &Path, test: &str, number: u32) -> String {
    let program = program.file_stem().unwrap_or_default().to_string_lossy();
    // Cargo appends a hash of 16 hex digits to the names of test programs.
    let program = match program.rsplit_once('-') {
        Some((name, hash)) if hash.len() == 16 => name.to_owned(),
        _ => program.into_owned(),
    };
    let safe = |c: char| {
        if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '-' }
    };
    let test: String =
        test.replace("::", ".").chars().map(|c| if c == '.' { c } else { safe(c) }).collect();
    format!("{program}.{test}.{number}.log")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_named_after_its_test() {
        let program = Path::new("/target/debug/deps/boot-0123456789abcdef");
        assert_eq!(name(program, "swap::is on/off", 2), "boot.swap.is-on-off.2.log");
        assert_eq!(name(Path::new("/bin/boot-time"), "main", 1), "boot-time.main.1.log");
    }
}
