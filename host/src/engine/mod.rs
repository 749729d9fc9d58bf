//! What runs a VM.
//!
//! A [`machine`] is a VM with its started volumes, as plain data. [`qemu`] runs one.

pub mod machine;
pub mod qemu;

pub use machine::{Boot, Machine};
