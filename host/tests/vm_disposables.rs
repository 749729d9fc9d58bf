//! Two disposables that went on from one hot savestate, as their guests see it.

#![allow(clippy::unwrap_used, reason = "a test may end here")]

mod machines;

use machines::{
    Host,
    asked::{address, agent_runs, generation, hot, run, until},
    qemu_is_there,
};
use std::collections::BTreeSet;
use vmtest::{Image, Result, require};

/// What a guest has that no other may have.
const OWN: [&str; 2] = ["head -c 16 /dev/urandom | od -A n -t x1", "cat /sys/class/net/e*/address"];
/// Whether the guest knows that it is another machine.
const FORKED: &str = "dmesg | grep -c 'crng reseeded due to virtual machine fork' || :";
/// What it holds on its disks and in its memory, with nothing of them cached.
const HOLDS: &str = "
    sync; echo 3 >/proc/sys/vm/drop_caches
    for disk in vdb vdc; do dd if=/dev/$disk bs=512 skip=100 count=1 2>/dev/null | head -n 1; done; cat /mark";

/// Writes a name to both disks and to the memory.
fn marks(name: &str) -> String {
    format!(
        "echo {name} >/mark; for disk in vdb vdc; do
            echo {name} | dd of=/dev/$disk bs=512 seek=100 conv=fsync 2>/dev/null; done"
    )
}

#[test]
fn two_disposables_of_one_savestate_are_two_machines() -> Result<()> {
    require!(qemu_is_there());
    let image = require!(Image::named("stage-agent"));
    let host = Host::new().booting(&image, &["a"]);
    host.must(&["vm", "set", "a", "memory=192M", "network=user", "hot=agent"]);
    let id = hot(&host, "a");

    let names = ["a-disp1", "a-disp2"];
    let mut own = BTreeSet::new();
    for name in names {
        assert_eq!(host.must(&["start", "a", "--disposable"]).out.trim(), name);
        assert_eq!(run(&host, name).resumed.unwrap().to_string(), id);
        let has_card = || !agent_runs(&host, name, "ls /sys/class/net | grep e || :").is_empty();
        until("its card", has_card);
        until("its new id", || agent_runs(&host, name, FORKED) == "1");
        own.extend(OWN.map(|question| agent_runs(&host, name, question)));
        own.insert(generation(&host, name));
        assert!(own.contains(&address(&host, name)), "its driver has the card's address: {own:?}");
    }
    assert_eq!(own.len(), 2 * (OWN.len() + 1), "{own:?}");

    for name in names {
        agent_runs(&host, name, &marks(name));
    }
    for name in names {
        assert_eq!(agent_runs(&host, name, HOLDS).lines().collect::<Vec<_>>(), [name; 3]);
    }
    // Neither the savestate nor the VM that they are disposables of has any of it.
    host.must(&["stop", names[0], "--force"]);
    assert_eq!(host.must(&["start", "a", "--disposable"]).out.trim(), names[0]);
    let holds = agent_runs(&host, names[0], &format!("{HOLDS} || echo none")).replace('\0', "");
    assert_eq!(holds.trim(), "none");
    host.must(&["pool", "check"]);
    Ok(())
}
