//! Clones on driver dm: they are copies, and what no copy can be is refused.

use crate::{is_whole, mapped::Mapped, pools::name};
use ebbtide::{
    Error, Result,
    error::RefusalKind,
    pool::{
        Pool,
        driver::{DmDriver, Ending, LinuxStore, dm},
        store::{Store, Unseen},
    },
    vm::{self, Allow, Guard, Instance, NewTemplate, NewVm, RootSource, Run, savestate},
};
use ebbtide_format::units::Bytes;
use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::Path,
    sync::Arc,
};
use tempfile::TempDir;

struct Place {
    dir: TempDir,
    mapped: Arc<Mapped>,
    pool: Pool,
}

impl Place {
    /// A pool with the template `debian` and the VM `work`, both with something on their disks.
    fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("lineage-dm-").tempdir().unwrap();
        for name in ["vm-templates", "appvms", "snapshots"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        fs::write(dir.path().join("pool.toml"), "format = 1\ndriver = \"dm\"\n").unwrap();
        let mapped = Arc::new(Mapped::new());
        let store: Arc<dyn Store> = Arc::new(LinuxStore::copy(dir.path()));
        let driver = DmDriver::new(Arc::clone(&store), mapped.clone(), dm::CHUNK);
        let pool = Pool::with(dir.path().into(), 2, store, Box::new(driver));
        let template = NewTemplate::new(RootSource::Blank(Bytes::mib(1)));
        let template = NewTemplate { private: Bytes(0), ..template };
        vm::create_template(&pool, &name("debian"), &template, &mut Unseen).unwrap();
        let work = NewVm { private: Bytes::mib(1), ..NewVm::new(name("debian")) };
        vm::create(&pool, &name("work"), &work).unwrap();
        let place = Self { dir, mapped, pool };
        place.run("debian", 0, b"sys1");
        place.run("work", 1, b"home");
        place
    }

    /// Returns the first bytes of the disks of a VM that is started with this guard.
    fn start(&self, guard: &Guard) -> Result<Vec<[u8; 4]>> {
        let disks = vm::prepare(&self.pool, guard, Run::new("qemu")?)?;
        Ok(disks.iter().map(|disk| first(&disk.path)).collect())
    }

    fn take(&self, text: &str) -> Guard {
        Guard::take(&self.pool, &name(text), "start", Allow::Stopped).unwrap()
    }

    fn run(&self, text: &str, disk: usize, bytes: &[u8]) {
        let guard = self.take(text);
        let disks = vm::prepare(&self.pool, &guard, Run::new("qemu").unwrap()).unwrap();
        let file = File::options().write(true).open(&disks[disk].path).unwrap();
        file.write_all_at(bytes, 0).unwrap();
        self.mapped.flush(&disks[disk].path);
        vm::release(&self.pool, &guard, Ending::Commit).unwrap();
    }

    /// Returns the first bytes of a VM's disks, as a start of it has them.
    fn seen(&self, text: &str) -> Vec<[u8; 4]> {
        let guard = self.take(text);
        let seen = self.start(&guard).unwrap();
        vm::release(&self.pool, &guard, Ending::Commit).unwrap();
        seen
    }
}

fn first(path: &Path) -> [u8; 4] {
    let mut bytes = [0; 4];
    File::open(path).unwrap().read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

#[test]
fn clones_and_their_bases_go_in_any_order() {
    let place = Place::new();
    let pool = &place.pool;
    vm::clone(pool, &name("debian"), &name("copy")).unwrap();
    vm::replace(pool, &name("debian"), &name("new")).unwrap();
    place.run("copy", 0, b"mine");
    place.run("new", 0, b"sys2");
    assert_eq!(place.seen("debian")[0], *b"sys1");
    assert_eq!(place.seen("work")[..2], [*b"sys2", *b"home"]);
    // Nothing boots from what was replaced.
    assert!(vm::remove(pool, &name("debian")).unwrap().later.is_empty());
    assert_eq!((place.seen("copy")[0], place.seen("new")[0]), (*b"mine", *b"sys2"));
    is_whole(pool);
}

#[test]
fn a_start_that_leaves_nothing_is_a_copy() {
    let place = Place::new();
    let pool = &place.pool;
    let running = place.take("work");
    place.start(&running).unwrap();
    let guard = vm::instance(pool, &name("work"), Instance::Disposable).unwrap();
    assert_eq!(place.start(&guard).unwrap()[..2], [*b"sys1", *b"home"]);
    for guard in [guard, running] {
        vm::release(pool, &guard, Ending::Discard).unwrap();
        drop(guard);
        vm::follow_up(pool).unwrap();
    }
    assert!(pool.vm(&name("work-disp1")).is_err());
    assert!(!place.dir.path().join("appvms/work-disp1").exists());
    is_whole(pool);
}

#[test]
fn versions_would_be_copies_and_are_refused() {
    let place = Place::new();
    let before = place.pool.vm(&name("debian")).unwrap();
    let settings = [("memory", "2G"), ("versioned", "auto")];
    let error = vm::set(&place.pool, &name("debian"), &settings).unwrap_err();
    assert!(
        matches!(&error, Error::Refused(refusal) if refusal.kind == RefusalKind::Unable),
        "{error}"
    );
    assert!(error.hint().is_some_and(|hint| hint.contains("reflink")), "{error}");
    assert_eq!(place.pool.vm(&name("debian")).unwrap(), before);
}

#[test]
fn instants_are_refused_and_the_refusal_names_the_driver_that_has_them() {
    let place = Place::new();
    let pool = &place.pool;
    let guard = place.take("work");
    let snapshot = vm::snapshot(pool, &guard, None, None, &mut Unseen).unwrap_err();
    place.start(&guard).unwrap();
    let savestate = savestate::Taking::begin(pool, &guard, savestate::Of::Itself).unwrap_err();
    let hot = vm::set(pool, &name("work"), &[("memory", "2G"), ("hot", "30s")]).unwrap_err();
    assert_eq!(pool.vm(&name("work")).unwrap().record, guard.vm().record);
    for error in [snapshot, savestate, hot] {
        assert!(error.hint().is_some_and(|hint| hint.contains("reflink")), "{error}");
    }
    vm::release(pool, &guard, Ending::Discard).unwrap();
    assert!(fs::read_dir(place.dir.path().join("snapshots")).unwrap().next().is_none());
    assert!(!place.dir.path().join("savestates").exists());
}
