//! The header of a swap area.
//!
//! ```text
//! byte 0      1024     1028       1032      1036   1052    1068        PAGE-10   PAGE
//!      | boot | version | last page | bad = 0 | uuid | label | 0 ....... | magic  |
//!        bits   u32 = 1   u32         u32       16     16                 "SWAPSPACE2"
//! ```
//! Numbers are in the byte order of the machine; the last page counts from 0. Source: `union
//! swap_header` in the kernel's include/linux/swap.h; mkswap writes the same bytes.

use crate::{guid::Guid, units::Bytes};
use alloc::{vec, vec::Vec};

/// What stands in the header of a swap area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SwapArea {
    page: u32,
    last_page: u32,
    uuid: Guid,
}

/// The fewest pages that the kernel's tools accept: below it a swap area is of no use.
pub const MIN_PAGES: u64 = 10;

/// The label of our swap area.
pub const LABEL: &[u8] = b"ebbtide-swap";

impl SwapArea {
    /// Describes a swap area that fills `size` on a machine with pages of `page` bytes.
    ///
    /// Returns `None` when fewer than [`MIN_PAGES`] fit, or when `page` is not a power of two from
    /// 4 KiB to 64 KiB. Pages past the 32 bits of the header stay unused.
    #[must_use]
    pub fn new(size: Bytes, page: u32, uuid: Guid) -> Option<Self> {
        if !page.is_power_of_two() || !(4096..=65536).contains(&page) {
            return None;
        }
        let pages = (size.0 / u64::from(page)).min(1 << 32);
        if pages < MIN_PAGES {
            return None;
        }
        Some(Self { page, last_page: u32::try_from(pages - 1).ok()?, uuid })
    }

    /// Returns the number of the last page, counted from 0 (the header's own page).
    #[must_use]
    pub const fn last_page(self) -> u32 {
        self.last_page
    }

    /// Returns the identifier of the area.
    #[must_use]
    pub const fn uuid(self) -> Guid {
        self.uuid
    }

    /// Returns the first page of the area, exactly one page long.
    #[must_use]
    pub fn header(self) -> Vec<u8> {
        const MAGIC: &[u8; 10] = b"SWAPSPACE2";
        let page = self.page as usize;
        let mut bytes = vec![0; page];
        bytes[1024..1028].copy_from_slice(&1u32.to_ne_bytes());
        bytes[1028..1032].copy_from_slice(&self.last_page.to_ne_bytes());
        bytes[1036..1052].copy_from_slice(&self.uuid.0);
        bytes[1052..1052 + LABEL.len()].copy_from_slice(LABEL);
        bytes[page - MAGIC.len()..].copy_from_slice(MAGIC);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_every_whole_page_and_no_part_of_one() {
        let area = |bytes| SwapArea::new(Bytes(bytes), 4096, Guid([7; 16])).map(|a| a.last_page());
        assert_eq!(area(40960), Some(9));
        assert_eq!(area(40960 + 4095), Some(9));
        assert_eq!(area(40959), None);
        assert_eq!(area(1 << 60), Some(u32::MAX));
    }

    #[test]
    fn refuses_a_page_that_no_machine_has() {
        for page in [0, 512, 5000, 1 << 20] {
            assert_eq!(SwapArea::new(Bytes::gib(1), page, Guid([7; 16])), None, "{page}");
        }
    }
}
