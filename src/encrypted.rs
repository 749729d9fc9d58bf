//! What can be encrypted: names of the devices and keys, and their tables.
//!
//! Whoever loads a table anew, because its partition has grown, gets the same text from here; the key
//! is still in the kernel's keyring then.

use crate::{
    observed::{Mapped, Observed},
    options::Options,
    plan::UUID_PREFIX,
    refusal::Refusal,
};
use alloc::{format, string::String};
use ebbtide_format::{dm_table::Crypt, units::Sectors};

/// A part of the volatile disk that is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encrypted {
    /// The swap area.
    Swap,
    /// The copy-on-write store.
    Store,
}

impl Encrypted {
    /// All that there are.
    pub const ALL: [Self; 2] = [Self::Swap, Self::Store];

    /// Returns the name of its device in device-mapper; udev's rules know it too.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Swap => "dmroot-swap",
            Self::Store => "dmroot-cow",
        }
    }

    /// Returns the name of its device below `/dev`.
    #[must_use]
    pub fn device(self) -> String {
        format!("mapper/{}", self.name())
    }

    /// Returns the description of its key in the kernel's keyring.
    #[must_use]
    pub fn key(self) -> String {
        format!("ebbtide:{}", self.name())
    }

    /// Returns the table of its device over a partition, all `size` of it.
    #[must_use]
    pub fn table(self, partition: &str, size: Sectors) -> Crypt {
        Crypt { size, device: format!("/dev/{partition}"), key: self.key() }
    }

    /// Returns its device, if an earlier run of ours has left one.
    pub(crate) fn left_in(self, observed: &Observed) -> Option<&Mapped> {
        observed.mapped.iter().find(|m| m.name == self.name() && m.uuid.starts_with(UUID_PREFIX))
    }
}

/// Refuses to go on where encryption was asked for and cannot be had: never without it instead.
pub(crate) fn check(options: &Options, observed: &Observed) -> Result<(), Refusal> {
    if !options.encrypt {
        return Ok(());
    }
    if !observed.crypt {
        return Err(Refusal::NoCryptTarget);
    }
    let taken = |m: &&Mapped| Encrypted::ALL.iter().any(|part| part.name() == m.name);
    match observed.mapped.iter().find(taken) {
        Some(mapped) => Err(Refusal::mapped_by_other(mapped)),
        None => Ok(()),
    }
}
