//! The program on a pool of driver dm, as a user types it.

use crate::machine::Machine;
use vmtest::{Result, require};

/// A shell's session, with `e` for the program, `disk VM SERIAL` for a device of a VM that is prepared by it, and `write`.
const BEGIN: &str = "
set -e
export EBBTIDE_POOL=/run/disk/pool
e() { PROGRAM \"$@\" 2>&1; }
disk() { e vm prepare $1 | awk -v serial=$2 '$1 == serial {print $NF}'; }
write() { printf %s \"$2\" | dd of=\"$1\" conv=fsync,notrunc 2>/dev/null; }
begin() { head -c 4 \"$1\"; echo; }
";

struct Session(Machine);

impl Session {
    fn run(&self, script: &str) -> Result<String> {
        let begin = BEGIN.replace("PROGRAM", env!("CARGO_BIN_EXE_ebbtide"));
        let said = self.0.run(&format!("{begin}{script}"))?;
        println!("$ {}\n{said}", script.trim());
        Ok(said)
    }
}

/// One boot.
#[test]
fn a_user_can_do_what_users_do() -> Result<()> {
    let session = Session(require!(Machine::start("ext4", 512)));
    let made = session.run(
        "dd if=/dev/urandom of=/run/disk/root.img bs=1M count=8 2>/dev/null; write /run/disk/root.img one.
         e pool create $EBBTIDE_POOL --driver dm; e template create debian --root /run/disk/root.img --private 0
         e vm create work --template debian --private 4M --swap 1M
         e vm create play --template debian --private 0 --swap 1M --root-cow host",
    )?;
    assert!(made.contains("driver:      dm"), "{made}");

    // A version in two VMs; one of them writes to its own copy. The template goes on meanwhile, and is cut off once.
    let said = session.run(
        "begin $(disk work root); play=$(disk play root); write $play mine; begin $play
         write $(disk debian root) two.; e vm release debian
         write $(disk debian root) torn; e vm release debian --keep
         begin /dev/mapper/snapshot-*; begin $play; e vm list; e template versions debian",
    )?;
    assert!(said.starts_with("one.\nmine\n"), "{said}");
    assert!(
        said.contains("debian:root: new version; the one before is kept as revision 1"),
        "{said}"
    );
    assert!(
        said.contains("debian:root: what was written stays uncommitted\none.\nmine\n"),
        "{said}"
    );
    assert_eq!(said.lines().filter(|line| line.contains("debian    yes")).count(), 2, "{said}");

    // What was cut off is dropped, and the way back is one that can be gone back.
    let said = session.run(
        "e volume discard debian:root; e volume export debian:root /run/disk/out; begin /run/disk/out; rm /run/disk/out
         e template revert debian 1; e template pin debian 2 good; e template versions debian
         e volume changed debian:root@1 debian:root; e volume changed debian:root@good debian:root
         e volume export debian:root /run/disk/out; cmp /run/disk/out /run/disk/root.img && echo same; rm /run/disk/out
         e template revert debian good; e volume export debian:root /run/disk/out; begin /run/disk/out; rm /run/disk/out",
    )?;
    assert!(said.contains("two.") && said.contains("same") && said.ends_with("two."), "{said}");
    assert!(said.contains("good"), "{said}");

    // Everything that was started ends, and nothing of it is left.
    let said = session
        .run("e vm release work; e vm release play; dmsetup ls; losetup -a; e pool check")?;
    assert!(said.contains("No devices found"), "{said}");
    assert!(said.ends_with("3 VMs and templates: nothing is wrong"), "{said}");

    let said = session.run(
        "e volume resize work:private 8M; write $(disk work private) keep; e volume resize work:private 12M || echo refused
         e vm release work; e vm clone work twin; begin $(disk twin private); e vm show twin | grep twin:private
         e vm release twin; e vm remove twin; e vm list; e pool info | grep images
         e volume import work:private /run/disk/root.img; begin $(disk work private); e vm release work
         e volume revert work:private; begin $(disk work private); e vm release work",
    )?;
    assert!(said.contains("keep\ntwin:private  8 MiB"), "{said}");
    assert!(said.contains("one.\n") && said.contains("refused"), "{said}");
    assert!(said.ends_with("keep\nwork:private: nothing was written"), "{said}");

    // What needs an instant, or another name for what a disk has, is refused, and the refusal says who has it.
    for refused in [
        "snapshot create work",
        "savestate create work --hot",
        "vm set work hot=30s",
        "vm set work versioned=auto",
    ] {
        let sum = "cksum <$EBBTIDE_POOL/appvms/work/vm.toml";
        let said = session.run(&format!("{sum}; e {refused} || echo refused; {sum}"))?;
        assert!(
            said.contains("hint: the driver reflink, on btrfs or XFS, can do that\nrefused"),
            "{said}"
        );
        assert_eq!(said.lines().next(), said.lines().last());
    }

    let said = session.run(
        "e export-config work --format xl; e export-config work --format libvirt || echo refused",
    )?;
    assert!(said.contains("script=block-ebbtide, target=/run/disk/pool/work:root"), "{said}");
    assert!(said.contains("is known when it is started") && said.ends_with("refused"), "{said}");
    session.0.end()
}

/// One boot. Disks are attached one after the other, as by a hook, also all at once, and the last one ends the run.
#[test]
fn disks_of_a_vm_are_attached_one_after_the_other() -> Result<()> {
    let session = Session(require!(Machine::start("xfs", 512)));
    session.run(
        "e pool create $EBBTIDE_POOL --driver dm; e template create debian --root 8M --private 0
         e vm create work --template debian --private 4M --swap 1M",
    )?;
    let said = session.run(
        "at=$EBBTIDE_POOL/work
         for disk in root private volatile; do e block add $at:$disk --by guest & done; wait
         e vm show work | grep state; e block add $at:root --by guest; e block add $at:root --by other || echo refused
         write /dev/mapper/origin-* kept
         for disk in root private; do e block remove $at:$disk --by guest; done; dmsetup ls | wc -l
         e block remove $at:volatile --by other; e block remove $at:volatile --by guest
         e block remove $at:volatile --by guest; dmsetup ls; e volume revisions work:private",
    )?;
    assert!(
        said.contains("work:root is attached already, by guest") && said.contains("refused"),
        "{said}"
    );
    assert!(said.contains("prepared, hotplug since"), "{said}");
    assert!(
        said.contains(
            "4\nwork:private: new version; the one before is kept as revision 1\nNo devices found"
        ),
        "{said}"
    );
    session.0.end()
}
