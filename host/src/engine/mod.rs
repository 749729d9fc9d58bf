//! What runs a VM.
//!
//! A [`machine`] is a VM with its started volumes, as plain data. [`qemu`] runs one; [`libvirt`] and [`xl`] describe it
//! to other engines.

pub mod libvirt;
pub mod machine;
pub mod qemu;
pub mod xl;

pub use machine::{Boot, Machine};
