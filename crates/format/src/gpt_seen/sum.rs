//! The checksum of partition tables.

/// Returns the CRC-32 of pieces in a row: reflected polynomial 0xedb88320, all ones before and after.
pub(super) fn sum<const N: usize>(pieces: [&[u8]; N]) -> u32 {
    let bytes = pieces.into_iter().flatten();
    !bytes.fold(u32::MAX, |sum, byte| sum >> 8 ^ TABLE[usize::from(sum as u8 ^ byte)])
}

static TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut sum, mut bit) = (byte as u32, 0);
        while bit < 8 {
            sum = if sum & 1 == 1 { sum >> 1 ^ 0xedb8_8320 } else { sum >> 1 };
            bit += 1;
        }
        table[byte] = sum;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_that_of_the_specification() {
        // The check value of this CRC in every catalogue.
        assert_eq!(sum([b"123456789"]), 0xcbf4_3926);
        assert_eq!(sum([b"1234".as_slice(), b"", b"56789"]), 0xcbf4_3926);
    }
}
