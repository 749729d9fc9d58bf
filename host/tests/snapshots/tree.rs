//! Which snapshot is meant, and what is no tree.

use super::*;
use ebbtide::vm::{Whose, find_snapshot, snapshots_of};

/// Replaces text in the record of a snapshot.
fn edit(store: &MemoryStore, snapshot: &Snapshot, from: &str, to: &str) {
    let file = dir(snapshot).join("snapshot.toml");
    let text = String::from_utf8(store.read(&file).unwrap()).unwrap();
    assert!(text.contains(from), "{text}");
    store.remove(&file).unwrap();
    store.write_new(&file, text.replacen(from, to, 1).as_bytes()).unwrap();
}

/// Asserts that some are refused by their name, and all others are listed; a check finds the same.
fn only(pool: &Pool, refused: &[(&Snapshot, &str, &str)], listed: &[&Snapshot]) {
    let (found, unreadable) = vm::snapshots(pool).unwrap();
    let mut found: Vec<_> = found.iter().map(|snapshot| snapshot.uuid).collect();
    let mut wanted: Vec<_> = listed.iter().map(|snapshot| snapshot.uuid).collect();
    found.sort();
    wanted.sort();
    assert_eq!(found, wanted);
    assert_eq!(unreadable.len(), refused.len());
    let findings = check(pool).unwrap().findings;
    for (snapshot, says, problem) in refused {
        let uuid = snapshot.uuid.to_string();
        let is_its =
            |text: &str| text.contains(&format!("{uuid}/snapshot.toml")) && text.contains(says);
        assert!(unreadable.iter().any(|error| is_its(&error.to_string())), "{unreadable:?}");
        assert!(find_snapshot(pool, &uuid).unwrap_err().to_string().contains(says));
        let is_found = findings.iter().any(|finding| {
            finding.problem.name() == *problem
                && finding.at == dir(snapshot).join("snapshot.toml")
                && finding.severity() == Severity::Human
        });
        assert!(is_found, "{problem}: {findings:?}");
    }
}

fn three() -> (MemoryStore, Pool, [Snapshot; 3]) {
    let (store, pool) = usual();
    let all = [b"one1", b"two2", b"thr3"].map(|bytes| step(&store, &pool, "work", bytes));
    (store, pool, all)
}

#[test]
fn a_snapshot_of_itself_is_refused_by_name_and_others_are_listed() {
    let (store, pool, [first, second, third]) = three();
    let of = format!("snapshot_of = \"{}\"", first.snapshot_of.unwrap());
    edit(&store, &first, &of, &format!("snapshot_of = \"{}\"", first.uuid));
    let disk = &second.disks[0];
    let of = format!("snapshot_of = \"{}\"", disk.snapshot_of.unwrap());
    edit(&store, &second, &of, &format!("snapshot_of = \"{}\"", disk.uuid));
    let says = "snapshot of itself";
    let refused = [(&first, says, "snapshot-of-itself"), (&second, says, "snapshot-of-itself")];
    only(&pool, &refused, &[&third]);
}

#[test]
fn a_cycle_of_parents_is_refused_and_ends_with_one_of_it() {
    let (store, pool, [first, second, third]) = three();
    let other = take(&pool, "debian").unwrap();
    let label = format!("vm = \"{}\"", first.vm);
    edit(&store, &first, &label, &format!("{label}\nparent = \"{}\"", second.uuid));
    let says = "comes after itself";
    let refused = [(&first, says, "snapshot-cycle"), (&second, says, "snapshot-cycle")];
    only(&pool, &refused, &[&third, &other]);
    vm::remove_snapshot(&pool, &first.uuid.to_string()).unwrap();
    only(&pool, &[], &[&second, &third, &other]);
    assert_eq!(find_snapshot(&pool, &second.uuid.to_string()).unwrap().parent, None);
    is_sound(&pool);

    edit(&store, &second, "vm = \"work\"", &format!("vm = \"work\"\nparent = \"{}\"", second.uuid));
    only(&pool, &[(&second, "its own parent", "snapshot-own-parent")], &[&third, &other]);
    vm::remove_snapshot(&pool, &second.uuid.to_string()).unwrap();
    only(&pool, &[], &[&third, &other]);
    assert_eq!(find_snapshot(&pool, &third.uuid.to_string()).unwrap().parent, None);
}

#[test]
fn a_record_in_the_directory_of_another_is_none() {
    let (store, pool, [first, second, third]) = three();
    edit(&store, &first, &first.uuid.to_string(), &Uuid::from_u128(7).to_string());
    only(&pool, &[(&first, "uuid is", "snapshot-unreadable")], &[&second, &third]);
    vm::remove_snapshot(&pool, &first.uuid.to_string()).unwrap();
    only(&pool, &[], &[&second, &third]);
}

#[test]
fn a_snapshot_is_meant_by_its_uuid_its_beginning_or_its_label() {
    let (_, pool) = usual();
    let guard = Guard::take(&pool, &name("work"), "snapshot", Allow::Stopped).unwrap();
    let labelled = |label| vm::snapshot(&pool, &guard, Some(label), None, &mut Unseen).unwrap();
    let one = labelled("one");
    let [_two, _again] = ["two", "two"].map(labelled);
    let uuid = one.uuid.to_string();
    for text in [uuid.as_str(), &uuid[..18], &uuid[..18].to_uppercase(), "one"] {
        assert_eq!(find_snapshot(&pool, text).unwrap(), one, "{text}");
    }
    let error = find_snapshot(&pool, "two").unwrap_err();
    assert!(error.to_string().contains("each of 2 snapshots"), "{error}");
    for text in ["none", &uuid[..3], "", &Uuid::from_u128(7).to_string()] {
        let error = find_snapshot(&pool, text).unwrap_err();
        assert!(error.to_string().contains("there is no snapshot"), "{error}");
    }
}

#[test]
fn snapshots_of_a_vm_that_is_gone_are_had_by_its_name() {
    let (store, pool, [first, ..]) = three();
    let all = |pool: &Pool| vm::snapshots(pool).unwrap().0;
    let of = |text: &str| -> ebbtide::Result<(Whose, usize)> {
        let all = all(&pool);
        let whose = snapshots_of(&pool, &all, &name(text))?;
        let count = all.iter().filter(|snapshot| whose.has(snapshot)).count();
        Ok((whose, count))
    };
    assert!(matches!(of("work").unwrap(), (Whose::There(_), 3)));
    vm::remove(&pool, &name("work")).unwrap();
    let gone = |uuid| Whose::Gone { name: name("work"), uuid };
    assert_eq!(of("work").unwrap(), (gone(first.snapshot_of), 3));
    // One of that name that is there is the one that is meant.
    app_vm(&pool, "work", "debian").unwrap();
    assert!(matches!(of("work").unwrap(), (Whose::There(_), 0)));
    let second = step(&store, &pool, "work", b"new1");
    assert!(matches!(of("work").unwrap(), (Whose::There(_), 1)));
    vm::remove(&pool, &name("work")).unwrap();
    let error = of("work").unwrap_err();
    assert!(error.hint().unwrap().contains(&second.snapshot_of.unwrap().to_string()), "{error}");
    assert_eq!(of(&first.snapshot_of.unwrap().to_string()).unwrap(), (gone(first.snapshot_of), 3));
    assert!(of("nobody").unwrap_err().to_string().contains("no template and no VM"));
}
