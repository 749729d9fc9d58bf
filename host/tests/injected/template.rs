//! A template on a file system of its own, for a program that is cut off.
#![allow(dead_code, clippy::unwrap_used, reason = "tests; each program uses what it needs")]

use crate::{
    injected::{Run, Traced, What},
    loopfs::{Kind, LoopFs, names},
};
use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::PathBuf,
};

/// The size of the image; its generation is at the beginning and at the end.
const SIZE: u64 = 586 * 512;

/// A pool with one template, `debian`, whose versions are numbered by what they hold.
#[derive(Debug)]
pub(crate) struct Template {
    fs: LoopFs,
    /// The last that was written.
    pub(crate) generation: u64,
}

impl Template {
    /// Makes it, with two kept versions.
    pub(crate) fn new(kind: Kind) -> Self {
        let mut template = Self { fs: LoopFs::new(kind), generation: 0 };
        fs::create_dir(template.outside()).unwrap();
        let pool = template.pool().display().to_string();
        let driver = if kind == Kind::Ext4 { "copy" } else { "reflink" };
        template.succeeds(&["pool", "create", &pool, "--driver", driver, "--allow-copy"]);
        let file = template.file();
        template.succeeds(&["template", "create", "debian", "--root", &file, "--private", "0"]);
        for _ in 0..2 {
            let file = template.next_file();
            template.succeeds(&["volume", "import", "debian:root", &file]);
        }
        assert_eq!(template.versions(), (2, vec![0, 1]));
        template
    }

    fn pool(&self) -> PathBuf {
        self.fs.dir().join("pool")
    }

    fn outside(&self) -> PathBuf {
        self.fs.dir().join("outside")
    }

    fn dir(&self) -> PathBuf {
        self.pool().join("vm-templates/debian")
    }

    /// Makes a file outside of the pool that holds the generation.
    pub(crate) fn file(&self) -> String {
        let path = self.outside().join("image");
        let file = File::create(&path).unwrap();
        file.set_len(SIZE).unwrap();
        mark(&file, self.generation);
        path.display().to_string()
    }

    /// Makes a file that holds the next generation.
    pub(crate) fn next_file(&mut self) -> String {
        self.generation += 1;
        self.file()
    }

    /// Starts the template, writes the next generation, and lets the machine go down.
    pub(crate) fn cut_off(&mut self) {
        self.generation += 1;
        self.succeeds(&["vm", "prepare", "debian"]);
        let dirty = self.dir().join("root-dirty.img");
        mark(&File::options().write(true).open(dirty).unwrap(), self.generation);
        let record = self.dir().join("run.toml");
        let text = fs::read_to_string(&record).unwrap();
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        let other = text.replace(boot.trim(), "6ba7b810-9dad-41d1-80b4-00c04fd430c8");
        assert_ne!(text, other);
        fs::write(record, other).unwrap();
    }

    /// Returns what the current version and the kept ones hold, the oldest first.
    pub(crate) fn versions(&self) -> (u64, Vec<u64>) {
        let dir = self.dir();
        let mut kept: Vec<_> = names(&dir)
            .into_iter()
            .filter(|name| name.starts_with("root.img.") && name.contains('@'))
            .map(|name| held(&dir.join(name)))
            .collect();
        kept.sort_unstable();
        (held(&dir.join("root.img")), kept)
    }

    /// Returns the files of the root but for locks and the next dirty image.
    pub(crate) fn files(&self) -> Vec<String> {
        let mut names = names(&self.dir());
        names.retain(|name| {
            !name.ends_with(".lock") && name != "root-precache.img" && name != "vm.toml"
        });
        names
    }

    /// Asserts that the current version is `generation`, the two before it are kept, and there is nothing else.
    pub(crate) fn is_whole(&self, generation: u64, why: &str) {
        let kept = vec![generation - 2, generation - 1];
        assert_eq!(self.versions(), (generation, kept), "{why}: {:?}", self.files());
        assert_eq!(self.files().len(), 3, "{why}: {:?}", self.files());
        let report = self.succeeds(&["pool", "check"]);
        assert!(report.contains("nothing is wrong"), "{why}: {report}");
    }

    /// Runs the program to the end of all its processes.
    pub(crate) fn succeeds(&self, arguments: &[&str]) -> String {
        self.traced().succeeds(arguments)
    }

    /// Runs it, and lets something happen at the `nth` call of a process.
    pub(crate) fn run(&self, syscall: &str, what: What, nth: u32, arguments: &[&str]) -> Run {
        self.traced().run(syscall, what, nth, arguments)
    }

    /// Runs it, and returns which of the calls of `openat` in each of its processes make a file.
    pub(crate) fn creations(&self, arguments: &[&str]) -> Vec<u32> {
        self.traced().creations(arguments)
    }

    fn traced(&self) -> Traced {
        let pool = self.pool().display().to_string();
        Traced { log: self.outside().join("strace"), before: vec!["--pool".into(), pool] }
    }
}

fn mark(file: &File, generation: u64) {
    for at in [0, 100_000, SIZE - 8] {
        file.write_all_at(&generation.to_le_bytes(), at).unwrap();
    }
}

/// Returns the generation that an image holds, all of it.
fn held(path: &std::path::Path) -> u64 {
    let file = File::open(path).unwrap();
    assert_eq!(file.metadata().unwrap().len(), SIZE, "{}", path.display());
    let [first, middle, last] = [0, 100_000, SIZE - 8].map(|at| {
        let mut bytes = [0; 8];
        file.read_exact_at(&mut bytes, at).unwrap();
        u64::from_le_bytes(bytes)
    });
    assert!(first == middle && middle == last, "{} is torn", path.display());
    first
}
