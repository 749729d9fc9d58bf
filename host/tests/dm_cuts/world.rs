//! A small pool of driver dm with VMs that run, and what the next command does after a cut.

use crate::{
    budget::Budget,
    contract::{self, Place, app_root, debian_root, directories, volume},
    cut::{CutDevices, cut_store},
    hooked::Hooked,
    mapped::Mapped,
    seen::Image,
    tree::{Tree, room},
};
use ebbtide::{
    Error,
    pool::{
        driver::{
            Access, Commit, DmDriver, Ending, LinuxStore, Volume, Volumes,
            dm::{self, devices::Devices as _},
        },
        store::Store,
    },
    volume::{Files, Revision, Role},
};
use ebbtide_format::units::Bytes;
use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
};
use tempfile::TempDir;

/// The size of all volumes: sixteen chunks.
pub(crate) const SIZE: Bytes = Bytes::kib(64);
/// A chunk.
pub(crate) const CHUNK: usize = 4096;

/// A pool, its devices, and what runs.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) dir: TempDir,
    pub(crate) store: Arc<Hooked<LinuxStore>>,
    pub(crate) mapped: Arc<Mapped>,
    pub(crate) budget: Arc<Budget>,
    pub(crate) driver: DmDriver,
    /// VMs that run all the time, each with its device and what it is to read.
    pub(crate) running: Vec<(Volume, PathBuf, Image)>,
}

/// A command.
pub(crate) type Act = fn(&World) -> Result<(), Error>;

fn small(volume: Volume) -> Volume {
    Volume { size: SIZE, ..volume }
}

pub(crate) fn template() -> Volume {
    small(contract::template())
}

pub(crate) fn private() -> Volume {
    small(contract::private())
}

pub(crate) fn play() -> Volume {
    small(volume("appvms/play", "private", Role::Origin))
}

pub(crate) fn own() -> Volume {
    small(volume("appvms/work", "own", Role::OriginSnapshot { of: debian_root() }))
}

pub(crate) fn volatile() -> Volume {
    small(volume("appvms/work", "volatile", Role::Volatile))
}

/// All volumes of VMs that are stopped.
pub(crate) fn all() -> [Volume; 6] {
    [template(), private(), app_root(), volatile(), own(), play()]
}

/// The root of a VM that runs all the time.
fn root_of(vm: &str) -> Volume {
    volume(&format!("appvms/{vm}"), "root", Role::Snapshot { of: debian_root() })
}

/// Returns the chunks that are written for a version, and what they are filled with: no two versions have the same ones.
pub(crate) fn pattern(letter: u8) -> impl Iterator<Item = (usize, u8)> {
    let chunks = SIZE.0 as usize / CHUNK;
    (0..chunks)
        .filter(move |chunk| (usize::from(letter) + chunk) % 3 != 0)
        .map(move |n| (n, letter))
}

impl World {
    fn over(dir: TempDir) -> Self {
        let budget = Arc::new(Budget::default());
        let store = Arc::new(cut_store(&dir.path().join("pool"), Arc::clone(&budget)));
        let mapped = Arc::new(Mapped::below(dir.path()));
        let devices = CutDevices { mapped: Arc::clone(&mapped), budget: Arc::clone(&budget) };
        let driver = DmDriver::new(store.clone(), Arc::new(devices), dm::CHUNK);
        Self { dir, store, mapped, budget, driver, running: Vec::new() }
    }

    /// A template and a private volume, each with a current version and two that are kept. One VM runs on the template's
    /// current version and another on the one before.
    pub(crate) fn new() -> Self {
        static FIRST: LazyLock<(Tree, Vec<(Volume, Image)>)> = LazyLock::new(|| {
            let mut first = World::first();
            let running = first.running.drain(..).map(|(root, _, image)| (root, image));
            (Tree::read(first.dir.path()), running.collect())
        });
        let dir = room();
        FIRST.0.write(dir.path());
        let mut world = Self::over(dir);
        // All that is wanted is mapped with the first device.
        let (id, _) = world.driver.export(&template()).unwrap();
        world.driver.export_end(&template(), id).unwrap();
        for (root, image) in &FIRST.1 {
            let disk = world.driver.disk(root, Access::Shared).unwrap();
            world.mapped.set_open(&disk.path, 1);
            world.running.push((root.clone(), disk.path, image.clone()));
        }
        world
    }

    /// Makes what [`World::new`] copies.
    fn first() -> Self {
        let dir = room();
        fs::create_dir(dir.path().join("pool")).unwrap();
        let mut world = Self::over(dir);
        directories(&world);
        for vm in ["old", "now"] {
            world.store.make_dir(&Path::new("appvms").join(vm)).unwrap();
        }
        for volume in [template(), private()] {
            world.driver.create(&volume).unwrap();
        }
        for letter in [b'a', b'b', b'c'] {
            world.version(&private(), letter);
        }
        world.version(&template(), b'a');
        world.version(&template(), b'b');
        world.run(&root_of("old"));
        world.version(&template(), b'c');
        world.run(&root_of("now"));
        // The last sector of one is not whole.
        for (name, letter, size) in [("file", b'i', SIZE.0 - 100), ("short", b's', SIZE.0 / 2)] {
            let file = File::create(world.dir.path().join(name)).unwrap();
            file.set_len(size).unwrap();
            for (chunk, byte) in pattern(letter).take(5) {
                file.write_all_at(&[byte; CHUNK], (chunk * CHUNK) as u64).unwrap();
            }
        }
        world
    }

    /// Returns a file outside of the pool.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Starts a volume and writes what makes this version, as a guest that flushes does.
    pub(crate) fn write_to(&self, volume: &Volume, letter: u8) {
        let disk = self.driver.start(volume, Access::Shared).unwrap();
        let file = File::options().write(true).open(&disk.path).unwrap();
        for (chunk, byte) in pattern(letter) {
            file.write_all_at(&[byte; CHUNK], (chunk * CHUNK) as u64).unwrap();
        }
        self.mapped.flush(&disk.path);
    }

    pub(crate) fn version(&self, volume: &Volume, letter: u8) {
        self.write_to(volume, letter);
        self.driver.stop(volume, Ending::Commit).unwrap();
    }

    /// Runs a VM whose engine has its device open.
    fn run(&mut self, root: &Volume) {
        let disk = self.driver.start(root, Access::Shared).unwrap();
        self.mapped.set_open(&disk.path, 1);
        let image = Image::of(&disk.path);
        self.running.push((root.clone(), disk.path, image));
    }

    /// The host goes down, and comes up again. What ran is settled by the next command on it.
    pub(crate) fn crash(&mut self) {
        self.mapped.crash();
        for (root, ..) in self.running.drain(..) {
            self.driver.stop(&root, Ending::Discard).unwrap();
        }
    }

    /// The VMs that run read what they read at their start.
    pub(crate) fn runs_on(&self, when: &str) {
        for (root, path, image) in &self.running {
            let name = path.file_name().unwrap().to_str().unwrap().parse().unwrap();
            assert_eq!(Image::of(&self.mapped.path(&name)), *image, "{}: {when}", root.id);
        }
    }

    /// Nothing that is written to is held back for ever.
    pub(crate) fn is_not_held_back(&self, when: &str) {
        let held = self.mapped.found(&|_| true).unwrap().into_iter().find(|found| found.suspended);
        assert_eq!(held, None, "{when}");
    }

    /// What the next command on these volumes does before anything else: see `vm/settle.rs`.
    pub(crate) fn settle(&self, volumes: &[Volume]) -> Result<(), Error> {
        for volume in volumes {
            self.driver.recover(volume)?;
            let is_there = |path: PathBuf| self.store.stat(&path).unwrap().is_some();
            if volume.role.is_kept() {
                if is_there(volume.files.dirty()) {
                    self.driver.stop(volume, Ending::Keep)?;
                }
            } else if is_there(volume.files.clean()) || is_there(volume.files.dirty()) {
                self.driver.stop(volume, Ending::Discard)?;
            }
        }
        Ok(())
    }

    /// Whoever exported is gone, and ends that before anything else.
    pub(crate) fn end_exports(&self) -> Result<(), Error> {
        for volume in all() {
            let prefix = format!("{}.img.export-", volume.files.name);
            for name in self.names(&volume.files.dir) {
                if let Some(id) = name.strip_prefix(&prefix) {
                    self.driver.export_end(&volume, id.parse().unwrap())?;
                }
            }
        }
        Ok(())
    }

    pub(crate) fn names(&self, dir: &Path) -> Vec<String> {
        let names = self.store.names(dir).unwrap().into_iter();
        names.map(|name| name.into_string().unwrap()).collect()
    }
}

impl Place for World {
    fn driver(&self) -> &dyn Commit {
        &self.driver
    }

    fn store(&self) -> &dyn Store {
        &*self.store
    }

    fn write(&self, disk: &Path, offset: u64, bytes: &[u8]) {
        let file = File::options().write(true).open(disk).unwrap();
        file.write_all_at(bytes, offset).unwrap();
        self.mapped.flush(disk);
    }

    fn read(&self, disk: &Path, offset: u64, count: usize) -> Vec<u8> {
        Image::of(disk).bytes[offset as usize..][..count].into()
    }

    fn version(&self, volume: &Volume, of: Option<Revision>) -> Vec<u8> {
        Image::from(self.driver.open(volume, of).unwrap()).bytes
    }

    fn versions(&self, volume: &Volume) -> Files {
        volume.files.cow()
    }

    fn has_whole_versions(&self) -> bool {
        false
    }

    fn outside(&self, name: &str, _size: Bytes, _bytes: &[u8]) -> PathBuf {
        self.file(name)
    }
}
