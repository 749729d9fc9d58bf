//! A small pool written by hand, and a picture of all that is in it.

use ebbtide::pool::{
    Pool,
    driver::{FileDriver, LinuxStore},
};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

/// A pool in a directory that goes with it.
pub(crate) struct Tree {
    dir: tempfile::TempDir,
}

/// 2026-11-20T10:00:00Z, and hours after it.
pub(crate) fn at(hours: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_168_800 + 3600 * hours)
}

impl Tree {
    /// Writes a pool without a fault: the template `debian` with two kept versions, the AppVMs `work` and `play`.
    pub(crate) fn new() -> Self {
        let tree = Self { dir: tempfile::tempdir().expect("a directory") };
        tree.write("pool.toml", "format = 1\n");
        tree.record("vm-templates/debian", 1, "kind = \"template\"\n");
        let debian = "vm-templates/debian";
        tree.image(&format!("{debian}/root.img.1@2026-11-20T10:00:00Z"), 1, 0);
        tree.image(&format!("{debian}/root.img.2@2026-11-20T11:00:00Z"), 2, 1);
        tree.image(&format!("{debian}/root.img"), 3, 2);
        tree.image(&format!("{debian}/root-precache.img"), 3, 2);
        tree.image(&format!("{debian}/private.img"), 4, 2);
        tree.write(&format!("{debian}/kernel"), "kernel");
        for (number, vm) in [(2, "work"), (3, "play")] {
            let dir = format!("appvms/{vm}");
            tree.record(&dir, number, "kind = \"appvm\"\ntemplate = \"debian\"\n");
            tree.image(&format!("{dir}/private.img.1@2026-11-20T10:00:00Z"), 5, 0);
            tree.image(&format!("{dir}/private.img"), 6, 2);
        }
        tree
    }

    /// Opens it.
    pub(crate) fn pool(&self) -> Pool {
        let store = Arc::new(LinuxStore::copy(self.dir.path()));
        Pool::with(self.dir.path().into(), 2, store.clone(), Box::new(FileDriver::new(store)))
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        fs::write(path, text).expect("a file");
    }

    pub(crate) fn record(&self, dir: &str, number: u32, rest: &str) {
        let head = format!(
            "format = 1\nuuid = \"00000000-0000-4000-8000-{number:012}\"\ncreated = \"2026-11-20T10:00:00Z\"\n"
        );
        self.write(&format!("{dir}/vm.toml"), &(head + rest));
    }

    /// Writes an image of 64 KiB, of one byte again and again, last written to `hours` after [`at`]`(0)`.
    pub(crate) fn image(&self, path: &str, byte: u8, hours: u64) {
        self.sized(path, byte, 65536, at(hours));
    }

    pub(crate) fn sized(&self, path: &str, byte: u8, size: usize, time: SystemTime) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        fs::write(&path, vec![byte; size]).expect("an image");
        let file = File::options().write(true).open(path).expect("an image");
        file.set_modified(time).expect("its time");
    }

    pub(crate) fn link(&self, from: &str, to: &str) {
        fs::hard_link(self.path(from), self.path(to)).expect("a link");
    }

    pub(crate) fn remove(&self, path: &str) {
        fs::remove_file(self.path(path)).expect("a file to remove");
    }

    pub(crate) fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).expect("a file to rename");
    }

    /// Returns each file but locks, with its inode and a hash of its content and its time.
    pub(crate) fn picture(&self) -> BTreeMap<PathBuf, (u64, u64)> {
        let mut picture = BTreeMap::new();
        self.walk(Path::new(""), &mut picture);
        picture
    }

    fn walk(&self, dir: &Path, picture: &mut BTreeMap<PathBuf, (u64, u64)>) {
        for entry in fs::read_dir(self.dir.path().join(dir)).expect("a directory") {
            let entry = entry.expect("an entry");
            let path = dir.join(entry.file_name());
            let meta = entry.metadata().expect("what is known of it");
            let mut hash = DefaultHasher::new();
            if meta.is_dir() {
                self.walk(&path, picture);
            } else if meta.is_file() {
                fs::read(entry.path()).expect("a file").hash(&mut hash);
                meta.modified().expect("a time").hash(&mut hash);
            }
            if !entry.file_name().to_string_lossy().ends_with(".lock") {
                picture.insert(path, (meta.ino(), hash.finish()));
            }
        }
    }
}
