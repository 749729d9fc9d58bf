//! Directories of files, made and copied.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

/// Returns a directory for files that nobody has to keep.
pub(crate) fn room() -> TempDir {
    let memory = Path::new("/dev/shm");
    let below = if memory.is_dir() { memory.into() } else { std::env::temp_dir() };
    tempfile::Builder::new().prefix("dm-cuts-").tempdir_in(below).unwrap()
}

/// Copies files and directories but for devices, and names of one file as names of one file.
pub(crate) fn copy_tree(from: &Path, to: &Path) {
    fn copy(from: &Path, to: &Path, made: &mut BTreeMap<u64, PathBuf>) {
        for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
            let (found, to) = (entry.metadata().unwrap(), to.join(entry.file_name()));
            if found.is_dir() {
                if !entry.file_name().to_str().unwrap().starts_with("mapped-") {
                    fs::create_dir(&to).unwrap();
                    copy(&entry.path(), &to, made);
                }
            } else if let Some(same) = made.get(&found.ino()) {
                fs::hard_link(same, to).unwrap();
            } else {
                fs::copy(entry.path(), &to).unwrap();
                made.insert(found.ino(), to);
            }
        }
    }
    copy(from, to, &mut BTreeMap::new());
}
