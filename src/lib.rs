//! What the init stage of Ebbtide is to do, as pure planning.
//!
//! ```text
//! kernel command line, init.conf ─parse→ Options ──┐
//! /proc /sys /dev ─(observe, in the binary)→ Observed ┴─plan→ Plan | Refusal
//! ```
//! Text and plain data flow in; a list of [`step::Step`]s, or a [`refusal::Refusal`] that names the
//! thing, what was wanted and what was found, flows out. Nothing here opens, waits or writes: the
//! binary does, and it has no choices left.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod again;
mod bind_conf;
mod bind_dirs;
pub mod bind_owner;
pub mod bind_rules;
pub mod binds;
pub mod boot_words;
pub mod discover;
mod division;
pub mod encrypted;
pub mod json;
pub mod layout;
pub mod module_order;
pub mod mountinfo;
pub mod observed;
pub mod options;
pub mod passwd;
pub mod plan;
pub mod private_volume;
pub mod refusal;
pub mod report;
pub mod role;
pub mod step;
pub mod usage;
pub mod warning;
