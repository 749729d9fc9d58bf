//! A file system of its own for a test: an image on a loop device, mounted where nobody else sees it.
//!
//! The mount namespace is the test's thread's and ends with it, so a test that is killed leaves no mount and no loop
//! device behind. Programs that the test starts see the mount. Needs root.
#![allow(dead_code, reason = "no test uses all of it")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot be set up has failed"
)]

use std::{
    cell::Cell,
    path::{Path, PathBuf},
    process::Command,
};

use nix::sched::{CloneFlags, unshare};
use tempfile::TempDir;

/// What the image holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Clones.
    Btrfs,
    /// Clones, and compresses whatever is written.
    CompressedBtrfs,
    /// Clones.
    Xfs,
    /// Does not clone.
    Ext4,
    /// Does not clone, and has whole seconds only.
    SecondsExt4,
}

impl Kind {
    /// Those that pools are made on.
    pub(crate) const ALL: [Self; 3] = [Self::Btrfs, Self::Xfs, Self::Ext4];

    fn make(self) -> &'static [&'static str] {
        match self {
            Self::Btrfs | Self::CompressedBtrfs => &["mkfs.btrfs", "-q", "-m", "single"],
            Self::Xfs => &["mkfs.xfs", "-q", "-m", "reflink=1"],
            Self::Ext4 => &["mkfs.ext4", "-q", "-F", "-b", "4096", "-m", "0"],
            Self::SecondsExt4 => &["mkfs.ext4", "-q", "-F", "-I", "128"],
        }
    }

    fn options(self) -> &'static str {
        match self {
            // Whatever does not shrink is stored compressed all the same.
            Self::CompressedBtrfs => "loop,compress-force=zstd",
            _ => "loop",
        }
    }
}

/// A mounted file system, gone when it is dropped.
#[derive(Debug)]
pub(crate) struct LoopFs {
    kind: Kind,
    /// Image and mount point.
    folder: TempDir,
}

impl LoopFs {
    /// Makes and mounts one that is large enough for most tests; what is not written takes no room.
    pub(crate) fn new(kind: Kind) -> Self {
        Self::of_mib(kind, 512)
    }

    /// Makes and mounts one of `mib` MiB. XFS wants at least 300, btrfs 110.
    pub(crate) fn of_mib(kind: Kind, mib: u64) -> Self {
        Self::below(&std::env::temp_dir(), kind, mib)
    }

    /// Makes and mounts one of 512 MiB whose image is in memory, where a sync waits for no disk.
    pub(crate) fn in_memory(kind: Kind) -> Self {
        Self::below(Path::new("/dev/shm"), kind, 512)
    }

    fn below(dir: &Path, kind: Kind, mib: u64) -> Self {
        have_mounts_of_ones_own();
        let folder = tempfile::Builder::new().prefix("ebbtide-test-").tempdir_in(dir).unwrap();
        let image = folder.path().join("image");
        std::fs::File::create_new(&image).unwrap().set_len(mib << 20).unwrap();
        let (program, arguments) = kind.make().split_first().unwrap();
        run(Command::new(program).args(arguments).arg(&image));
        let fs = Self { kind, folder };
        std::fs::create_dir(fs.dir()).unwrap();
        run(Command::new("mount").args(["-o", kind.options()]).arg(&image).arg(fs.dir()));
        fs
    }

    /// Returns what it holds.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns where it is mounted.
    pub(crate) fn dir(&self) -> PathBuf {
        self.folder.path().join("at")
    }
}

impl Drop for LoopFs {
    fn drop(&mut self) {
        // Somebody may still have a file open there; the mount then ends with the test.
        let ended = Command::new("umount").arg("--lazy").arg(self.dir()).status();
        if !ended.is_ok_and(|status| status.success()) {
            eprintln!("{} stays mounted until the test ends", self.dir().display());
        }
    }
}

/// Leaves the mounts of everybody else, once in each thread.
fn have_mounts_of_ones_own() {
    thread_local!(static HAS: Cell<bool> = const { Cell::new(false) });
    if HAS.replace(true) {
        return;
    }
    unshare(CloneFlags::CLONE_NEWNS).expect("a test of the tier `root` needs root");
    run(Command::new("mount").args(["--make-rprivate", "/"]));
}

/// Runs a program that has to succeed.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{said}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Returns the names in a directory, sorted.
pub(crate) fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
