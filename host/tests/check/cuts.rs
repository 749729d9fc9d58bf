//! A repair that is cut at any of its steps is finished by the next one, and loses nothing.

use ebbtide::pool::{
    Pool,
    check::{Severity, check},
    driver::{
        FileDriver,
        memory::{Fault, MemoryStore},
    },
    repair::repair,
    store::Store as _,
};
use ebbtide_format::units::Bytes;
use std::{path::Path, sync::Arc};

fn pool(store: &MemoryStore) -> Pool {
    let store = Arc::new(store.clone());
    Pool::with("/pool".into(), 2, store.clone(), Box::new(FileDriver::new(store)))
}

fn damaged() -> MemoryStore {
    let store = MemoryStore::new();
    let record = |number: u32, rest: &str| {
        format!(
            "format = 1\nuuid = \"00000000-0000-4000-8000-{number:012}\"\ncreated = \"2026-11-20T10:00:00Z\"\n{rest}"
        )
    };
    let dirs = ["vm-templates", "vm-templates/t", "appvms", "appvms/a", "appvms/.aside-1"];
    dirs.iter().for_each(|dir| store.make_dir(Path::new(dir)).unwrap());
    for dir in ["appvms/gone", "appvms/play"] {
        store.make_dir(Path::new(dir)).unwrap();
    }
    let write = |path: &str, text: &str| store.write_new(Path::new(path), text.as_bytes()).unwrap();
    write("vm-templates/t/vm.toml", &record(1, "kind = \"template\"\n"));
    for (number, vm) in [(2, "a"), (3, "play")] {
        let text = record(number, "kind = \"appvm\"\ntemplate = \"t\"\n");
        write(&format!("appvms/{vm}/vm.toml"), &text);
    }
    write("appvms/gone/vm.toml.removing", "x");
    write(
        "appvms/play/run.toml",
        "format = 1\nengine = \"qemu\"\nboot = \"00000000-0000-4000-8000-000000000001\"\nsince = \"2026-11-20T10:00:00Z\"\n",
    );
    write("appvms/a/mine", "mine");
    let image = |path: &str| store.make_image(Path::new(path), Bytes(8192)).unwrap();
    for path in [
        "vm-templates/t/root.img",
        "vm-templates/t/private.img",
        "vm-templates/t/root.img.aside-import",
        "appvms/a/private.img",
        "appvms/a/private-dirty.img",
        "appvms/a/volatile-dirty.img",
        "appvms/play/private.img",
        "appvms/play/private-dirty.img",
        "appvms/play/volatile-dirty.img",
        "appvms/gone/private.img",
        "appvms/.aside-1/private.img",
    ] {
        image(path);
    }
    let link = |from: &str, to: &str| store.link(Path::new(from), Path::new(to)).unwrap();
    link("vm-templates/t/root.img", "vm-templates/t/root.img.1@2026-11-20T10:00:00Z");
    link("vm-templates/t/root.img", "appvms/a/root.img");
    store
}

#[test]
fn is_finished_by_the_next_one() {
    let damaged = damaged();
    let before = check(&pool(&damaged)).unwrap();
    let mendable = before.findings.iter().filter(|found| found.severity() != Severity::Note);
    assert_eq!(mendable.count(), 7, "{:#?}", before.findings);
    let mut cuts = 0;
    loop {
        let store = damaged.fork();
        store.budget(cuts, Fault::Kill);
        let first = repair(&pool(&store));
        if !store.revive() {
            assert!(first.unwrap().is_clean());
            break;
        }
        cuts += 1;
        let repaired = repair(&pool(&store)).unwrap();
        assert!(repaired.is_clean(), "cut {cuts}: {:#?}", repaired.left);
        for kept in [
            "vm-templates/t/root.img",
            "vm-templates/t/private.img",
            "appvms/a/private.img",
            "appvms/a/private-dirty.img",
            "appvms/a/mine",
            "appvms/play/private.img",
            "appvms/play/private-dirty.img",
        ] {
            assert!(store.stat(Path::new(kept)).unwrap().is_some(), "cut {cuts}: {kept}");
        }
        assert!(store.stat(Path::new("appvms/gone")).unwrap().is_none());
        assert_eq!(repair(&pool(&store)).unwrap().done, [] as [String; 0]);
    }
    assert!(cuts > 15, "{cuts}");
}
