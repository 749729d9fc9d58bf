//! Numbers and bytes that are the same in every run.

use std::sync::LazyLock;

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

/// Words in a block of 4 KiB.
const WORDS: usize = 512;

/// Fills `bytes` with what is at `at` of the device, a multiple of 8: no two blocks are alike and no two words of one, so
/// nothing can be left out, packed or taken for another place.
pub(crate) fn fill(bytes: &mut [u8], at: u64, of: Of) {
    static WORD: LazyLock<[u64; WORDS]> =
        LazyLock::new(|| std::array::from_fn(|at| mixed(!(at as u64))));
    let words = &*WORD;
    let (mut left, mut block, mut first) = (bytes, at / 4096, (at % 4096 / 8) as usize);
    while !left.is_empty() {
        let key = mixed(block << 1 | u64::from(of == Of::Written));
        let (these, rest) = left.split_at_mut(left.len().min((WORDS - first) * 8));
        for (bytes, word) in these.chunks_exact_mut(8).zip(&words[first..]) {
            bytes.copy_from_slice(&(word ^ key).to_le_bytes());
        }
        (left, block, first) = (rest, block + 1, 0);
    }
}

/// Returns a number without order for each number (splitmix64).
fn mixed(number: u64) -> u64 {
    let mut x = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
