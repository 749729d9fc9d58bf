//! COW files of user-mode Linux: what was written over a backing file, which the header names.
//!
//! ```text
//! byte 0        bitmap           data                                    data + size
//!      | header | bitmap | …     | sector 0 | sector 1 | …  |            |
//! ```
//! One bit stands for one sector of 512 bytes, the least significant of a byte first; where it is set, the sector is in
//! the COW file, at its own place in a sparse image of the whole device. Source: the kernel's
//! arch/um/drivers/cow_user.c and ubd_kern.c; uml_mkcow and uml_moo of uml-utilities have the same code.
//!
//! In: the first bytes of a file, which whoever wrote it may have meant to do harm with. Out: a [`Seen`], which holds what
//! is written there; a [`Header`], whose numbers were checked; and [`runs`] of sectors. And the bytes of a new header.

mod header;
mod layout;
mod mark;
mod problem;
mod runs;
mod write;

#[cfg(test)]
mod tests;

pub use header::{Header, Seen};
pub use layout::{ByteOrder, HEAD, Version};
pub use mark::mark;
pub use problem::Problem;
pub use runs::{Runs, runs};
pub use write::{head, relocated};
