//! Templates, their versions, and the virtual machines that boot from them, kept in a directory of plain files.
//!
//! In: a pool directory and plain values. Out: plain values, an [`Error`], and files in the pool. The library
//! prints nothing and asks nothing; what it does to files is in the log at level info.
//!
//! A [`pool::Pool`] is a directory. A [`volume`] is one disk of one VM: an immutable file for each version of
//! it. A [`vm`] is a record and its volumes. An [`engine`] runs one.

pub mod cow;
pub mod engine;
pub mod error;
pub mod file;
pub mod name;
mod near;
pub mod pool;
mod record;
pub mod vm;
pub mod volume;

pub use error::{Error, Refusal, Result};
pub use name::{VmName, VolumeName};
