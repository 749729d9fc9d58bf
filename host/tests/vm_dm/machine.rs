//! A machine of user-mode Linux with device-mapper and a disk of its own, in which this very program runs one test.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;
use vmtest::{Error, Result, Size, Uml, UmlVm};

/// Set in the guest: where its disk is mounted.
const HERE: &str = "EBBTIDE_TEST_DM";

/// Returns the directory of the guest's disk; `None` where this is a test like any other.
pub(crate) fn here() -> Option<PathBuf> {
    env::var_os(HERE).map(PathBuf::from)
}

/// A machine with its disk.
pub(crate) struct Machine {
    vm: UmlVm,
    folder: TempDir,
    kind: &'static str,
}

impl Machine {
    /// Boots one with an empty file system of `mib` MiB, `ext4`, `xfs` or `btrfs`.
    pub(crate) fn start(kind: &'static str, mib: u64) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("vm-dm-").tempdir().map_err(io)?;
        let disk = folder.path().join("disk");
        fs::File::create_new(&disk).and_then(|file| file.set_len(mib << 20)).map_err(io)?;
        let mut mkfs = Command::new(format!("mkfs.{kind}"));
        mkfs.arg("-q").arg(&disk);
        let made = mkfs.output().map_err(io)?;
        assert!(made.status.success(), "{mkfs:?}: {}", String::from_utf8_lossy(&made.stderr));
        Self::boot(folder, kind)
    }

    fn boot(folder: TempDir, kind: &'static str) -> Result<Self> {
        let disk = folder.path().join("disk");
        let vm = Self::uml(folder.path()).disk(&disk).memory(Size::mib(768)).start()?;
        vm.run(&format!("mkdir /run/disk && mount -t {kind} /dev/ubda /run/disk"))?;
        Ok(Self { vm, folder, kind })
    }

    /// Pulls the plug, and boots again with what was written to the disk by then.
    pub(crate) fn pull_the_plug(self) -> Result<Self> {
        self.vm.pull_the_plug();
        Self::boot(self.folder, self.kind)
    }

    /// Returns the folder that both may write to.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the description of a machine with device-mapper.
    pub(crate) fn uml(folder: &Path) -> Uml {
        Uml::sharing(folder).modules(&["loop", "dm-mod", "dm-bufio", "dm-snapshot"])
    }

    /// Runs a script in the guest.
    pub(crate) fn run(&self, script: &str) -> Result<String> {
        self.vm.run(script)
    }

    /// Runs a test of this program in the guest, with these settings.
    pub(crate) fn test(&self, name: &str, settings: &[(&str, &str)]) -> Result<String> {
        self.vm.run(&line(name, settings)?)
    }

    /// Begins a test of this program in the guest, which goes on while the guest does.
    pub(crate) fn begin(&self, name: &str, settings: &[(&str, &str)]) -> Result<()> {
        let line = line(name, settings)?;
        let ended = "echo $? > /run/status; : > /run/ended";
        self.run(&format!("mkfifo /run/ended; ({line}; {ended}) > /run/said < /dev/null &"))
            .map(drop)
    }

    /// Waits for the test that was begun, in turns that are shorter than a command may take.
    pub(crate) fn finish(&self) -> Result<String> {
        while self.run("timeout 20 cat /run/ended || echo no")? == "no" {}
        self.run("cat /run/said; exit $(cat /run/status)")
    }

    /// Runs tests of this program one after the other, until one fails: it leaves devices to the next.
    pub(crate) fn tests(&self, names: &[&str]) -> Result<()> {
        for name in names {
            match self.test(name, &[]) {
                Ok(said) => println!("{said}"),
                Err(Error::Command { output, .. }) => panic!("{name}: {output}"),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Ends it. What the guest's kernel complained of is a failure.
    pub(crate) fn end(self) -> Result<()> {
        let left = self.vm.run("dmsetup ls; losetup -a")?;
        assert_eq!(left, "No devices found", "devices are left");
        let console = self.vm.console();
        for word in ["BUG:", "Oops", "WARNING:", "EXT4-fs error", "Corruption"] {
            assert!(!console.contains(word), "{word}: {console}");
        }
        self.vm.run("umount /run/disk")?;
        self.vm.power_off()
    }
}

/// Returns the shell's line that runs a test of this program.
fn line(name: &str, settings: &[(&str, &str)]) -> Result<String> {
    let program = env::current_exe().map_err(io)?;
    let settings: Vec<String> =
        settings.iter().map(|(name, value)| format!("{name}='{value}'")).collect();
    Ok(format!(
        "cd /run && {HERE}=/run/disk {} {} --exact {name} --nocapture --test-threads=1 2>&1",
        settings.join(" "),
        program.display()
    ))
}

/// Runs tests of this program in a machine, and ends it.
pub(crate) fn on_one(machine: Machine, names: &[&str]) -> Result<()> {
    machine.tests(names)?;
    machine.end()
}

#[allow(clippy::needless_pass_by_value, reason = "as `map_err` gives it")]
fn io(error: std::io::Error) -> Error {
    Error::Description(error.to_string())
}
