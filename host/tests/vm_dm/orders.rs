//! A template and two AppVMs are started and stopped in every order, and each AppVM has the version that was committed when
//! it was started.

use crate::{
    content::Content,
    host::{Host, TEMPLATE},
    machine::{Machine, on_one},
    mapped::{devices, nothing_is_left},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};
use vmtest::{Result, require};

const BLOCKS: usize = 16;
const VMS: [&str; 3] = [TEMPLATE, "a", "b"];

/// One boot.
#[test]
fn starts_and_stops_may_come_in_any_order() -> Result<()> {
    on_one(require!(Machine::start("ext4", 128)), &["orders::every_order_of_two_app_vms"])
}

/// Returns every order in which each VM is started and then stopped: (2n)! / 2^n.
fn orders() -> Vec<Vec<&'static str>> {
    let mut all = vec![Vec::new()];
    for _ in 0..2 * VMS.len() {
        let more = |begun: Vec<&'static str>| {
            let left = |vm: &&str| begun.iter().filter(|other| *other == vm).count() < 2;
            let next: Vec<_> = VMS.into_iter().filter(left).collect();
            next.into_iter().map(move |vm| [begun.as_slice(), &[vm]].concat())
        };
        all = all.into_iter().flat_map(more).collect();
    }
    assert_eq!(all.len(), 90);
    all
}

#[test]
fn every_order_of_two_app_vms() {
    let mut now = Content::all(BLOCKS, 1);
    let Some(host) = Host::new("orders", 1, &now, &["a", "b"]) else { return };
    for (number, order) in orders().into_iter().enumerate() {
        let writing = number as u64 + 2;
        let mut running: BTreeMap<&str, (PathBuf, Content)> = BTreeMap::new();
        for vm in order.iter().copied() {
            match (running.remove(vm), vm) {
                (Some(_), TEMPLATE) => {
                    host.stop(vm);
                    now = now.with((0..BLOCKS).filter(|block| block % 3 != number % 3), writing);
                }
                (Some(_), _) => drop(host.stop(vm)),
                (None, TEMPLATE) => {
                    let root = host.start(vm);
                    let next =
                        now.with((0..BLOCKS).filter(|block| block % 3 != number % 3), writing);
                    next.write(&root, &now);
                    running.insert(vm, (root, next));
                }
                (None, _) => drop(running.insert(vm, (host.start(vm), now.clone()))),
            }
            for (vm, (disk, content)) in &running {
                if let Some(wrong) = content.wrong(disk) {
                    panic!("{order:?}: {vm}: {wrong}");
                }
            }
            assert_eq!(devices(), wanted(&host, &running), "{order:?}");
        }
        nothing_is_left();
    }
}

/// Returns the devices that those who run need, and no more.
fn wanted(host: &Host, running: &BTreeMap<&str, (PathBuf, Content)>) -> BTreeSet<String> {
    let mut wanted = BTreeSet::new();
    for vm in running.keys().copied() {
        if vm == TEMPLATE {
            wanted.extend([host.origin(), host.current()]);
        } else {
            wanted.insert(host.used(vm));
        }
    }
    wanted
}
