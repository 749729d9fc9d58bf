//! Which chunks of a store were seen to have data of the device.

use ebbtide_format::exception_store::Header;

/// How many chunks are looked after: 8 MiB of bits, a store of 256 GiB with the smallest chunk of ours. The kernel uses
/// the lowest first, and what lies above is not looked after: no memory would be enough for the largest stores.
const LOOKED_AFTER: u64 = 1 << 26;

/// The chunks that were seen.
#[derive(Debug)]
pub(super) struct SeenNew(Vec<u64>);

impl SeenNew {
    pub(super) fn of(header: &Header) -> Self {
        let words = header.chunks().min(LOOKED_AFTER).div_ceil(64);
        // Zeros are no memory until something is written over them.
        Self(vec![0; words as usize])
    }

    /// Returns whether a chunk was there before, and remembers it.
    pub(super) fn is_there(&mut self, new: u64) -> bool {
        let word = usize::try_from(new / 64).ok().and_then(|word| self.0.get_mut(word));
        let Some(word) = word else { return false };
        let before = *word;
        *word |= 1 << (new % 64);
        before == *word
    }
}
