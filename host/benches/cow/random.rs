//! Numbers and bytes that are the same in every run.

/// Numbers (xorshift64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// Returns the next one below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit.max(1)
    }
}

/// Whose bytes they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Of {
    /// What is below.
    Backing,
    /// What was written over it.
    Written,
}

/// Fills `bytes` with what is at `at` of the device, a multiple of 8: no two words are alike, so nothing can be left out,
/// packed or taken for another place (splitmix64 of the place).
pub(crate) fn fill(bytes: &mut [u8], at: u64, of: Of) {
    let of = match of {
        Of::Backing => 0x6261_636b_0000_0000,
        Of::Written => 0x7772_6974_0000_0000,
    };
    for (word, place) in bytes.chunks_exact_mut(8).zip(at / 8..) {
        let mut x = (place ^ of).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word.copy_from_slice(&(x ^ (x >> 31)).to_le_bytes());
    }
}
