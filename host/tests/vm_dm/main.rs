//! The driver over device-mapper with a real device-mapper: this program runs in user-mode Linux again, as a guest.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[macro_use]
#[path = "../contract/mod.rs"]
mod contract;
mod busy;
mod content;
mod copies;
mod crash;
mod faults;
mod half_ended;
mod host;
mod isolation;
mod keeps_contract;
mod layers;
mod machine;
mod mapped;
mod one_loop;
mod orders;
mod program;
mod renames;
mod stress;
