//! A machine of user-mode Linux whose disk is recorded, in which this very program runs one test.
//!
//! ```text
//! ubda   a file system, below dm-log-writes     ubdc   the same file system, to write the record to again
//! ubdb   the record                             ubdd   what is written while that is looked at, and dropped
//! ```

use std::{env, fs::File, path::Path, path::PathBuf, process::Command};
use tempfile::TempDir;
use vmtest::{Error, Result, Size, Uml, UmlVm};

/// Set in the guest: `base` when the sync of the base is left out, or nothing.
const HERE: &str = "EBBTIDE_TEST_POWER";
/// XFS wants as much.
const MIB: u64 = 320;

/// Returns what is left out, in the guest; `None` where this is a test like any other.
pub(crate) fn here() -> Option<String> {
    env::var(HERE).ok()
}

/// A machine with its disks.
pub(crate) struct Machine {
    vm: UmlVm,
    _folder: TempDir,
}

impl Machine {
    /// Boots one with an empty file system, mounted at `/run/disk` and recorded from now on.
    pub(crate) fn start(kind: &str) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("vm-dm-power-").tempdir().map_err(io)?;
        let disks = ["disk", "record", "again", "dropped"].map(|name| folder.path().join(name));
        for disk in &disks {
            File::create_new(disk).and_then(|file| file.set_len(MIB << 20)).map_err(io)?;
        }
        run(Command::new(format!("mkfs.{kind}")).arg("-q").arg(&disks[0]))?;
        run(Command::new("cp").arg("--sparse=always").args([&disks[0], &disks[2]]))?;
        let mut uml = Uml::sharing(folder.path()).memory(Size::mib(512)).modules(&[
            "loop",
            "dm-mod",
            "dm-bufio",
            "dm-snapshot",
            "dm-log-writes",
        ]);
        for disk in &disks {
            uml = uml.disk(disk);
        }
        let vm = uml.start()?;
        let sectors = MIB << 11;
        vm.run(&format!(
            "echo {kind} > /run/kind; mkdir /run/disk &&\n\
             dmsetup create logged --table '0 {sectors} log-writes /dev/ubda /dev/ubdb' &&\n\
             mount -t {kind} /dev/mapper/logged /run/disk"
        ))?;
        Ok(Self { vm, _folder: folder })
    }

    /// Runs a script in the guest.
    pub(crate) fn run(&self, script: &str) -> Result<String> {
        self.vm.run(script)
    }

    /// Runs a test of this program in the guest.
    pub(crate) fn test(&self, name: &str, forgets: &str) -> Result<String> {
        let program: PathBuf = env::current_exe().map_err(io)?;
        let program = program.display();
        self.vm.run(&format!(
            "cd /run && {HERE}='{forgets}' {program} --exact {name} --nocapture --test-threads=1 2>&1"
        ))
    }

    /// Ends it. What the guest's kernel complained of is a failure.
    pub(crate) fn end(self) -> Result<()> {
        let console = self.vm.console();
        for word in ["BUG:", "Oops", "EXT4-fs error", "Corruption"] {
            assert!(!console.contains(word), "{word}: {console}");
        }
        self.vm.pull_the_plug();
        Ok(())
    }
}

/// Runs a program, in the guest or for it.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let done = command.output().map_err(io)?;
    let said = String::from_utf8_lossy(&done.stderr);
    if done.status.success() {
        return Ok(());
    }
    Err(Error::Description(format!("{command:?}: {said}")))
}

/// Returns the sectors of each disk.
pub(crate) const fn sectors() -> u64 {
    MIB << 11
}

/// Returns the directory of the pool below a mounted disk.
pub(crate) fn pool() -> &'static Path {
    Path::new("/run/disk/pool")
}

#[allow(clippy::needless_pass_by_value, reason = "it is what map_err takes")]
fn io(error: std::io::Error) -> Error {
    Error::Description(error.to_string())
}
