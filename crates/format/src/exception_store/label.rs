//! A new, empty store, with a label of ours in its header chunk.
//!
//! ```text
//! chunk 0   byte 0   16        512         520       528        536        544           548
//!         | header | zeros   | "EBBTIDE1"| size    | seconds  | same as  | nanoseconds | zeros …      little endian
//!                                          u64       i64        u64        u32
//! ```
//! The kernel reads 16 bytes of this chunk (`read_header` in drivers/md/dm-snap-persistent.c) and writes the whole of
//! it only when it makes a store or gives one up, so what stands behind is ours until the store is of no use. It says
//! how large the device was that the store began over, and when: a base may grow below its store, and the times of a
//! store's file are those of what the kernel writes.

use super::{MAGIC, VERSION};
use crate::units::{Bytes, Chunk};

/// Where the label stands.
const AT: usize = 512;
const SIGN: &[u8; 8] = b"EBBTIDE1";
/// Bytes of a store that [`Label::parse`] looks at, and that a new store begins with; the rest of one are zeros.
pub const LABELLED: usize = 1024;

/// What a store of ours says of what it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// Size of the device when the store was made.
    pub device: Bytes,
    /// When that was, in seconds since 1970.
    pub seconds: i64,
    /// And nanoseconds.
    pub nanoseconds: u32,
    /// The number of the older version that had the same content, 0 for none.
    pub same_as: u64,
}

impl Label {
    /// Reads the label in the first [`LABELLED`] bytes of a store; `None` where there is none.
    #[must_use]
    pub fn parse(head: &[u8]) -> Option<Self> {
        let text = head.get(AT..)?.strip_prefix(SIGN)?;
        let (device, rest) = text.split_first_chunk()?;
        let (seconds, rest) = rest.split_first_chunk()?;
        let (same_as, rest) = rest.split_first_chunk()?;
        let (nanoseconds, _) = rest.split_first_chunk()?;
        Some(Self {
            device: Bytes(u64::from_le_bytes(*device)),
            seconds: i64::from_le_bytes(*seconds),
            same_as: u64::from_le_bytes(*same_as),
            nanoseconds: u32::from_le_bytes(*nanoseconds),
        })
    }

    /// Returns the first bytes of a new store with this label; zeros follow up to its size.
    #[must_use]
    pub fn new_store(self, chunk: Chunk) -> [u8; LABELLED] {
        let mut head = [0; LABELLED];
        let mut put = |at: usize, bytes: &[u8]| head[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &MAGIC.to_le_bytes());
        put(4, &1_u32.to_le_bytes());
        put(8, &VERSION.to_le_bytes());
        put(12, &(chunk.sectors() as u32).to_le_bytes());
        put(AT, SIGN);
        put(AT + 8, &self.device.0.to_le_bytes());
        put(AT + 16, &self.seconds.to_le_bytes());
        put(AT + 24, &self.same_as.to_le_bytes());
        put(AT + 32, &self.nanoseconds.to_le_bytes());
        head
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exception_store::{HEAD, Seen};

    #[test]
    fn a_new_store_is_one_for_the_kernel_and_has_its_label() {
        let label =
            Label { device: Bytes(3 << 40), seconds: -1, nanoseconds: 999_999_999, same_as: 7 };
        let head = label.new_store(Chunk::MAX);
        let store = Seen::parse(&head[..HEAD]).unwrap().believe(Bytes(1 << 30)).unwrap();
        assert_eq!(store.chunk(), Chunk::MAX.bytes());
        assert_eq!(Label::parse(&head), Some(label));
    }

    #[test]
    fn what_is_not_whole_is_no_label() {
        let label = Label { device: Bytes(1), seconds: 2, nanoseconds: 3, same_as: 4 };
        let head = label.new_store(Chunk::MIN);
        assert_eq!(Label::parse(&head[..AT + 35]), None);
        assert_eq!(Label::parse(&[0; LABELLED]), None);
        let mut other = head;
        other[AT + 7] = b'2';
        assert_eq!(Label::parse(&other), None);
    }
}
