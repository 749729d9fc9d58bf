//! Packages of Debian without an installation: names flow in, a tree of their files flows out.
//!
//! No script of theirs runs, and nothing is added that they depend on: the tree is as small as the list.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::{Context, Failure, Result};
use crate::process::{self, Log};

/// Unpacks all archives of a folder below a tree, through the links of its merged `/usr`.
const UNPACK: &str = r#"
archives=$1 tree=$2; shift 2
for archive in "$archives"/*.deb; do
    dpkg-deb --fsys-tarfile "$archive" |
        tar -x -C "$tree" --no-same-owner --keep-directory-symlink "$@" || exit
done
"#;

/// Fetches packages in the versions that apt would install, into a folder that is empty.
pub(crate) fn fetch(names: &[String], folder: &Path, log: &Log) -> Result<()> {
    let download = || {
        let mut command = Command::new("apt-get");
        // Without this apt warns that its own user cannot write here.
        command.args(["-o", "APT::Sandbox::User=root", "download"]);
        log.run(command.args(names).current_dir(folder))
    };
    match download() {
        // The package lists may never have been fetched, or name versions that are gone.
        Err(_) if process::is_root() => {
            log.run(Command::new("apt-get").arg("update"))?;
            download()
        }
        done => done,
    }
}

/// Unpacks what was fetched over a tree that has the links of a merged `/usr`.
pub(crate) fn unpack(fetched: &Path, tree: &Path, exclude: &[String], log: &Log) -> Result<()> {
    let mut command = Command::new("bash");
    command.args(["-o", "pipefail", "-c", UNPACK, "bash"]).arg(fetched).arg(tree);
    log.run(command.args(exclude.iter().map(|pattern| format!("--exclude={pattern}"))))
}

/// Returns the only file of a folder whose name begins and ends so.
///
/// # Errors
/// There is none, or another.
pub(crate) fn only(folder: &Path, begin: &str, end: &str) -> Result<PathBuf> {
    let cannot = || format!("cannot list {}", folder.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).context(cannot)? {
        let entry = entry.context(cannot)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(begin) && name.ends_with(end) {
            found.push(entry.path());
        }
    }
    match <[PathBuf; 1]>::try_from(found) {
        Ok([path]) => Ok(path),
        Err(found) => Err(Failure::new(format!(
            "wanted one {begin}*{end} in {}, found {}",
            folder.display(),
            found.len()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_only_file_is_found_and_two_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["xen-4.17.gz", "xen-4.17.efi", "vmlinuz"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let found = only(folder.path(), "xen-", ".gz").unwrap();
        assert!(found.ends_with("xen-4.17.gz"));
        fs::write(folder.path().join("xen-4.18.gz"), "").unwrap();
        let failure = only(folder.path(), "xen-", ".gz").unwrap_err().to_string();
        assert!(failure.contains("found 2"), "{failure}");
    }
}
