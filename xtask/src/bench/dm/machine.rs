//! A machine of user-mode Linux with a device-mapper and a file system of its own.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use vmtest::{Size, Uml, UmlVm};

use crate::failure::{Context, Result};
use crate::process;

/// Where the guest has its file system.
pub(super) const DISK: &str = "/run/disk";
/// Room for a pool, most of it holes.
const ROOM: u64 = 8 << 30;
/// Stores have tables in the kernel's memory.
const MEMORY: Size = Size::mib(2048);

/// It, and the folder that both may write to.
pub(super) struct Machine {
    vm: UmlVm,
    folder: TempDir,
}

impl Machine {
    /// Boots one with an empty ext4.
    pub(super) fn start() -> Result<Self> {
        let doing = || "cannot make the disk of a machine".to_owned();
        let folder = tempfile::Builder::new().prefix("bench-dm-").tempdir().context(doing)?;
        let disk = folder.path().join("disk");
        File::create_new(&disk).and_then(|file| file.set_len(ROOM)).context(doing)?;
        process::output(Command::new("mkfs.ext4").arg("-q").arg(&disk))?;
        let modules = ["loop", "dm-mod", "dm-bufio", "dm-snapshot"];
        let uml = Uml::sharing(folder.path()).modules(&modules).memory(MEMORY).disk(&disk);
        let vm = uml.start().context(|| "no machine of user-mode Linux".to_owned())?;
        let machine = Self { vm, folder };
        machine.run(&format!("mkdir {DISK} && mount -t ext4 /dev/ubda {DISK}"))?;
        Ok(machine)
    }

    /// Runs a script in the guest, and returns what it said.
    pub(super) fn run(&self, script: &str) -> Result<String> {
        self.vm.run(script).context(|| "in the machine".to_owned())
    }

    /// Runs a program in the guest under strace, and returns the trace.
    pub(super) fn trace(&self, script: &str) -> Result<String> {
        let trace = self.trace_file();
        self.run(&format!("strace -f -o {} {script}", trace.display()))?;
        fs::read_to_string(&trace).context(|| format!("cannot read {}", trace.display()))
    }

    fn trace_file(&self) -> PathBuf {
        Path::join(self.folder.path(), "trace")
    }

    /// Ends it.
    pub(super) fn end(self) -> Result<()> {
        self.vm.power_off().context(|| "the machine does not end".to_owned())
    }
}
