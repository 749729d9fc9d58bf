//! How much room a store needs.

use super::EXCEPTION;
use crate::units::{Chunk, Sectors};

/// Returns the size at which a persistent store cannot fill, even when every chunk of an origin of
/// size `origin` is rewritten; a transient one needs less.
#[must_use]
pub fn room_for_all(origin: Sectors, chunk: Chunk) -> Sectors {
    let chunks = origin.0.div_ceil(chunk.sectors());
    let per_area = chunk.bytes().0 / EXCEPTION;
    // The area that follows the last full one is read to find the end, so it must be there too.
    let areas = (chunks + 1).div_ceil(per_area);
    Sectors((1 + chunks + areas).saturating_mul(chunk.sectors()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Bytes;

    #[test]
    fn counts_header_data_and_one_metadata_chunk_an_area() {
        let room = |chunks: u64| room_for_all(Sectors(chunks * 8), Chunk::MIN).0 / 8;
        // 4096 / 16 = 256 exceptions an area.
        assert_eq!(room(0), 1 + 1);
        assert_eq!(room(1), 1 + 1 + 1);
        assert_eq!(room(255), 1 + 255 + 1);
        assert_eq!(room(256), 1 + 256 + 2);
    }

    #[test]
    fn a_part_of_a_chunk_takes_a_whole_one() {
        let chunk = Chunk::from_bytes(Bytes::kib(16)).unwrap();
        assert_eq!(room_for_all(Sectors(33), chunk), room_for_all(Sectors(64), chunk));
    }
}
