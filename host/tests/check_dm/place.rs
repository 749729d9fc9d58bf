//! A pool with a template that has two kept versions, and a VM of it.

use crate::mapped::Mapped;
use ebbtide::{
    VmName,
    pool::{
        Pool,
        driver::{
            DmDriver, Ending, LinuxStore,
            dm::{
                self,
                devices::{Change, Devices as _},
            },
        },
        store::{Store, Unseen},
    },
    vm::{
        Allow, Guard, NewTemplate, NewVm, PREPARE, RootSource, Run, create, create_template,
        prepare, release,
    },
};
use ebbtide_format::units::Bytes;
use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};
use tempfile::TempDir;

pub(crate) const TEMPLATE: &str = "vm-templates/debian";
pub(crate) const VM: &str = "appvms/work";

pub(crate) struct Place {
    dir: TempDir,
    pub(crate) mapped: Arc<Mapped>,
}

impl Place {
    pub(crate) fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("check-dm-").tempdir().unwrap();
        let place = Self { dir, mapped: Arc::new(Mapped::new()) };
        for name in ["vm-templates", "appvms", "snapshots"] {
            fs::create_dir(place.path(name)).unwrap();
        }
        fs::write(place.path("pool.toml"), "format = 1\ndriver = \"dm\"\n").unwrap();
        let pool = place.pool();
        let mut template = NewTemplate::new(RootSource::Blank(Bytes::mib(1)));
        template.private = Bytes(0);
        let name = |text: &str| text.parse::<VmName>().unwrap();
        create_template(&pool, &name("debian"), &template, &mut Unseen).unwrap();
        let vm = NewVm { private: Bytes::mib(1), ..NewVm::new(name("debian")) };
        create(&pool, &name("work"), &vm).unwrap();
        for bytes in [b"one.", b"two."] {
            let disk = place.prepare("debian");
            place.write(&disk, bytes);
            place.release("debian", Ending::Commit);
        }
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn pool(&self) -> Pool {
        let store: Arc<dyn Store> = Arc::new(LinuxStore::copy(self.dir.path()));
        let driver = DmDriver::new(Arc::clone(&store), self.mapped.clone(), dm::CHUNK);
        Pool::with(self.dir.path().into(), 2, store, Box::new(driver))
    }

    fn guard(&self, pool: &Pool, name: &str) -> Guard {
        Guard::take(pool, &name.parse().unwrap(), "test", Allow::Prepared).unwrap()
    }

    /// Prepares a VM, and returns its first disk.
    pub(crate) fn prepare(&self, name: &str) -> PathBuf {
        let pool = self.pool();
        let guard = self.guard(&pool, name);
        let disks = prepare(&pool, &guard, Run::new(PREPARE).unwrap()).unwrap();
        disks[0].path.clone()
    }

    pub(crate) fn release(&self, name: &str, ending: Ending) {
        let pool = self.pool();
        release(&pool, &self.guard(&pool, name), ending).unwrap();
    }

    pub(crate) fn write(&self, disk: &Path, bytes: &[u8]) {
        File::options().write(true).open(disk).unwrap().write_all_at(bytes, 0).unwrap();
        self.mapped.flush(disk);
    }

    pub(crate) fn suspend(&self, disk: &Path) {
        let name = disk.file_name().unwrap().to_str().unwrap().parse().unwrap();
        self.mapped.apply(&Change::Suspend(name)).unwrap();
    }

    /// Returns the first bytes of the current version of the template and of all that are kept; nothing for one that
    /// cannot be had.
    pub(crate) fn versions(&self) -> Vec<Vec<u8>> {
        let pool = self.pool();
        let Ok(vm) = pool.vm(&"debian".parse().unwrap()) else { return Vec::new() };
        let root = vm.volume(&pool, &"root".parse().unwrap()).unwrap();
        let Ok(state) = pool.driver().state(&root) else { return Vec::new() };
        let kept = state.revisions.iter().map(|(revision, _)| Some(*revision));
        // What a cut has left of a commit is no version yet.
        let kept = kept
            .filter(|kept| kept.is_none_or(|kept| kept.number.is_some_and(|number| number <= 2)));
        let read = |of| {
            let mut bytes = vec![0; 4];
            let file = pool.driver().open(&root, of).ok()?;
            file.read_exact_at(&mut bytes, 0).ok()?;
            Some(bytes)
        };
        kept.chain([None]).filter_map(read).collect()
    }
}
