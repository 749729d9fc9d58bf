//! The disk of one measurement: a file that is written once, a file system on it, mounted for one program alone.
//!
//! The file is all written before anything is measured, and nothing is ever discarded, so the first write to a place costs
//! no more than the second. The loop device passes the page cache of the host by: what a sync waits for is the disk.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::failure::{Context, Failure, Result};
use crate::process;

/// Those that are measured, with the options of mkfs and of mount.
pub(super) const KINDS: [Kind; 3] = [
    Kind { name: "btrfs", make: &["-q", "-f", "-K"], mount: "nodiscard" },
    Kind { name: "xfs", make: &["-q", "-f", "-K", "-m", "reflink=1"], mount: "defaults" },
    Kind {
        name: "ext4",
        make: &["-q", "-F", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0"],
        mount: "defaults",
    },
];
/// Room for a backing, its COW files, and one merged.
const SIZE: u64 = 8 << 30;
/// How much is written at once.
const PIECE: usize = 4 << 20;
/// Attaches, mounts, and leaves the device to go with its mount; then the program. What follows makes another file system
/// in the same place, so it ends when the device has really gone, which takes the kernel a moment.
const MOUNTED: &str = r#"
image=$1 mounted=$2 options=$3; shift 3
loop=$(losetup --find --show --direct-io=on "$image") || loop=$(losetup --find --show "$image") || exit
mount -o "$options" "$loop" "$mounted"; failed=$?
losetup --detach "$loop"
[ "$failed" = 0 ] || exit "$failed"
"$@"; ended=$?
umount "$mounted" || exit
for look in $(seq 100); do
    [ -z "$(losetup --associated "$image")" ] && exit "$ended"
    sleep 0.1
done
echo "$loop does not go away" >&2
exit 1
"#;

/// A file system.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    make: &'static [&'static str],
    mount: &'static str,
}

/// The file and where it is mounted; both are gone with it.
pub(super) struct Disk {
    image: PathBuf,
    mounted: PathBuf,
}

impl Disk {
    /// Writes the file.
    pub(super) fn make() -> Result<Self> {
        let folder = super::super::folder();
        let disk = Self { image: folder.join("cow.disk"), mounted: folder.join("cow.mounted") };
        let write = || {
            fs::create_dir_all(&disk.mounted)?;
            let mut file = File::create(&disk.image)?;
            let piece = vec![0; PIECE];
            for _ in 0..SIZE / PIECE as u64 {
                file.write_all(&piece)?;
            }
            file.sync_all()
        };
        write().context(|| format!("cannot write {}", disk.image.display()))?;
        Ok(disk)
    }

    /// Returns where it is mounted.
    pub(super) fn mounted(&self) -> &Path {
        &self.mounted
    }

    /// Makes a file system on it.
    pub(super) fn format(&self, kind: Kind) -> Result<()> {
        let mut command = Command::new(format!("mkfs.{}", kind.name));
        process::output(command.args(kind.make).arg(&self.image)).map(drop)
    }

    /// Runs a program that sees it mounted, and returns what it printed. Messages of the program go to the terminal.
    pub(super) fn run(&self, kind: Kind, words: &[&OsStr]) -> Result<String> {
        let mut command = process::as_root("sh");
        command.args(["-c", MOUNTED, "sh"]).arg(&self.image).arg(&self.mounted);
        let output = command
            .arg(kind.mount)
            .args(words)
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

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.image);
        let _ = fs::remove_dir(&self.mounted);
    }
}
