//! Every command that changes a volume, ended before each of its changes: the process killed, the power cut, the change
//! failed. Old or new, bit for bit, no version lost, nothing left over, and the command can be repeated.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod acts;
#[path = "../contract/mod.rs"]
mod contract;
mod counts;
mod faults;
#[path = "../memory/mod.rs"]
mod memory;
mod model;
mod power;
mod world;
