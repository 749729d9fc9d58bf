//! A package whose programs go into a stage image and are not to run here: its name flows in, the folder of its files
//! flows out.
//!
//! Installed, a daemon of a guest would be started on whatever machine builds the images.

use std::fs;
use std::path::{Path, PathBuf};

use super::cache::{Cache, Force};
use super::fingerprint::Fingerprint;
use super::packages;
use crate::failure::{Context, Failure, Result};

/// Folders that programs of a package are in.
const FOLDERS: [&str; 4] = ["usr/sbin", "usr/bin", "sbin", "bin"];

/// Returns what a package in the cache depends on; its version is none of it.
pub(crate) fn fingerprint(package: &str) -> String {
    Fingerprint::default()
        .add("builder", include_bytes!("packaged.rs"))
        .add("packages", include_bytes!("packages.rs"))
        .add("package", package.as_bytes())
        .digest()
}

/// Returns the folder of a package's files, fetched where it is missing.
pub(crate) fn ensure(package: &str, cache: &Cache, force: &Force) -> Result<PathBuf> {
    let name = format!("package-{package}");
    cache.entry(&name, &fingerprint(package), force, |folder, log| {
        let fetched = tempfile::tempdir_in(folder).context(|| "cannot make a folder".to_owned())?;
        log.step(&format!("fetch {package}"), || {
            packages::fetch(&[package.to_owned()], fetched.path(), log)
        })?;
        log.step("unpack it", || packages::unpack(fetched.path(), folder, &[], log))
    })
}

/// Returns a program of an unpacked package.
///
/// # Errors
/// The package has none of that name.
pub(crate) fn program(name: &str, unpacked: &Path) -> Result<PathBuf> {
    let mut paths = FOLDERS.iter().map(|folder| unpacked.join(folder).join(name));
    paths.find(|path| fs::metadata(path).is_ok_and(|found| found.is_file())).ok_or_else(|| {
        Failure::new(format!(
            "there is no program {name} in {}: looked in {}",
            unpacked.display(),
            FOLDERS.join(", ")
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_where_it_is_and_one_that_is_missing_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("usr/sbin")).unwrap();
        fs::write(folder.path().join("usr/sbin/qemu-ga"), "").unwrap();
        let found = program("qemu-ga", folder.path()).unwrap();
        assert!(found.ends_with("usr/sbin/qemu-ga"));
        let failure = program("qemu-gb", folder.path()).unwrap_err().to_string();
        assert!(failure.contains("no program qemu-gb"), "{failure}");
    }
}
