//! No file names a folder that only exists on the machine it was written on.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Verdict, tree};
use crate::failure::{Context, Failure, Result};
use crate::workspace;

/// Folders that every machine has: what lies directly in them is named, they themselves may be.
const EVERYWHERE: [&str; 10] =
    ["/", "/home", "/mnt", "/opt", "/root", "/srv", "/tmp", "/usr", "/usr/src", "/var/tmp"];

/// Looks for the folders of this machine in every file.
pub(crate) fn check() -> Result<Verdict> {
    let folders = folders(&workspace::root(), |name| std::env::var_os(name).map(PathBuf::from));
    let (mut number, mut found) = (0, Vec::new());
    for path in tree::files()? {
        number += 1;
        let bytes = fs::read(&path).context(|| format!("cannot read {}", path.display()))?;
        for (index, line) in String::from_utf8_lossy(&bytes).lines().enumerate() {
            for folder in folders.iter().filter(|folder| names(line, folder)) {
                found.push(format!("{}:{}: {folder}", path.display(), index + 1));
            }
        }
    }
    if found.is_empty() {
        return Ok(Verdict::Fine(format!("none in {number} files")));
    }
    Err(Failure::new(format!("paths of this machine:\n  {}", found.join("\n  "))))
}

/// Returns the folders of this machine: the checkout, the one around it, those of the user and of cargo.
fn folders(checkout: &Path, variable: impl Fn(&str) -> Option<PathBuf>) -> Vec<String> {
    let around = checkout.parent().map(Path::to_owned);
    let users = ["HOME", "CARGO_HOME", "RUSTUP_HOME", "CARGO_TARGET_DIR"].map(variable);
    let all = [Some(checkout.to_owned()), around].into_iter().chain(users).flatten();
    let mut folders: Vec<String> = all
        .filter(|folder| folder.is_absolute() && !EVERYWHERE.iter().any(|f| folder == Path::new(f)))
        .map(|folder| folder.to_string_lossy().into_owned())
        .collect();
    folders.sort();
    folders.dedup();
    folders
}

/// Returns whether `line` holds `folder` as a path from its beginning, whole names only.
fn names(line: &str, folder: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '}' | '~');
    line.match_indices(folder).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + folder.len()..]);
        !before.ends_with(inside)
            && !after.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '-'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_every_machine_are_not_looked_for() {
        let variable = |name: &str| match name {
            "HOME" => Some(PathBuf::from("/root")),
            "CARGO_HOME" => Some(PathBuf::from("/disk7/ann/.cargo")),
            _ => None,
        };
        assert_eq!(folders(Path::new("/tmp/x"), variable), ["/disk7/ann/.cargo", "/tmp/x"]);
        let found = folders(Path::new("/disk7/ann/ebbtide"), |_| None);
        assert_eq!(found, ["/disk7/ann", "/disk7/ann/ebbtide"]);
    }

    #[test]
    fn a_folder_is_found_as_a_whole() {
        assert!(names("see \"/disk7/ann/notes\"", "/disk7/ann"));
        assert!(names("cd /disk7/ann", "/disk7/ann"));
        assert!(!names("root/disk7/ann", "/disk7/ann"));
        assert!(!names("/disk7/anna", "/disk7/ann"));
    }
}
