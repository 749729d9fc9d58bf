//! Directories of files, read and made again.

use std::{
    collections::BTreeMap,
    ffi::OsString,
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

/// Files and directories below a directory, but for devices.
#[derive(Debug)]
pub(crate) enum Tree {
    Dir(Vec<(OsString, Tree)>),
    /// By its number, for names of one file are names of one file again.
    File(u64, Vec<u8>),
}

impl Tree {
    pub(crate) fn read(path: &Path) -> Self {
        let found = fs::metadata(path).unwrap();
        if !found.is_dir() {
            return Self::File(found.ino(), fs::read(path).unwrap());
        }
        let names = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name());
        let names = names.filter(|name| !name.to_str().unwrap().starts_with("mapped-"));
        Self::Dir(names.map(|name| (name.clone(), Self::read(&path.join(name)))).collect())
    }

    /// Makes what is in it below a directory.
    pub(crate) fn write(&self, to: &Path) {
        self.write_below(to, &mut BTreeMap::new());
    }

    fn write_below(&self, to: &Path, made: &mut BTreeMap<u64, PathBuf>) {
        match self {
            Self::Dir(entries) => {
                fs::create_dir_all(to).unwrap();
                entries.iter().for_each(|(name, tree)| tree.write_below(&to.join(name), made));
            }
            Self::File(number, bytes) => match made.get(number) {
                Some(same) => fs::hard_link(same, to).unwrap(),
                None => {
                    fs::write(to, bytes).unwrap();
                    made.insert(*number, to.into());
                }
            },
        }
    }
}
