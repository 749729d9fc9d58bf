//! Every command on a volume of driver dm, ended before each of its changes: the process killed while the devices stay,
//! the host gone with all of them, the change failed. Old or new, bit for bit, no version lost, nothing left over, and the
//! command can be repeated.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod acts;
mod budget;
#[path = "../contract/mod.rs"]
mod contract;
mod cut;
mod faults;
#[path = "../hooked/mod.rs"]
mod hooked;
mod kills;
mod lost;
#[path = "../mapped/mod.rs"]
mod mapped;
mod model;
mod removals;
mod seen;
mod torn;
mod tree;
mod world;
