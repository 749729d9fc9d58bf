//! The program on a pool of driver dm, as a user types it.

use crate::machine::Machine;
use vmtest::{Result, require};

const SCRIPT: &str = "
set -e
export EBBTIDE_POOL=/run/disk/pool
e() { echo \"\\$ ebbtide $*\"; PROGRAM \"$@\" 2>&1 || echo \"status $?\"; }
cd /run
dd if=/dev/urandom of=/run/disk/root.img bs=1M count=8 2>/dev/null
e pool create $EBBTIDE_POOL --driver dm
e template create debian --root /run/disk/root.img --private 0
e vm create work --template debian --private 4M --swap 1M
e vm create play --template debian --private 0 --swap 1M --root-cow host
e vm prepare work
e vm prepare play
e vm prepare debian
echo torn | dd of=/dev/mapper/origin-* bs=512 seek=4 conv=notrunc 2>/dev/null || ls -l /dev/mapper
e vm list
e vm show work
dmsetup ls
losetup -a
e vm release debian
e vm list
e template versions debian
e vm release work
e vm release play
e template revert debian 1
e template versions debian
e pool check
e volume changed debian:root@1 debian:root
e volume changed debian:root@2 debian:root
e volume export debian:root /run/disk/out.img
cmp /run/disk/out.img /run/disk/root.img && echo same
e volume resize work:private 8M
e vm clone work twin
e vm list
e vm remove twin
e export-config work --format xl
e vm prepare work
e export-config work --format libvirt
e vm release work
find /run/disk/pool
dmsetup ls; losetup -a
";

#[test]
fn a_user_can_do_what_users_do() -> Result<()> {
    let machine = require!(Machine::start("ext4", 512));
    let said = machine.run(&SCRIPT.replace("PROGRAM", env!("CARGO_BIN_EXE_ebbtide")))?;
    println!("{said}");
    machine.end()
}
