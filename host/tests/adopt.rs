//! Trees that Qubes has left become pools, and no image is touched.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use ebbtide::{
    Error, Refusal, VmName,
    error::RefusalKind,
    pool::{
        Pool,
        adopt::{Adopt, Adopted, adopt, into},
        check::{Severity, check},
        config::{Config, DriverName},
        driver::{
            FileDriver,
            memory::{Fault, MemoryStore},
        },
        store::{Store, Wait},
    },
    vm::Kind,
};
use ebbtide_format::units::Bytes;
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{MetadataExt as _, symlink},
    path::{Path, PathBuf},
    sync::Arc,
};

/// What the source text of the driver shows, with both namings of versions and files of others.
const TREE: &[&str] = &[
    "appvms/foo/private.img",
    "appvms/foo/private.img@2018-01-02T03:04:05Z",
    "appvms/foo/private.img@2018-01-02T04:05:06Z",
    "appvms/foo/private.img.7@2018-01-02T05:06:07Z",
    "appvms/foo/volatile-dirty.img",
    "appvms/foo/firewall.xml",
    "appvms/bar/private.img",
    "appvms/bar/private-dirty.img",
    "template-vms/fedora-26/root.img",
    "template-vms/fedora-26/root.img@2018-01-02T03:04:05Z",
    "template-vms/fedora-26/private.img",
    "template-vms/fedora-26/icon.png",
    "vm-kernels/4.14/vmlinuz",
    "qubes.xml",
];

struct Tree(tempfile::TempDir);

impl Tree {
    fn of(files: &[&str]) -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        files.iter().for_each(|file| tree.add(file));
        tree
    }

    fn add(&self, file: &str) {
        let path = self.0.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, vec![7; 8192]).unwrap();
    }

    fn adopt(&self, change: impl FnOnce(&mut Adopt)) -> ebbtide::Result<Adopted> {
        let mut options = Adopt { allow_copy: true, ..Adopt::default() };
        change(&mut options);
        adopt(self.0.path(), &options)
    }

    fn refused(&self, change: impl FnOnce(&mut Adopt)) -> Refusal {
        let before = self.images();
        match self.adopt(change).unwrap_err() {
            Error::Refused(refusal) => {
                assert_eq!(self.images(), before, "a refusal changes nothing");
                assert!(!self.0.path().join("pool.toml").exists());
                refusal
            }
            error => panic!("{error}"),
        }
    }

    /// Returns all files but what an adoption makes: their inode, length, time and number of names.
    fn images(&self) -> BTreeMap<PathBuf, (u64, u64, i64, u64)> {
        let mut images = BTreeMap::new();
        walk(self.0.path(), &mut images);
        let new = ["vm.toml", "pool.toml", ".lock"].map(Path::new);
        let of_old = |path: PathBuf| {
            let inside = path.strip_prefix(self.0.path()).unwrap();
            match inside.strip_prefix("template-vms") {
                Ok(rest) => Path::new("vm-templates").join(rest),
                Err(_) => inside.to_path_buf(),
            }
        };
        let old = images.into_iter().filter(|(path, _)| {
            path.file_name().is_some_and(|name| !new.contains(&Path::new(name)))
        });
        old.map(|(path, what)| (of_old(path), what)).collect()
    }
}

fn walk(dir: &Path, images: &mut BTreeMap<PathBuf, (u64, u64, i64, u64)>) {
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let meta = entry.metadata().unwrap();
        if meta.is_dir() {
            walk(&entry.path(), images);
        } else {
            images.insert(entry.path(), (meta.ino(), meta.len(), meta.mtime_nsec(), meta.nlink()));
        }
    }
}

fn name(text: &str) -> VmName {
    text.parse().unwrap()
}

#[test]
fn makes_a_pool_and_touches_no_image() {
    let tree = Tree::of(TREE);
    let before = tree.images();
    let adopted = tree.adopt(|_| {}).unwrap();
    assert_eq!(tree.images(), before);
    let told: Vec<_> = adopted
        .vms
        .iter()
        .map(|vm| (vm.name.as_str(), vm.kind, vm.versions, vm.uncommitted.len(), vm.of_run.len()))
        .collect();
    assert_eq!(
        told,
        [
            ("bar", Kind::AppVm, 0, 1, 0),
            ("fedora-26", Kind::Template, 1, 0, 0),
            ("foo", Kind::AppVm, 3, 0, 1)
        ]
    );
    let left: Vec<_> = adopted.left.iter().map(|left| left.path.to_str().unwrap()).collect();
    assert_eq!(
        left,
        ["appvms/foo/firewall.xml", "qubes.xml", "vm-kernels", "vm-templates/fedora-26/icon.png"]
    );
    let pool = Pool::open(tree.0.path()).unwrap();
    let foo = pool.vm(&name("foo")).unwrap().record;
    assert_eq!((foo.template, foo.private.size), (Some(name("fedora-26")), Bytes(8192)));
    assert!(!foo.root.own);
    let report = check(&pool).unwrap();
    let worse: Vec<_> =
        report.findings.iter().filter(|found| found.severity() != Severity::Note).collect();
    assert_eq!(worse.len(), 1, "what a run has left: {worse:?}");
}

#[test]
fn keeps_what_is_adopted_when_it_is_repeated() {
    let tree = Tree::of(TREE);
    tree.adopt(|_| {}).unwrap();
    let record = fs::read(tree.0.path().join("appvms/foo/vm.toml")).unwrap();
    tree.add("appvms/new/private.img");
    let adopted = tree.adopt(|_| {}).unwrap();
    let new: Vec<_> =
        adopted.vms.iter().filter(|vm| !vm.already).map(|vm| vm.name.as_str()).collect();
    assert_eq!(new, ["new"]);
    assert_eq!(fs::read(tree.0.path().join("appvms/foo/vm.toml")).unwrap(), record);
}

#[test]
fn asks_by_name_whose_template_an_appvm_has() {
    let tree = Tree::of(TREE);
    tree.add("vm-templates/debian/root.img");
    let refusal = tree.refused(|_| {});
    for part in ["bar, foo", "debian, fedora-26"] {
        assert!(refusal.text.contains(part), "{refusal}");
    }
    let one = |options: &mut Adopt| {
        options.templates.insert(name("foo"), name("debian"));
    };
    assert!(tree.refused(one).text.contains("known: bar;"));
    tree.adopt(|options| {
        one(options);
        options.templates.insert(name("bar"), name("fedora-26"));
    })
    .unwrap();
    let pool = Pool::open(tree.0.path()).unwrap();
    assert_eq!(pool.vm(&name("foo")).unwrap().record.template, Some(name("debian")));
    assert_eq!(pool.vm(&name("bar")).unwrap().record.template, Some(name("fedora-26")));
}

#[test]
fn asks_whose_a_root_is_that_may_be_its_only_copy() {
    let tree = Tree::of(TREE);
    tree.add("appvms/alone/root.img");
    let refusal = tree.refused(|_| {});
    assert!(refusal.text.contains("alone") && !refusal.text.contains("foo"), "{refusal}");
    tree.adopt(|options| {
        options.own_root.insert(name("alone"));
    })
    .unwrap();
    let alone = Pool::open(tree.0.path()).unwrap().vm(&name("alone")).unwrap();
    assert!(alone.record.root.own);
    assert_eq!(alone.record.private.size, Bytes(0), "it has no private disk");
}

#[test]
fn a_named_template_says_nothing_of_a_root() {
    let tree = Tree::of(TREE);
    tree.add("vm-templates/debian/root.img");
    tree.add("appvms/alone/root.img");
    let templates = |options: &mut Adopt| {
        for vm in ["foo", "bar", "alone"] {
            options.templates.insert(name(vm), name("debian"));
        }
    };
    let refusal = tree.refused(templates);
    assert!(refusal.text.contains("alone") && !refusal.text.contains("foo"), "{refusal}");
    assert!(refusal.hint.as_deref().unwrap().contains("--drop-root"), "{refusal:?}");
    let both = tree.refused(|options| {
        templates(options);
        options.own_root.insert(name("alone"));
        options.drop_root.insert(name("alone"));
    });
    assert_eq!(both.kind, RefusalKind::Invalid);
    let adopted = tree
        .adopt(|options| {
            templates(options);
            options.drop_root.insert(name("alone"));
        })
        .unwrap();
    assert!(adopted.vms.iter().any(|vm| vm.name == name("alone") && vm.of_run.len() == 1));
}

#[test]
fn another_name_of_the_templates_root_is_nobodys_only_copy() {
    let tree = Tree::of(TREE);
    let template = tree.0.path().join("template-vms/fedora-26/root.img");
    fs::hard_link(template, tree.0.path().join("appvms/foo/root.img")).unwrap();
    tree.adopt(|_| {}).unwrap();
}

#[test]
fn leaves_what_is_being_removed() {
    let tree = Tree::of(TREE);
    tree.add("appvms/foo/vm.toml.removing");
    let adopted = tree.adopt(|_| {}).unwrap();
    assert!(adopted.left.iter().any(|left| left.path == Path::new("appvms/foo")));
    assert!(!tree.0.path().join("appvms/foo/vm.toml").exists());
}

#[test]
fn a_root_with_versions_is_its_own() {
    let tree = Tree::of(TREE);
    tree.add("appvms/alone/root.img");
    tree.add("appvms/alone/root.img@2018-01-02T03:04:05Z");
    let adopted = tree.adopt(|_| {}).unwrap();
    assert!(adopted.vms.iter().any(|vm| vm.name == name("alone") && vm.own_root));
}

#[test]
fn refuses_what_is_locked_and_options_about_nobody() {
    let tree = Tree::of(TREE);
    let unknown = tree.refused(|options| {
        options.templates.insert(name("nobody"), name("fedora-26"));
    });
    assert_eq!(unknown.kind, RefusalKind::Missing);
    let unknown = tree.refused(|options| {
        options.templates.insert(name("foo"), name("bar"));
    });
    assert!(unknown.text.contains("no template bar"), "{unknown}");
    let store = ebbtide::pool::driver::LinuxStore::copy(tree.0.path());
    let running = store.lock(Path::new("appvms/foo/.lock"), Wait::No).unwrap();
    let refusal = tree.refused(|_| {});
    assert_eq!(refusal.kind, RefusalKind::Busy);
    assert!(refusal.text.contains("foo"), "{refusal}");
    drop(running);
    tree.adopt(|_| {}).unwrap();
}

#[test]
fn refuses_a_name_of_two() {
    let tree = Tree::of(TREE);
    tree.add("appvms/fedora-26/private.img");
    let refusal = tree.refused(|_| {});
    assert_eq!(refusal.kind, RefusalKind::Exists);
}

#[test]
fn leaves_directories_that_are_no_vms() {
    let tree = Tree::of(TREE);
    tree.add("appvms/.hidden/private.img");
    tree.add("appvms/empty/firewall.xml");
    tree.add("template-vms/broken/private.img");
    symlink("/", tree.0.path().join("appvms/link")).unwrap();
    let adopted = tree.adopt(|_| {}).unwrap();
    assert_eq!(adopted.vms.len(), 3);
    let left: Vec<_> =
        adopted.left.iter().map(|left| (left.path.to_str().unwrap(), left.why)).collect();
    for (path, why) in [
        ("appvms/.hidden", "cannot be that of a VM"),
        ("appvms/empty", "no image"),
        ("appvms/link", "no file of a pool"),
        ("template-vms/broken", "no root.img"),
    ] {
        assert!(left.iter().any(|(at, said)| *at == path && said.contains(why)), "{left:?}");
    }
}

#[test]
fn goes_on_after_a_cut_at_every_step() {
    let store = MemoryStore::new();
    for dir in ["appvms", "template-vms"] {
        store.make_dir(Path::new(dir)).unwrap();
    }
    for (dir, volume) in
        [("appvms/a", "private"), ("appvms/b", "private"), ("template-vms/t", "root")]
    {
        store.make_dir(Path::new(dir)).unwrap();
        store.make_image(&Path::new(dir).join(format!("{volume}.img")), Bytes(4096)).unwrap();
    }
    let config = Config { format: 1, driver: DriverName::Reflink, keep: 2 };
    let pool = |store: &MemoryStore| {
        let store = Arc::new(store.clone());
        Pool::with("/pool".into(), 2, store.clone(), Box::new(FileDriver::new(store)))
    };
    let mut cuts = 0;
    loop {
        let store = store.fork();
        store.budget(cuts, Fault::Kill);
        let first = into(&pool(&store), Some(&config), &Adopt::default());
        if !store.revive() {
            assert!(first.is_ok());
            break;
        }
        cuts += 1;
        let read = |vm: &str| store.read(&Path::new("appvms").join(vm).join("vm.toml")).ok();
        let before = [read("a"), read("b")];
        let adopted = into(&pool(&store), Some(&config), &Adopt::default()).unwrap();
        assert_eq!(adopted.vms.len(), 3);
        for (vm, before) in ["a", "b"].into_iter().zip(before) {
            assert!(before.is_none() || before == read(vm), "a record that was written is kept");
        }
        assert!(check(&pool(&store)).unwrap().findings.is_empty());
    }
    assert!(cuts > 15, "{cuts}");
}
