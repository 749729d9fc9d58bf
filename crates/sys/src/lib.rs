//! System calls that no safe crate has: device-mapper, partitions of a live disk, swap, discard, a
//! lock with a bound, keys and the kernel's keyring, the page size, identifiers, the start of the
//! program.
//!
//! In: open files, paths and plain values. Out: plain values or the kernel's error number as an
//! [`std::io::Error`]. This is the only crate of the project with `unsafe` code, so a wrapper makes
//! the calls of one operation and decides nothing about devices.

mod alarm;
pub mod block;
pub mod dm;
mod ioctl;
pub mod key;
pub mod keyring;
pub mod lock;
pub mod machine;
mod outcome;
pub mod partition;
pub mod start;
pub mod swap;
