//! A dm-snapshot exception store: the chunks of an origin that were copied, and which they are.
//!
//! ```text
//! chunk   0        1            2 .. E+1     E+2          E+3 ..
//!         | header | metadata 0 | E chunks   | metadata 1 | E chunks | …        E = chunk bytes / 16
//!
//! header    byte 0         4        8           12               16
//!         | magic "SnAp" | valid  | version 1 | chunk, sectors | not looked at   u32, little endian
//!
//! metadata  byte 16·i      16·i + 8
//!         | old chunk    | new chunk    | …                                      u64, little endian
//! ```
//! A persistent store (`P`, `PO`) keeps a header chunk and, before every `E` data chunks, a chunk
//! of 16-byte exceptions: chunk `old` of the origin has its data in chunk `new` of the store. A new
//! chunk of 0, which would be the header, ends all exceptions; after a metadata chunk without one
//! comes the next, which the kernel erases before it writes the full one. A magic of 0 is a store
//! that is still to be made; a `valid` of 0 one that ran full or could not be written, for good. The
//! data of the last chunk may reach past the origin: what is there means nothing. A transient store
//! (`N`) holds data chunks alone. Source: the kernel's drivers/md/dm-snap-persistent.c,
//! dm-snap-transient.c, and for the size of a chunk `dm_exception_store_set_chunk_size` in
//! dm-exception-store.c.
//!
//! In: bytes of somebody else's. Out: a header that was [`Seen`], one that is believed, and exceptions,
//! each of which must be [checked](Header::check) before it is used. Nothing is copied or allocated.

mod exceptions;
mod header;
mod label;
mod problem;
mod room;

pub use exceptions::{Exception, Exceptions, exceptions};
pub use header::{HEAD, Header, MAGIC, MAX_CHUNK, Seen, VERSION};
pub use label::{LABELLED, Label};
pub use problem::Problem;
pub use room::room_for_all;

/// Bytes of one exception, a pair of chunk numbers.
pub const EXCEPTION: u64 = 16;
