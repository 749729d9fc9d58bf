//! Two layers: what the pool gives an AppVM as its root, and the copy-on-write of the guest over that, in its volatile
//! disk.

use crate::{
    content::Content,
    host::{Host, TEMPLATE},
    machine::{Machine, on_one},
    mapped::{nothing_is_left, run},
};
use ebbtide::pool::driver::{Disk, Ending};
use std::path::{Path, PathBuf};
use vmtest::{Result, require};

const BLOCKS: usize = 256;
/// Where the guest's store begins on the volatile disk: behind the partition table and the swap.
const STORE: &str = "2097152";

/// One boot.
#[test]
fn a_guest_s_writes_are_above_its_template_s_version() -> Result<()> {
    on_one(
        require!(Machine::start("ext4", 128)),
        &["layers::what_a_guest_writes_is_gone_and_what_its_template_writes_is_not_seen"],
    )
}

/// The guest's side of the two disks.
struct Guest {
    disks: Vec<String>,
}

impl Guest {
    /// Boots: the host's devices are disks of the guest, the root one to read, and `dmroot` is over it with an empty store.
    fn boot(disks: &[Disk], overflow: &str) -> Self {
        let [root, volatile] = disks else { panic!("{disks:?}") };
        assert!(root.read_only && !volatile.read_only);
        let disk = |disk: &Disk, how: &[&str]| {
            let path = disk.path.display().to_string();
            run("losetup", &[how, &["--find", "--show", &path]].concat())
        };
        let disks = vec![disk(root, &["--read-only"]), disk(volatile, &["--offset", STORE])];
        let sectors = run("blockdev", &["--getsz", &disks[0]]);
        // An old header would be replayed.
        run(
            "dd",
            &["if=/dev/zero", &format!("of={}", disks[1]), "bs=4096", "count=1", "conv=fsync"],
        );
        let table = format!("0 {sectors} snapshot {} {} {overflow} 8", disks[0], disks[1]);
        run("dmsetup", &["create", "dmroot", "--table", &table]);
        Self { disks }
    }

    fn root() -> PathBuf {
        Path::new("/dev/mapper/dmroot").into()
    }

    fn halt(self) {
        run("dmsetup", &["remove", "dmroot"]);
        for disk in self.disks {
            run("losetup", &["--detach", &disk]);
        }
    }
}

#[test]
fn what_a_guest_writes_is_gone_and_what_its_template_writes_is_not_seen() {
    let mut version = Content::all(BLOCKS, 1);
    let Some(host) = Host::new("layers", 2, &version, &["a"]) else { return };
    for (round, overflow) in (1..).zip(["N", "PO", "N", "PO"]) {
        let disks = host.disks("a").unwrap();
        let guest = Guest::boot(&disks, overflow);
        version.is_on(&Guest::root());
        let mine = version.with((0..BLOCKS).filter(|block| block % 4 < 2), 100 + round);
        mine.write(&Guest::root(), &version);
        // The template writes where the guest has written, and where it has not.
        let root = host.start(TEMPLATE);
        let next = version.with((0..BLOCKS).filter(|block| block % 2 == 1), 200 + round);
        next.write(&root, &version);
        mine.is_on(&Guest::root());
        version.is_on(&disks[0].path);
        host.stop(TEMPLATE);
        mine.is_on(&Guest::root());
        guest.halt();

        // It boots again on the disks that it has, and has forgotten.
        let guest = Guest::boot(&disks, overflow);
        version.is_on(&Guest::root());
        // All of it is written, which its store has room for.
        let mine = Content::all(BLOCKS, 300 + round);
        mine.write(&Guest::root(), &version);
        mine.is_on(&Guest::root());
        version.is_on(&disks[0].path);
        assert!(run("dmsetup", &["status", "dmroot"]).contains('/'));
        let refused = host.try_stop("a", Ending::Commit);
        assert!(refused.is_err(), "its root is removed below it");
        guest.halt();
        host.stop("a");
        nothing_is_left();
        version = next;
    }
    version.is_on(&host.start("a"));
    host.stop("a");
    nothing_is_left();
}
