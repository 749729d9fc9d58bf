//! Copy-on-write files: what was written over a file or a disk that others read too.
//!
//! In: a COW file of user-mode Linux, a dm-snapshot exception store, or a volatile disk with such a store in it; and
//! the backing, which is what was written over. Out: what was written, as [`Run`]s; a new file of both; or the backing
//! with all of it. No kernel driver and no root is needed: bytes are read, and the format crate says what they mean.

pub mod backing;
pub mod create;
mod disk;
pub mod export;
mod free;
mod image;
pub mod in_place;
pub mod in_use;
pub mod info;
mod instead;
pub mod marker;
pub mod merge;
mod nested;
mod node;
pub mod others;
mod overlay;
mod recorded;
pub mod relocate;
mod runs;
mod same;
pub mod store;
mod transfer;
mod uml;
pub mod volatile;

pub use backing::Backing;
pub use disk::{Disk, Kind};
pub use image::{Cow, Format, Recorded, State};
pub use node::Node;
pub use runs::{Run, Runs};
pub use transfer::{Done, Sharing, transfer};
