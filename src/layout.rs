//! The volatile disk divided: partition table, swap, copy-on-write store. Pure arithmetic.
//!
//! ```text
//! 0      1 MiB                1 MiB + swap                        last MiB boundary   end
//! | table | partition 1: swap | partition 2: copy-on-write store  | rest, table again |
//! ```
//! Every partition starts and ends on a whole MiB. Without swap there is no partition 1, and the
//! store is still number 2.

use crate::options::SwapSize;
use ebbtide_format::{
    gpt_table,
    units::{Bytes, LogicalBlock, Sectors},
};

/// What partitions are aligned to.
pub const ALIGNMENT: Bytes = Bytes::mib(1);
/// The least room for copy-on-write: with less a system does not get through its boot.
pub const MIN_COW: Bytes = Bytes::mib(64);
/// The largest swap area that is made without being asked for.
pub const AUTO_SWAP: Bytes = Bytes::gib(1);
/// The smallest swap area that is made without being asked for.
const MIN_AUTO_SWAP: Bytes = Bytes::mib(8);

/// A piece of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// First byte.
    pub start: Bytes,
    /// Length.
    pub length: Bytes,
}

impl Extent {
    /// Returns the first byte after it.
    #[must_use]
    pub const fn end(self) -> Bytes {
        Bytes(self.start.0 + self.length.0)
    }
}

/// How the disk is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Swap, if any.
    pub swap: Option<Extent>,
    /// The store, unless only swap was wanted.
    pub cow: Option<Extent>,
}

/// What the disk is divided for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Swap and a store, which takes the rest.
    SwapAndCow,
    /// Swap alone, for a root that is written to directly.
    SwapOnly,
}

/// The disk is too small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooSmall {
    /// The swap that was asked for; what `auto` comes to is never the reason.
    pub swap: Bytes,
    /// The least room for copy-on-write, 0 where none is wanted.
    pub cow: Bytes,
    /// What the disk must have at the least.
    pub needed: Bytes,
}

/// Divides a disk of `size` with logical blocks of `block`.
///
/// # Errors
/// When the swap that was asked for and [`MIN_COW`] do not fit beside the partition table.
pub fn layout(
    size: Sectors,
    block: LogicalBlock,
    swap: SwapSize,
    purpose: Purpose,
) -> Result<Layout, TooSmall> {
    let least = match purpose {
        Purpose::SwapAndCow => MIN_COW,
        Purpose::SwapOnly => Bytes(0),
    };
    let asked = match swap {
        SwapSize::Auto => Bytes(0),
        SwapSize::Fixed(size) => size,
    };
    let too_small = || TooSmall { swap: asked, cow: least, needed: needed(block, asked, least) };
    let room = match room(size, block).filter(|room| room.0 >= least.0) {
        Some(room) => room,
        // Nothing was asked for, so nothing is too small for it.
        None if asked.0 == 0 && least.0 == 0 => return Ok(Layout { swap: None, cow: None }),
        None => return Err(too_small()),
    };
    let swap = match swap {
        SwapSize::Auto => auto_swap(size.bytes(), Bytes(room.0 - least.0)),
        SwapSize::Fixed(_) => {
            align_up(asked).filter(|swap| swap.0 <= room.0 - least.0).ok_or_else(too_small)?
        }
    };
    let swap = Extent { start: ALIGNMENT, length: swap };
    let cow = Extent { start: swap.end(), length: Bytes(room.0 - swap.length.0) };
    Ok(Layout {
        swap: (swap.length.0 > 0).then_some(swap),
        cow: (purpose == Purpose::SwapAndCow).then_some(cow),
    })
}

/// Returns where the last partition, which `is` so far, ends on a disk that has grown to `size`; `None`
/// where that is no later than it ends now. A partition in use never shrinks.
#[must_use]
pub fn grown(size: Sectors, block: LogicalBlock, is: Extent) -> Option<Extent> {
    let end = end_of_room(size, block)?;
    let length = end.checked_sub(is.start.0).map(Bytes)?;
    (length > is.length).then_some(Extent { start: is.start, length })
}

/// Returns what partitions can have: whole alignment units between the two ends of the table.
fn room(size: Sectors, block: LogicalBlock) -> Option<Bytes> {
    let (first, _) = gpt_table::usable(block, blocks(size, block))?;
    let start = ALIGNMENT.0.max(first * block.bytes());
    end_of_room(size, block)?.checked_sub(start).filter(|room| *room > 0).map(Bytes)
}

/// Returns the last whole alignment unit before the end of the table.
fn end_of_room(size: Sectors, block: LogicalBlock) -> Option<u64> {
    let (_, last) = gpt_table::usable(block, blocks(size, block))?;
    Some(align_down((last + 1) * block.bytes()))
}

/// Returns how many blocks a disk has; the kernel's own sizes end at 2⁶³ bytes.
fn blocks(size: Sectors, block: LogicalBlock) -> u64 {
    size.0.min(1 << 54) / block.sectors()
}

fn auto_swap(disk: Bytes, most: Bytes) -> Bytes {
    let size = align_down(AUTO_SWAP.0.min(disk.0 / 4).min(most.0));
    if size < MIN_AUTO_SWAP.0 { Bytes(0) } else { Bytes(size) }
}

/// Returns the size of the smallest disk that would do.
fn needed(block: LogicalBlock, swap: Bytes, cow: Bytes) -> Bytes {
    // One unit at the front; at the back the entries and the backup header, again aligned.
    let back = (1 + gpt_table::entry_blocks(block)) * block.bytes();
    let parts = align_up(swap).map_or(u64::MAX, |s| s.0).saturating_add(cow.0).max(ALIGNMENT.0);
    let whole = parts.saturating_add(ALIGNMENT.0).saturating_add(back);
    // In whole KiB, so that it can be said and typed.
    Bytes(whole.checked_next_multiple_of(1024).unwrap_or(u64::MAX))
}

const fn align_down(bytes: u64) -> u64 {
    bytes - bytes % ALIGNMENT.0
}

fn align_up(bytes: Bytes) -> Option<Bytes> {
    bytes.0.checked_next_multiple_of(ALIGNMENT.0).map(Bytes)
}
