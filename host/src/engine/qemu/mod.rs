//! QEMU as the engine.

pub mod args;
