//! Where the pool of the story is: on a file system that clones, for the while that it is told.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::failure::{Context, Result};
use crate::{process, workspace};

/// Size of the file system that is made: sparse, and far more than is written.
const SIZE: &str = "16G";

/// A folder for the pool; everything in it is gone with this.
pub(crate) struct Place {
    pool: PathBuf,
    /// Where a file system was mounted for the story.
    mounted: Option<PathBuf>,
    // Dropped last: what is mounted in it has to be unmounted first.
    folder: TempDir,
}

/// How files are shared there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// By the file system.
    Clones,
    /// Not at all: files are copied.
    Copies,
}

impl Place {
    /// Makes a place: where the target folder's file system clones, there; else, for root, on a btrfs made for this;
    /// else where files are copied.
    pub(crate) fn make() -> Result<(Self, Sharing)> {
        let folder = tempfile::Builder::new()
            .prefix("demo-")
            .tempdir_in(workspace::target_dir())
            .context(|| "cannot make a folder for the demo".to_owned())?;
        let pool = folder.path().join("pool");
        if clones(folder.path()) {
            return Ok((Self { pool, mounted: None, folder }, Sharing::Clones));
        }
        if !process::is_root() {
            return Ok((Self { pool, mounted: None, folder }, Sharing::Copies));
        }
        let mounted = mount_btrfs(folder.path())?;
        Ok((Self { pool: mounted.join("pool"), mounted: Some(mounted), folder }, Sharing::Clones))
    }

    /// Returns where the pool is to be.
    pub(crate) fn pool(&self) -> &Path {
        &self.pool
    }

    /// Returns a path for a socket, short as such paths have to be.
    pub(crate) fn socket(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.agent"))
    }
}

impl Place {
    /// Removes all of it. What is in use by then is gone with its user.
    pub(crate) fn clear(&self) {
        if let Some(mounted) = &self.mounted {
            // Lazily: a machine that could not be stopped still has files open, and nobody else wants them.
            let _ =
                Command::new("umount").arg("--lazy").arg(mounted).stderr(Stdio::null()).status();
        }
        let _ = std::fs::remove_dir_all(self.folder.path());
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Returns whether files in `folder` can be cloned.
fn clones(folder: &Path) -> bool {
    let (one, other) = (folder.join("one"), folder.join("other"));
    if std::fs::write(&one, [1; 4096]).is_err() {
        return false;
    }
    let mut copy = Command::new("cp");
    copy.arg("--reflink=always").arg(&one).arg(&other);
    let cloned = copy.output().is_ok_and(|output| output.status.success());
    let _ = std::fs::remove_file(one);
    let _ = std::fs::remove_file(other);
    cloned
}

fn mount_btrfs(folder: &Path) -> Result<PathBuf> {
    let (image, mounted) = (folder.join("btrfs.img"), folder.join("btrfs"));
    std::fs::create_dir(&mounted).context(|| format!("cannot make {}", mounted.display()))?;
    process::output(Command::new("truncate").args(["--size", SIZE]).arg(&image))?;
    process::output(Command::new("mkfs.btrfs").arg("--quiet").arg(&image))?;
    process::output(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&mounted))?;
    Ok(mounted)
}
