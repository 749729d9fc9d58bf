//! `kill -9` before each system call of a commit and an import by which anything can change: what is there afterwards is
//! the old version or the new one, and the same command brings it to an end.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod injected;
mod loopfs;
#[path = "injected/template.rs"]
mod template;

use injected::{CHANGING, What, at_each_call};
use loopfs::Kind;
use template::Template;

/// Asserts that no version is lost: the old one is current, or kept behind the new one.
fn is_old_or_new(template: &Template, why: &str) -> bool {
    let new = template.generation;
    let (current, kept) = template.versions();
    let wanted = if current == new { [new - 2, new - 1] } else { [new - 3, new - 2] };
    assert!(current == new || current == new - 1, "{why}: {current} is current");
    assert!(wanted.iter().all(|old| kept.contains(old)), "{why}: {current}, {kept:?}");
    current == new
}

fn commit_is_old_or_new(kind: Kind) {
    let mut template = Template::new(kind);
    template.cut_off();
    let creations = template.creations(&["template", "commit", "debian"]);
    let mut was_new = [0, 0];
    let (kills, kinds) = at_each_call(&CHANGING, &creations, |syscall, nth| {
        let why = format!("{kind:?}, killed before {syscall} {nth}");
        template.cut_off();
        let run = template.run(syscall, What::Kill, nth, &["template", "commit", "debian"]);
        assert_eq!(run.succeeded, !run.was_killed, "{why}: {}", run.said);
        was_new[usize::from(is_old_or_new(&template, &why))] += 1;
        template.succeeds(&["template", "commit", "debian"]);
        if template.versions().1.len() > 2 {
            // The next version prunes what a cut has spared.
            template.cut_off();
            template.succeeds(&["template", "commit", "debian"]);
        }
        template.is_whole(template.generation, &why);
        run.was_hit
    });
    println!("{kind:?}: {kills} kills at {kinds} kinds of calls, {was_new:?} left old and new");
    assert!(kills >= 18 && kinds >= 7 && was_new[0] >= 8 && was_new[1] >= 8);
}

fn import_is_old_or_new(kind: Kind) {
    let mut template = Template::new(kind);
    let file = template.next_file();
    let creations = template.creations(&["volume", "import", "debian:root", &file]);
    let mut was_new = [0, 0];
    let (kills, kinds) = at_each_call(&CHANGING, &creations, |syscall, nth| {
        let why = format!("{kind:?}, killed before {syscall} {nth}");
        let file = template.next_file();
        let import = ["volume", "import", "debian:root", &file];
        let run = template.run(syscall, What::Kill, nth, &import);
        assert_eq!(run.succeeded, !run.was_killed, "{why}: {}", run.said);
        let is_new = is_old_or_new(&template, &why);
        was_new[usize::from(is_new)] += 1;
        // Any command that takes the VM's lock ends what was cut.
        template.succeeds(&["volume", "discard", "debian:root"]);
        if !is_new {
            template.is_whole(template.generation - 1, &why);
            template.succeeds(&import);
        } else if template.versions().1.len() > 2 {
            // The next version prunes what a cut has spared.
            let file = template.next_file();
            template.succeeds(&["volume", "import", "debian:root", &file]);
        }
        template.is_whole(template.generation, &why);
        run.was_hit
    });
    println!("{kind:?}: {kills} kills at {kinds} kinds of calls, {was_new:?} left old and new");
    assert!(kills >= 18 && kinds >= 7 && was_new[0] >= 8 && was_new[1] >= 8);
}

#[test]
fn a_killed_commit_on_btrfs_is_old_or_new() {
    commit_is_old_or_new(Kind::Btrfs);
}

#[test]
fn a_killed_commit_on_xfs_is_old_or_new() {
    commit_is_old_or_new(Kind::Xfs);
}

#[test]
fn a_killed_commit_on_ext4_is_old_or_new() {
    commit_is_old_or_new(Kind::Ext4);
}

#[test]
fn a_killed_import_on_btrfs_is_old_or_new() {
    import_is_old_or_new(Kind::Btrfs);
}

#[test]
fn a_killed_import_on_xfs_is_old_or_new() {
    import_is_old_or_new(Kind::Xfs);
}

#[test]
fn a_killed_import_on_ext4_is_old_or_new() {
    import_is_old_or_new(Kind::Ext4);
}
