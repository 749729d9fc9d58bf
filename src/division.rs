//! The volatile disk, how it is divided, and the steps that divide it.
//!
//! In: the disk as observed and a [`layout`]. Out: the partition table and the steps that claim,
//! empty and divide the disk, and that make its swap area.

use crate::{
    encrypted::Encrypted,
    layout::{self, Extent, Layout, Purpose, TooSmall},
    observed::{Disk, Observed},
    options::Options,
    plan::UUID_PREFIX,
    refusal::Refusal,
    step::{Marker, Step},
};
use alloc::{format, string::String, vec, vec::Vec};
use ebbtide_format::{
    gpt_table::{Entry, Table},
    guid::partition_type,
    swap::SwapArea,
    units::{Bytes, LogicalBlock},
};

/// How far into a device the signatures of file systems reach: btrfs, at 64 KiB, is the last.
pub(crate) const SIGNATURES_END: Bytes = Bytes::kib(68);

/// Numbers of the partitions: 1 is swap, 2 is the store, also when there is no swap.
pub(crate) const SWAP_INDEX: u32 = 1;
pub(crate) const COW_INDEX: u32 = 2;

/// The volatile disk and how it is divided.
pub(crate) struct Division<'a> {
    disk: &'a Disk,
    block: LogicalBlock,
    encrypt: bool,
    pub(crate) layout: Layout,
}

pub(crate) fn divide<'a>(
    disk: &'a Disk,
    options: &Options,
    purpose: Purpose,
) -> Result<Division<'a>, Refusal> {
    let block = LogicalBlock::from_bytes(disk.block.0)
        .ok_or_else(|| Refusal::BlockSize { disk: disk.name.clone(), found: disk.block })?;
    let layout = layout::layout(disk.size, block, options.swap, purpose).map_err(
        |TooSmall { swap, cow, needed }| Refusal::TooSmall {
            disk: disk.name.clone(),
            found: disk.size,
            swap,
            cow,
            needed,
        },
    )?;
    Ok(Division { disk, block, encrypt: options.encrypt, layout })
}

const fn encrypted(index: u32) -> Encrypted {
    match index {
        SWAP_INDEX => Encrypted::Swap,
        _ => Encrypted::Store,
    }
}

impl Division<'_> {
    fn partitions(&self) -> impl Iterator<Item = (u32, Extent)> {
        let swap = self.layout.swap.map(|extent| (SWAP_INDEX, extent));
        let cow = self.layout.cow.map(|extent| (COW_INDEX, extent));
        swap.into_iter().chain(cow)
    }

    /// Returns the kernel's name for a partition: with a `p` between when the disk's name ends in a
    /// digit (`bdev_add_partition` and `disk_name` of the kernel's block layer).
    pub(crate) fn partition_name(&self, index: u32) -> String {
        let between = if self.disk.name.ends_with(|c: char| c.is_ascii_digit()) { "p" } else { "" };
        format!("{}{between}{index}", self.disk.name)
    }

    /// Returns the device that is used for a partition: what it is encrypted as, or itself.
    pub(crate) fn device(&self, index: u32) -> String {
        if self.encrypt { encrypted(index).device() } else { self.partition_name(index) }
    }

    /// Claims, empties and divides the disk; with encryption, if it was asked for.
    pub(crate) fn partition_steps(&self, observed: &Observed) -> Vec<Step> {
        if self.partitions().next().is_none() {
            return vec![];
        }
        let disk = || self.disk.name.clone();
        let mut steps = vec![Step::Claim { disk: disk() }];
        if self.disk.discards {
            steps.push(Step::Discard { disk: disk(), size: self.disk.size });
        }
        for partition in &self.disk.partitions {
            let (index, device) = (partition.index, partition.name.clone());
            steps.push(Step::RemovePartition { disk: disk(), index, device });
        }
        steps.push(Step::WriteTable { disk: disk(), table: self.table(observed) });
        if self.layout.cow.is_some() {
            steps.push(Step::Mark(Marker::Cow(self.partition_name(COW_INDEX))));
        }
        for (index, extent) in self.partitions() {
            let device = self.partition_name(index);
            steps.push(Step::AddPartition { disk: disk(), index, device, extent });
        }
        if self.encrypt {
            steps.extend(
                self.partitions().map(|(index, extent)| self.encrypt(index, extent, observed)),
            );
        }
        steps
    }

    fn encrypt(&self, index: u32, extent: Extent, observed: &Observed) -> Step {
        let part = encrypted(index);
        let id = match part {
            Encrypted::Swap => observed.identifiers.swap,
            Encrypted::Store => observed.identifiers.cow,
        };
        let crypt = part.table(&self.partition_name(index), extent.length.sectors());
        Step::Encrypt { part, crypt, uuid: format!("{UUID_PREFIX}{id}") }
    }

    fn table(&self, observed: &Observed) -> Table {
        let ids = &observed.identifiers;
        let entries = self.partitions().map(|(number, extent)| {
            let (type_guid, guid, name) = match number {
                SWAP_INDEX => (partition_type::SWAP, ids.swap, "ebbtide-swap"),
                _ => (partition_type::COW, ids.cow, "ebbtide-cow"),
            };
            let block = self.block.bytes();
            let (first, last) = (extent.start.0 / block, extent.end().0 / block - 1);
            Entry { number, type_guid, guid, first, last, name }
        });
        Table {
            disk: ids.disk,
            block: self.block,
            blocks: self.disk.size.0 / self.block.sectors(),
            entries: entries.collect(),
        }
    }

    /// Makes the swap area and uses it; nothing when there is no room for one.
    pub(crate) fn swap_steps(&self, observed: &Observed) -> Vec<Step> {
        let device = self.device(SWAP_INDEX);
        let area = self.layout.swap.and_then(|swap| {
            SwapArea::new(swap.length, observed.page, observed.identifiers.swap_area)
        });
        let Some(area) = area else { return vec![] };
        let length = Bytes(SIGNATURES_END.0.next_multiple_of(u64::from(observed.page)));
        vec![Step::WriteSwap { device: device.clone(), area, length }, Step::SwapOn { device }]
    }
}
