//! The fields of headers and entries.

use crate::guid::Guid;

/// Reads a number of 32 bits; past the end it is 0.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes[at..].first_chunk().map_or(0, |field| u32::from_le_bytes(*field))
}

/// Reads a number of 64 bits; past the end it is 0.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..].first_chunk().map_or(0, |field| u64::from_le_bytes(*field))
}

/// Reads an identifier, of which the first three fields lie in little endian (appendix A).
pub(super) fn guid_at(bytes: &[u8], at: usize) -> Guid {
    const ORDER: [usize; 16] = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
    Guid(ORDER.map(|from| bytes[at + from]))
}
