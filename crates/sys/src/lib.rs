//! System calls that no safe crate has, a module for each kind: devices, extents, locks, keys, mounts, programs,
//! what the machine is.
//!
//! In: open files, paths and plain values. Out: plain values or the kernel's error number as an
//! [`std::io::Error`]. This is the only crate of the project with `unsafe` code, so a wrapper makes
//! the calls of one operation and decides nothing about devices.

mod alarm;
pub mod block;
pub mod directory;
pub mod dm;
pub mod fiemap;
pub mod inherited;
pub mod inode_flags;
mod ioctl;
pub mod key;
pub mod keyring;
pub mod lease;
pub mod lock;
pub mod loop_device;
pub mod machine;
pub mod mount_tree;
mod outcome;
pub mod partition;
pub mod pidfd;
pub mod reflink;
pub mod resize;
pub mod seccomp;
pub mod session;
pub mod start;
pub mod swap;
pub mod tool;
pub mod writeback;
pub mod xattr;
