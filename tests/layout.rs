//! Properties of the arithmetic that divides a volatile disk.

use ebbtide_format::units::{Bytes, LogicalBlock, SECTOR, Sectors};
use ebbtide_init::{
    layout::{AUTO_SWAP, Extent, Layout, MIN_COW, Purpose, TooSmall, grown, layout},
    options::SwapSize,
};
use proptest::prelude::*;

const MIB: u64 = 1 << 20;
/// 16384 bytes of entries at each end: 128 entries of 128 bytes (UEFI specification, chapter 5).
const ENTRIES: u64 = 16384;
const LARGEST_DISK: u64 = 16 << 40;
/// The kernel counts a device's bytes in a signed 64-bit number.
const KERNELS_LIMIT: u64 = 1 << 63;

fn blocks() -> impl Strategy<Value = LogicalBlock> {
    prop_oneof![Just(LogicalBlock::B512), Just(LogicalBlock::B4096)]
}

fn purposes() -> impl Strategy<Value = Purpose> {
    prop_oneof![Just(Purpose::SwapAndCow), Just(Purpose::SwapOnly)]
}

/// Sizes of any magnitude, and those beside a whole MiB, where rounding goes one way or the other.
fn bytes_up_to(end: u64) -> impl Strategy<Value = u64> {
    prop_oneof![
        2 => 0..=end,
        2 => (0..64u32).prop_flat_map(move |shift| 0..=(end >> shift)),
        3 => (0..=4096u64, -32i64..=32).prop_map(move |(mib, sectors)| {
            (mib * MIB).saturating_add_signed(sectors * SECTOR as i64).min(end)
        }),
    ]
}

fn swaps() -> impl Strategy<Value = SwapSize> {
    let fixed = |bytes| SwapSize::Fixed(Bytes(bytes));
    prop_oneof![
        Just(SwapSize::Auto),
        Just(fixed(0)),
        bytes_up_to(4 << 30).prop_map(fixed),
        bytes_up_to(u64::MAX).prop_map(fixed),
        (u64::MAX - 2 * MIB..=u64::MAX).prop_map(fixed),
    ]
}

/// A disk has whole blocks.
fn disks() -> impl Strategy<Value = (Sectors, LogicalBlock)> {
    (bytes_up_to(LARGEST_DISK), blocks())
        .prop_map(|(bytes, block)| (Sectors(bytes / block.bytes() * block.sectors()), block))
}

fn extents(layout: &Layout) -> Vec<Extent> {
    layout.swap.into_iter().chain(layout.cow).collect()
}

fn whole_mib(bytes: u64) -> u64 {
    bytes.div_ceil(MIB) * MIB
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    /// A store that grows gets what it would have had on a disk of that size, and never less.
    #[test]
    fn a_grown_store_is_as_if_made_anew(
        (before, block) in disks(), now in bytes_up_to(LARGEST_DISK), swap in bytes_up_to(4 << 30)
    ) {
        let now = Sectors(now / block.bytes() * block.sectors());
        let store = |disk| {
            let swap = SwapSize::Fixed(Bytes(swap));
            layout(disk, block, swap, Purpose::SwapAndCow).ok().and_then(|layout| layout.cow)
        };
        if let Some(is) = store(before) {
            let wanted = store(now).filter(|cow| cow.length > is.length);
            prop_assert_eq!(grown(now, block, is), wanted);
        }
    }

    #[test]
    fn every_partition_is_aligned_and_between_the_two_ends_of_the_table(
        (size, block) in disks(), swap in swaps(), purpose in purposes()
    ) {
        let Ok(layout) = layout(size, block, swap, purpose) else { return Ok(()) };
        // Block 0 and the header before the entries; the backup header after them.
        let first = 2 * block.bytes() + ENTRIES;
        let end = (size.0 * SECTOR).saturating_sub(block.bytes() + ENTRIES);
        for extent in extents(&layout) {
            prop_assert_eq!(extent.start.0 % MIB, 0, "{:?}", layout);
            prop_assert_eq!(extent.length.0 % MIB, 0, "{:?}", layout);
            prop_assert!(extent.length.0 > 0, "{:?}", layout);
            prop_assert!(extent.start.0 >= first, "{:?} begins before {}", layout, first);
            prop_assert!(extent.end().0 <= end, "{:?} ends after {}", layout, end);
        }
    }

    #[test]
    fn swap_and_store_follow_each_other_without_overlap_and_leave_less_than_a_mib(
        (size, block) in disks(), swap in swaps()
    ) {
        let Ok(layout) = layout(size, block, swap, Purpose::SwapAndCow) else { return Ok(()) };
        let cow = layout.cow.expect("a store");
        prop_assert!(cow.length >= MIN_COW, "{:?}", layout);
        match layout.swap {
            Some(swap) => {
                prop_assert_eq!(swap.start.0, MIB);
                prop_assert_eq!(swap.end(), cow.start);
            }
            None => prop_assert_eq!(cow.start.0, MIB),
        }
        let end = (size.0 * SECTOR).saturating_sub(block.bytes() + ENTRIES);
        prop_assert!(end - cow.end().0 < MIB, "{:?} wastes room before {}", layout, end);
    }

    #[test]
    fn a_writable_root_gets_no_store((size, block) in disks(), swap in swaps()) {
        let Ok(layout) = layout(size, block, swap, Purpose::SwapOnly) else { return Ok(()) };
        prop_assert_eq!(layout.cow, None);
    }

    #[test]
    fn swap_is_what_was_asked_for(
        (size, block) in disks(), asked in bytes_up_to(LARGEST_DISK), purpose in purposes()
    ) {
        let swap = SwapSize::Fixed(Bytes(asked));
        let Ok(layout) = layout(size, block, swap, purpose) else { return Ok(()) };
        let found = layout.swap.map_or(0, |swap| swap.length.0);
        prop_assert_eq!(found, whole_mib(asked));
    }

    #[test]
    fn automatic_swap_is_a_gib_at_most_a_quarter_and_never_in_the_way_of_the_store(
        (size, block) in disks(), purpose in purposes()
    ) {
        let without = layout(size, block, SwapSize::Fixed(Bytes(0)), purpose);
        let with = layout(size, block, SwapSize::Auto, purpose);
        prop_assert_eq!(with.is_ok(), without.is_ok(), "{:?} {:?}", with, without);
        let Ok(layout) = with else { return Ok(()) };
        let swap = layout.swap.map_or(0, |swap| swap.length.0);
        let quarter = size.0 * SECTOR / 4;
        prop_assert!(swap <= AUTO_SWAP.0 && swap <= quarter, "{} of {}", swap, size);
        // With 4 GiB and a little for the table there is room for all of it.
        if quarter >= AUTO_SWAP.0 {
            prop_assert_eq!(swap, AUTO_SWAP.0);
        }
    }

    #[test]
    fn a_refusal_names_the_smallest_disk_that_would_do(
        (size, block) in disks(), swap in swaps(), purpose in purposes()
    ) {
        let Err(TooSmall { needed, .. }) = layout(size, block, swap, purpose) else { return Ok(()) };
        prop_assert!(needed.0 > size.0 * SECTOR, "{} is no more than {}", needed, size);
        // It is given in whole KiB, and a disk has whole blocks.
        let step = block.bytes().max(1024);
        let on = |bytes: u64| layout(Bytes(bytes).sectors(), block, swap, purpose);
        if needed.0 < KERNELS_LIMIT {
            prop_assert_eq!(needed.0 % step, 0);
            prop_assert!(on(needed.0).is_ok(), "{} does not do", needed);
            prop_assert!(on(needed.0 - step).is_err(), "less than {} does", needed);
        } else {
            prop_assert!(on(KERNELS_LIMIT - block.bytes()).is_err());
        }
    }

    #[test]
    fn a_larger_disk_never_gives_less(
        (size, block) in disks(), more in bytes_up_to(1 << 40), swap in swaps()
    ) {
        let larger = Sectors(size.0 + more / block.bytes() * block.sectors());
        let Ok(small) = layout(size, block, swap, Purpose::SwapAndCow) else { return Ok(()) };
        let large = layout(larger, block, swap, Purpose::SwapAndCow);
        prop_assert!(large.is_ok(), "{:?}", large);
        let total = |l: Layout| extents(&l).iter().map(|e| e.length.0).sum::<u64>();
        prop_assert!(large.is_ok_and(|large| total(large) >= total(small)));
    }

    #[test]
    fn blocks_other_than_512_and_4096_are_no_blocks_of_ours(bytes in any::<u64>()) {
        let known = LogicalBlock::from_bytes(bytes).map(LogicalBlock::bytes);
        prop_assert_eq!(known, [512, 4096].into_iter().find(|b| *b == bytes));
    }
}

#[test]
fn both_block_sizes_are_known_and_those_beside_them_are_not() {
    for bytes in [512, 4096] {
        assert_eq!(LogicalBlock::from_bytes(bytes).map(LogicalBlock::bytes), Some(bytes));
    }
    for bytes in [0, 1, 511, 513, 1024, 2048, 4095, 8192, 65536, u64::MAX] {
        assert_eq!(LogicalBlock::from_bytes(bytes), None, "{bytes}");
    }
}
