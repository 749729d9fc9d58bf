//! Each system call of a commit and an import by which a disk changes is answered by a full disk, a used-up quota or a
//! broken disk: the target is untouched, the cause is named, and the same command does it once there is room.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod injected;
mod loopfs;
#[path = "injected/template.rs"]
mod template;

use injected::{Run, What, at_each_call};
use loopfs::Kind;
use template::Template;

/// What a file system answers such errors to.
const FAILING: [&str; 9] = [
    "openat",
    "linkat",
    "rename",
    "unlink",
    "ftruncate",
    "ioctl",
    "utimensat",
    "fsync",
    "pwrite64",
];

const ANSWERS: [(&str, &str); 3] = [
    ("ENOSPC", "No space left on device"),
    ("EIO", "Input/output error"),
    ("EDQUOT", "Disk quota exceeded"),
];

/// What a cut-off template has beside its versions, until a command gets as far as to end that.
const BESIDE: [&str; 3] = ["root-dirty.img", "run.toml", "volatile-dirty.img"];

/// What came of all runs.
#[derive(Debug, Default)]
struct Seen {
    failed: usize,
    untouched: usize,
    succeeded: usize,
}

impl Seen {
    /// Looks at one run. `beside` is what may be there beside the versions.
    fn look(&mut self, template: &Template, run: &Run, beside: &[&str], said: &str, why: &str) {
        let new = template.generation;
        let (current, kept) = template.versions();
        if run.succeeded {
            self.succeeded += 1;
            assert_eq!(current, new, "{why}");
            return;
        }
        self.failed += 1;
        assert!(run.was_hit && run.said.contains(said), "{why}: {}", run.said);
        if current == new {
            // The new version is in place and not yet durable: that is an error, and repeating it is all there is to do.
            assert!(why.contains("fsync"), "{why}: {}", run.said);
            return;
        }
        self.untouched += 1;
        assert_eq!((current, &kept[..]), (new - 1, &[new - 3, new - 2][..]), "{why}");
        let mut files = template.files();
        files.retain(|file| !beside.contains(&file.as_str()));
        assert_eq!(files.len(), 3, "{why}: {files:?}");
    }

    fn are_enough(&self) {
        println!("{self:?}");
        assert!(self.untouched >= 9 && self.succeeded >= 3, "{self:?}");
    }
}

fn a_commit_fails_whole(kind: Kind) {
    let mut template = Template::new(kind);
    let commit = ["template", "commit", "debian"];
    template.cut_off();
    let creations = template.creations(&commit);
    let mut seen = Seen::default();
    for (errno, said) in ANSWERS {
        at_each_call(&FAILING, &creations, |syscall, nth| {
            let why = format!("{kind:?}, {errno} at {syscall} {nth}");
            template.cut_off();
            let run = template.run(syscall, What::Fail(errno), nth, &commit);
            seen.look(&template, &run, &BESIDE, said, &why);
            template.succeeds(&commit);
            if template.versions().1.len() > 2 {
                template.cut_off();
                template.succeeds(&commit);
            }
            template.is_whole(template.generation, &why);
            run.was_hit
        });
    }
    seen.are_enough();
}

fn an_import_fails_whole(kind: Kind) {
    let mut template = Template::new(kind);
    let file = template.next_file();
    let import = ["volume", "import", "debian:root", &file];
    let creations = template.creations(&import);
    let mut seen = Seen::default();
    for (errno, said) in ANSWERS {
        at_each_call(&FAILING, &creations, |syscall, nth| {
            let why = format!("{kind:?}, {errno} at {syscall} {nth}");
            template.next_file();
            let run = template.run(syscall, What::Fail(errno), nth, &import);
            seen.look(&template, &run, &[], said, &why);
            // The next one prunes what a failed one has spared; a failed one that is in place is no old version.
            for _ in 0..2 {
                template.next_file();
                template.succeeds(&import);
            }
            let new = template.generation;
            assert_eq!(template.versions().0, new, "{why}");
            if template.versions().1 != [new - 2, new - 1] {
                template.next_file();
                template.succeeds(&import);
            }
            template.is_whole(template.generation, &why);
            run.was_hit
        });
    }
    seen.are_enough();
}

#[test]
fn a_failed_commit_on_btrfs_leaves_the_target_untouched() {
    a_commit_fails_whole(Kind::Btrfs);
}

#[test]
fn a_failed_commit_on_xfs_leaves_the_target_untouched() {
    a_commit_fails_whole(Kind::Xfs);
}

#[test]
fn a_failed_commit_on_ext4_leaves_the_target_untouched() {
    a_commit_fails_whole(Kind::Ext4);
}

#[test]
fn a_failed_import_on_btrfs_leaves_the_target_untouched() {
    an_import_fails_whole(Kind::Btrfs);
}

#[test]
fn a_failed_import_on_xfs_leaves_the_target_untouched() {
    an_import_fails_whole(Kind::Xfs);
}

#[test]
fn a_failed_import_on_ext4_leaves_the_target_untouched() {
    an_import_fails_whole(Kind::Ext4);
}
