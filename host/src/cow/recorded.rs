//! What the header of a COW file of user-mode Linux records of a backing file.

use super::{Disk, Kind};
use crate::{
    Error, Result,
    error::{Refusal, RefusalKind},
};
use std::{
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

/// Path and time of a backing file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// Absolute. Links in the directory are resolved and the last name is kept, also that of a link, as `absolutize` in
    /// the kernel's arch/um/drivers/cow_user.c does it.
    pub(super) path: PathBuf,
    /// In seconds since 1970.
    pub(super) modified: u32,
}

impl Record {
    /// Returns what is recorded of a file that is open.
    ///
    /// # Errors
    /// Its time has no room in a header; its directory cannot be found.
    pub(super) fn of(disk: &Disk) -> Result<Self> {
        let path = absolute(&disk.path)?;
        if disk.kind == Kind::Device {
            log::warn!(
                "{} gets another time of modification whenever its node is made, and user-mode Linux does not know it again then",
                path.display()
            );
        }
        Ok(Self { path, modified: modified(disk)? })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.path.as_os_str().as_bytes()
    }
}

fn absolute(path: &Path) -> Result<PathBuf> {
    let dir = match path.parent() {
        Some(dir) if dir != Path::new("") => dir,
        _ => Path::new("."),
    };
    let real = dir
        .canonicalize()
        .map_err(Error::doing(format!("find the directory of {}", path.display())))?;
    match path.file_name() {
        Some(name) => Ok(real.join(name)),
        None => {
            let text = format!("{} has no name of a file", path.display());
            Err(Refusal::new(RefusalKind::Invalid, text).into())
        }
    }
}

fn modified(disk: &Disk) -> Result<u32> {
    let (seconds, _) = disk.modified;
    u32::try_from(seconds).map_err(|_| {
        let path = disk.path.display();
        let text = format!(
            "{path} was last written to {seconds} s after 1970, and a COW file can record times from 1970 to 2106 only"
        );
        let hint = "give it another time with 'touch'";
        Refusal::new(RefusalKind::Unable, text).hint(hint).into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::symlink};

    #[test]
    fn the_directory_is_resolved_and_the_name_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().canonicalize().unwrap();
        fs::create_dir(real.join("real")).unwrap();
        fs::write(real.join("real/image"), "x").unwrap();
        symlink("real", real.join("link")).unwrap();
        symlink("image", real.join("real/current")).unwrap();
        for (path, wanted) in [
            ("real/image", "real/image"),
            ("link/./image", "real/image"),
            ("link/../real/current", "real/current"),
        ] {
            assert_eq!(absolute(&real.join(path)).unwrap(), real.join(wanted));
        }
        assert_eq!(absolute(Path::new("/image")).unwrap(), Path::new("/image"));
        let here = std::env::current_dir().unwrap().canonicalize().unwrap();
        assert_eq!(absolute(Path::new("image")).unwrap(), here.join("image"));
        absolute(&real.join("missing/image")).unwrap_err();
        absolute(&real.join("real/..")).unwrap_err();
    }
}
