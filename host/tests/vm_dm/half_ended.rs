//! A use of an old version is cut off while it ends: its device is gone, and the template goes on writing. What the version
//! lacks from then on must not get into its store, which is that of a kept version too.

use crate::{
    content::Content,
    host::{Host, TEMPLATE, name},
    machine::{Machine, on_one},
    mapped::{devices, nothing_is_left},
};
use ebbtide::{
    name::VolumeName,
    pool::{
        driver::{
            Commit as _, DmDriver, Ending, LinuxStore, Volume, Volumes as _,
            dm::{
                self,
                devices::{Change, Devices, Found},
                name::Name,
            },
        },
        store::{Inode, Unseen},
    },
    vm::{Allow, Guard},
};
use std::{io, path::PathBuf, sync::Arc};
use vmtest::{Result, require};

const BLOCKS: usize = 32;

/// One boot.
#[test]
fn a_version_that_was_unmapped_is_never_mapped_again() -> Result<()> {
    on_one(
        require!(Machine::start("ext4", 128)),
        &[
            "half_ended::a_stop_that_is_cut_off_harms_no_kept_version",
            "half_ended::an_end_of_an_export_that_is_cut_off_harms_no_kept_version",
        ],
    )
}

/// The kernel's devices, to a process that is killed when it has let the template write again.
#[derive(Debug)]
struct Cut(Arc<dyn Devices>);

impl Devices for Cut {
    fn found(&self, which: &dyn Fn(&Name) -> bool) -> io::Result<Vec<Found>> {
        self.0.found(which)
    }

    fn apply(&self, change: &Change) -> io::Result<()> {
        self.0.apply(change)?;
        match change {
            Change::Resume(_) => Err(io::Error::other("killed")),
            _ => Ok(()),
        }
    }

    fn path(&self, name: &Name) -> PathBuf {
        self.0.path(name)
    }

    fn holders(&self, name: &Name) -> Vec<String> {
        self.0.holders(name)
    }

    fn loops(&self, file: Inode) -> io::Result<Vec<String>> {
        self.0.loops(file)
    }

    fn files(&self, name: &Name) -> Vec<PathBuf> {
        self.0.files(name)
    }
}

fn root(host: &Host, vm: &str) -> Volume {
    host.pool.vm(&name(vm)).unwrap().volume(&host.pool, &VolumeName::root()).unwrap()
}

/// Ends the use of the first version by `cut`, has the template write what nobody has written since, before and after
/// somebody else changes the devices, and looks at what is kept.
fn harms_nothing(called: &str, begin: fn(&Host), cut: fn(&Host, &DmDriver)) {
    let first = Content::all(BLOCKS, 1);
    let Some(host) = Host::new(called, 3, &first, &["a", "b"]) else { return };
    begin(&host);
    let before = devices();
    let second = first.with((0..BLOCKS).filter(|block| block % 2 == 0), 2);
    host.commit(&first, &second);
    assert_eq!(devices(), before);
    let disk = host.start(TEMPLATE);

    let store = Arc::new(LinuxStore::copy(&host.dir));
    cut(&host, &DmDriver::new(store, Arc::new(Cut(dm::devices())), dm::CHUNK));
    assert!(devices().is_disjoint(&before), "it was cut after its device had gone");
    let third = second.with([1, 3], 3);
    third.write(&disk, &second);
    second.is_on(&host.start("b"));
    let fourth = third.with([1, 3], 4);
    fourth.write(&disk, &third);
    host.stop(TEMPLATE);
    host.stop("b");

    let template = root(&host, TEMPLATE);
    let kept = host.pool.driver().state(&template).unwrap().revisions;
    let wanted = [Content::zeros(BLOCKS), first, second];
    assert_eq!(kept.len(), wanted.len());
    for ((revision, _), content) in kept.iter().zip(&wanted) {
        let out = host.dir.with_file_name(format!("{called}{revision}"));
        host.pool.driver().copy_out(&template, Some(*revision), &out, &mut Unseen).unwrap();
        content.is_on(&out);
    }
    for vm in ["a", TEMPLATE] {
        if Guard::take(&host.pool, &name(vm), "settle", Allow::Prepared).unwrap().is_prepared() {
            host.stop(vm);
        }
    }
    nothing_is_left();
    assert_eq!(host.names("a"), ["vm.toml"]);
}

#[test]
fn a_stop_that_is_cut_off_harms_no_kept_version() {
    let cut = |host: &Host, driver: &DmDriver| {
        assert!(driver.stop(&root(host, "a"), Ending::Commit).is_err());
    };
    harms_nothing("stop", |host| drop(host.start("a")), cut);
}

#[test]
fn an_end_of_an_export_that_is_cut_off_harms_no_kept_version() {
    let begin = |host: &Host| drop(host.pool.driver().export(&root(host, TEMPLATE)).unwrap());
    let cut = |host: &Host, driver: &DmDriver| {
        let names = host.names(TEMPLATE);
        let id = names.iter().find_map(|name| name.strip_prefix("root.img.export-")).unwrap();
        let (template, id) = (root(host, TEMPLATE), id.parse().unwrap());
        assert!(driver.export_end(&template, id).is_err());
    };
    harms_nothing("export", begin, cut);
}
