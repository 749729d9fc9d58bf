//! System calls that no safe crate has: device-mapper, partitions of a live disk, swap, discard, a
//! lock with a bound, the page size, identifiers, the start of the program.
//!
//! In: open files, paths and plain values. Out: plain values or the kernel's error number as an
//! [`std::io::Error`]. This is the only crate of the project with `unsafe` code, so a wrapper makes
//! the calls of one operation and decides nothing about devices.

pub mod block;
pub mod dm;
mod ioctl;
pub mod lock;
pub mod machine;
pub mod partition;
pub mod start;
pub mod swap;
