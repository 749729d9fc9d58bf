//! VMs made, cloned and removed, in memory, and cut at every change.

#![allow(clippy::unwrap_used, reason = "a beginning that cannot be made fails its test")]

mod pools;

use ebbtide::{
    Error,
    error::RefusalKind,
    pool::{
        driver::{Ending, memory::MemoryStore},
        store::{Store as _, Unseen},
    },
    vm::{self, NewTemplate, NewVm, RootSource},
};
use pools::*;
use std::path::Path;

fn kind<T: std::fmt::Debug>(result: ebbtide::Result<T>) -> (RefusalKind, String) {
    match result.unwrap_err() {
        Error::Refused(refusal) => (refusal.kind, refusal.to_string()),
        other => panic!("{other:?}"),
    }
}

/// Checks that what is there is what was there or what should be, once the next command has swept.
fn old_or_new(store: &MemoryStore, pool: &ebbtide::pool::Pool, old: &[String], new: &[String]) {
    vm::sweep(pool).unwrap();
    let found = tree(store);
    assert!(found == old || found == new, "{found:#?}");
    assert_eq!(vm::sweep(pool).unwrap(), Vec::<String>::new());
}

#[test]
fn a_template_that_is_cut_is_whole_or_is_swept_away() {
    let (store, pool) = empty();
    let old = tree(&store);
    template(&over(&store), "debian").unwrap();
    let new = tree(&store);
    vm::remove(&pool, &name("debian")).unwrap();
    assert_eq!(tree(&store), old);
    let cuts = cut_everywhere(
        &store,
        |pool| template(pool, "debian"),
        |store, pool| {
            let is_whole = pool.vm(&name("debian")).is_ok();
            old_or_new(store, pool, &old, &new);
            if !is_whole {
                template(pool, "debian").unwrap();
            }
            assert_eq!(tree(store), new);
        },
    );
    assert!(cuts > 8, "{cuts}");
}

#[test]
fn what_was_made_or_removed_outlives_a_power_cut() {
    let (store, pool) = usual();
    let all = |store: &MemoryStore, wanted: &[&str]| {
        for store in store.power_cuts(200) {
            let vms = over(&store).vms().unwrap();
            assert!(vms.unreadable.is_empty(), "{:?}", vms.unreadable);
            let found: Vec<_> = vms.vms.iter().map(|vm| vm.name.as_str()).collect();
            assert_eq!(found, wanted);
        }
    };
    all(&store, &["debian", "work"]);
    vm::clone(&pool, &name("work"), &name("copy")).unwrap();
    all(&store, &["copy", "debian", "work"]);
    vm::set(&pool, &name("copy"), &[("memory", "3G")]).unwrap();
    for store in store.power_cuts(200) {
        let copy = over(&store).vm(&name("copy")).unwrap();
        assert_eq!(copy.record.engine.memory.to_string(), "3 GiB");
    }
    vm::remove(&pool, &name("work")).unwrap();
    all(&store, &["copy", "debian"]);
}

#[test]
fn a_setting_that_is_cut_is_the_old_or_the_new_one() {
    let (store, _) = usual();
    let act =
        |pool: &ebbtide::pool::Pool| vm::set(pool, &name("work"), &[("memory", "3G")]).map(drop);
    cut_everywhere(&store, act, |store, pool| {
        for store in store.power_cuts(50) {
            let work = over(&store).vm(&name("work")).unwrap();
            assert!(["512 MiB", "3 GiB"].contains(&&*work.record.engine.memory.to_string()));
        }
        vm::set(pool, &name("work"), &[("memory", "1G")]).unwrap();
        assert!(!tree(store).iter().any(|path| path.contains("aside")));
    });
}

#[test]
fn a_vm_that_is_cut_is_whole_or_is_swept_away_by_the_next_one() {
    let (store, _) = usual();
    let old = tree(&store);
    let after = store.fork();
    app_vm(&over(&after), "mail", "debian").unwrap();
    let new = tree(&after);
    cut_everywhere(
        &store,
        |pool| app_vm(pool, "mail", "debian"),
        |store, pool| {
            if pool.vm(&name("mail")).is_err() {
                app_vm(pool, "mail", "debian").unwrap();
                assert_eq!(tree(store), new);
            } else {
                old_or_new(store, pool, &old, &new);
            }
        },
    );
}

#[test]
fn a_clone_that_is_cut_is_whole_or_is_swept_away() {
    let (store, pool) = usual();
    run(&pool, &store, "work", "private", b"home", Ending::Commit);
    let old = tree(&store);
    let after = store.fork();
    vm::clone(&over(&after), &name("work"), &name("copy")).unwrap();
    let new = tree(&after);
    let act = |pool: &ebbtide::pool::Pool| vm::clone(pool, &name("work"), &name("copy")).map(drop);
    cut_everywhere(&store, act, |store, pool| {
        old_or_new(store, pool, &old, &new);
        assert_eq!(version(store, Path::new("appvms/work"), "private"), b"home");
    });
}

#[test]
fn a_removal_that_is_cut_is_finished_by_the_next_command() {
    let (store, pool) = usual();
    run(&pool, &store, "work", "private", b"home", Ending::Commit);
    let old = tree(&store);
    let after = store.fork();
    vm::remove(&over(&after), &name("work")).unwrap();
    let new = tree(&after);
    assert!(!new.iter().any(|path| path.starts_with("appvms/")), "{new:?}");
    let act = |pool: &ebbtide::pool::Pool| vm::remove(pool, &name("work")).map(drop);
    let mut finished = 0;
    cut_everywhere(&store, act, |store, pool| {
        if pool.vm(&name("work")).is_ok() {
            old_or_new(store, pool, &old, &new);
            return;
        }
        finished += 1;
        // Repeated by its own name, by the next one of that name, or by a sweep.
        match finished % 3 {
            0 if store.stat(Path::new("appvms/work")).unwrap().is_some() => {
                let _ = vm::remove(pool, &name("work"));
                assert_eq!(tree(store), new);
            }
            1 => app_vm(pool, "work", "debian").unwrap(),
            _ => old_or_new(store, pool, &new, &new),
        }
    });
    assert!(finished > 3, "{finished}");
}

#[test]
fn a_clone_shares_versions_and_is_somebody_else() {
    let (store, pool) = usual();
    run(&pool, &store, "work", "private", b"home", Ending::Commit);
    vm::set(&pool, &name("work"), &[("memory", "2G")]).unwrap();
    let said = vm::clone(&pool, &name("work"), &name("copy")).unwrap();
    assert!(said.is_empty(), "{said:?}");
    let inode = |path: &str| store.stat(Path::new(path)).unwrap().unwrap().inode;
    assert_eq!(inode("appvms/work/private.img"), inode("appvms/copy/private.img"));
    let (work, copy) = (pool.vm(&name("work")).unwrap(), pool.vm(&name("copy")).unwrap());
    assert_ne!(work.record.uuid, copy.record.uuid);
    assert_eq!(work.record.engine, copy.record.engine);
    run(&pool, &store, "copy", "private", b"away", Ending::Commit);
    assert_eq!(version(&store, &work.dir, "private"), b"home");
    vm::remove(&pool, &name("work")).unwrap();
    assert_eq!(version(&store, &copy.dir, "private"), b"away");
}

#[test]
fn a_clone_of_a_running_vm_has_its_last_version_and_says_so() {
    let (store, pool) = usual();
    run(&pool, &store, "work", "private", b"home", Ending::Commit);
    let guard = start(&pool, "work").unwrap();
    write(&store, Path::new("appvms/work"), "private", b"late");
    let said = vm::clone(&pool, &name("work"), &name("copy")).unwrap().join(" ");
    assert!(said.contains("last version of work:private"), "{said}");
    assert_eq!(version(&store, Path::new("appvms/copy"), "private"), b"home");
    vm::release(&pool, &guard, Ending::Commit).unwrap();
}

#[test]
fn a_template_with_vms_is_not_removed_but_marked_and_they_are_named() {
    let (store, pool) = usual();
    app_vm(&pool, "mail", "debian").unwrap();
    let before = tree(&store);
    let later = vm::remove(&pool, &name("debian")).unwrap().later;
    assert_eq!(later, ["mail", "work"].map(|vm| vm::Reference::Template(name(vm))));
    assert_eq!(tree(&store), before);
    vm::set(&pool, &name("debian"), &[("volatile", "no")]).unwrap();
    // A record that nobody can read may name it too.
    vm::remove(&pool, &name("mail")).unwrap();
    vm::remove(&pool, &name("work")).unwrap();
    store.make_dir(Path::new("appvms/odd")).unwrap();
    store.write_new(Path::new("appvms/odd/vm.toml"), b"format = 1\n").unwrap();
    kind(vm::remove(&pool, &name("debian")));
    store.remove(Path::new("appvms/odd/vm.toml")).unwrap();
    vm::remove(&pool, &name("debian")).unwrap();
}

#[test]
fn unknown_files_survive_everything() {
    let (store, pool) = usual();
    let files = [
        "appvms/work/notes.txt",
        "appvms/work/backup.img",
        "appvms/work/root.img.bak",
        "appvms/work/private.img.7",
        "appvms/notes",
        "vm-templates/debian/.aside",
        "stray",
    ];
    for file in files {
        store.write_new(Path::new(file), b"mine").unwrap();
    }
    store.make_dir(Path::new("appvms/work/dir")).unwrap();
    store.make_dir(Path::new("appvms/.aside-thesis")).unwrap();
    store.write_new(Path::new("appvms/.aside-thesis/chapter"), b"mine").unwrap();
    run(&pool, &store, "work", "private", b"home", Ending::Commit);
    run(&pool, &store, "debian", "root", b"new", Ending::Commit);
    vm::clone(&pool, &name("work"), &name("copy")).unwrap();
    let removed = vm::remove(&pool, &name("work")).unwrap();
    assert_eq!(removed.left.len(), 5, "{removed:?}");
    assert!(
        removed.left.contains(&"/pool/appvms/work/backup.img".into())
            || removed.left[0].ends_with("appvms/work/backup.img")
    );
    for file in files.into_iter().chain(["appvms/.aside-thesis/chapter"]) {
        assert_eq!(store.read(Path::new(file)).unwrap(), b"mine", "{file}");
    }
    assert!(pool.vm(&name("work")).is_err());
    let (refused, text) = kind(app_vm(&pool, "work", "debian"));
    assert_eq!(refused, RefusalKind::Exists);
    assert!(text.contains("backup.img"), "{text}");
}

#[test]
fn a_leftover_with_files_of_others_is_told_of_once() {
    let (store, pool) = empty();
    for dir in ["appvms/.aside-cut", "appvms/.aside-thesis"] {
        store.make_dir(Path::new(dir)).unwrap();
        store.write_new(&Path::new(dir).join("chapter"), b"mine").unwrap();
    }
    store.write_new(Path::new("appvms/.aside-cut/private.img"), b"ours").unwrap();
    let said = vm::sweep(&pool).unwrap();
    assert!(matches!(&said[..], [text] if text.contains(".aside-cut/chapter")), "{said:?}");
    assert_eq!(vm::sweep(&pool).unwrap(), Vec::<String>::new());
    assert_eq!(store.names(Path::new("appvms/.aside-cut")).unwrap(), ["chapter"]);
}

#[test]
fn names_that_look_alike_are_different_vms() {
    let (store, pool) = usual();
    let long = "n".repeat(200);
    let names = [
        "w",
        "wor",
        "work2",
        "work*",
        "w?rk",
        "[work]",
        "work me",
        "wörk",
        "-".trim_start_matches('-'),
        &long,
        "work.img",
        "root-dirty",
    ];
    for text in names.into_iter().filter(|text| !text.is_empty()) {
        app_vm(&pool, text, "debian").unwrap();
    }
    for text in ["work*", "w?rk", "[work]", "w"] {
        vm::remove(&pool, &name(text)).unwrap();
    }
    let left: Vec<_> = pool.vms().unwrap().vms.into_iter().map(|vm| vm.name.to_string()).collect();
    let mut wanted = [
        "debian",
        "work",
        "wor",
        "work2",
        "work me",
        "wörk",
        long.as_str(),
        "work.img",
        "root-dirty",
    ];
    wanted.sort_unstable();
    assert_eq!(left, wanted);
    run(&pool, &store, &long, "private", b"long", Ending::Commit);
    for text in ["../x", "a/b", "a\0b", "", ".", "..", ".hidden", "-f", &"n".repeat(201), "a\nb"] {
        let refused = text.parse::<ebbtide::VmName>().unwrap_err();
        assert_eq!(refused.kind, RefusalKind::Invalid, "{text:?}");
    }
}

#[test]
fn a_name_is_one_vms_among_templates_and_vms() {
    let (_, pool) = usual();
    for result in [
        template(&pool, "work"),
        app_vm(&pool, "debian", "debian"),
        app_vm(&pool, "work", "debian"),
    ] {
        let (refused, text) = kind(result);
        assert_eq!(refused, RefusalKind::Exists);
        assert!(text.contains("already"), "{text}");
    }
    assert_eq!(kind(vm::clone(&pool, &name("work"), &name("debian"))).0, RefusalKind::Exists);
    assert_eq!(kind(app_vm(&pool, "x", "work")).0, RefusalKind::Rule);
    assert_eq!(kind(app_vm(&pool, "x", "debain")).0, RefusalKind::Missing);
    let Err(Error::Refused(refused)) = app_vm(&pool, "x", "debain") else { panic!() };
    assert_eq!(refused.hint.as_deref(), Some("is it debian?"));
}

#[test]
fn two_vms_are_made_at_once() {
    let (store, pool) = usual();
    std::thread::scope(|scope| {
        for half in 0..2 {
            let pool = &pool;
            scope.spawn(move || {
                for number in 0..20 {
                    app_vm(pool, &format!("vm{half}-{number}"), "debian").unwrap();
                }
            });
        }
        // Of two with one name, one is made.
        let twins: Vec<_> =
            (0..2).map(|_| scope.spawn(|| template(&pool, "twin").is_ok())).collect();
        let made = twins.into_iter().filter(|_| true).map(|twin| twin.join().unwrap());
        assert_eq!(made.filter(|made| *made).count(), 1);
    });
    assert_eq!(pool.vms().unwrap().vms.len(), 2 + 40 + 1);
    assert!(!tree(&store).iter().any(|path| path.contains("aside")));
}

#[test]
fn looking_at_a_vm_costs_the_same_among_ten_and_a_thousand() {
    let cost = |count: u64| {
        let (store, pool) = usual();
        for number in 0..count {
            app_vm(&pool, &format!("vm{number}"), "debian").unwrap();
        }
        let before = store.looks();
        assert_eq!(vm::list(&pool).unwrap().vms.len() as u64, count + 2);
        (store.looks() - before) / (count + 2)
    };
    let (few, many) = (cost(10), cost(1000));
    assert!(many <= few, "{few} looks each among ten, {many} among a thousand");
    assert!(many <= 40, "{many}");
}

#[test]
fn making_a_vm_costs_the_same_among_ten_and_a_thousand() {
    let (store, pool) = usual();
    let mut costs = Vec::new();
    for number in 0..1000 {
        let before = store.looks();
        app_vm(&pool, &format!("vm{number}"), "debian").unwrap();
        costs.push(store.looks() - before);
    }
    assert_eq!(costs[10], costs[999]);
}

#[test]
fn a_template_that_cannot_be_is_refused_before_anything_is_made() {
    let (store, pool) = empty();
    let before = tree(&store);
    use ebbtide_format::units::Bytes;
    let blank = NewTemplate::new(RootSource::Blank(SIZE));
    let cmdline = vm::record::Engine { cmdline: Some("quiet".into()), ..Default::default() };
    for new in [
        NewTemplate::new(RootSource::Blank(Bytes(0))),
        NewTemplate { initrd: Some("/boot/initrd".into()), ..blank.clone() },
        NewTemplate { engine: cmdline, ..blank.clone() },
    ] {
        let (refused, _) = kind(vm::create_template(&pool, &name("t"), &new, &mut Unseen));
        assert_eq!(refused, RefusalKind::Invalid);
    }
    for image in ["/missing", "/dev/null"] {
        let new = NewTemplate::new(RootSource::Image(image.into()));
        vm::create_template(&pool, &name("t"), &new, &mut Unseen).unwrap_err();
    }
    assert_eq!(tree(&store), before);
    let huge = NewTemplate { root: RootSource::Blank(Bytes(3 << 40)), ..blank };
    vm::create_template(&pool, &name("huge"), &huge, &mut Unseen).unwrap();
    let _: NewVm = NewVm::new(name("huge"));
}
