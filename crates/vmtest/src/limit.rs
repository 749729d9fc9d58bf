//! Time limits; each is multiplied by `EBBTIDE_TIME_SCALE`.
//!
//! Every wait of this crate ends at a [`Deadline`]; none sleeps in a loop.

use std::time::Duration;

pub(crate) use qemu::Deadline;

/// For one boot, to the first answer of the guest.
pub(crate) const BOOT: Duration = Duration::from_secs(180);
/// For one command in the guest.
pub(crate) const COMMAND: Duration = Duration::from_secs(120);
/// For a domain of Xen to boot and to answer one command; less than the command may take that asks it.
pub(crate) const DOMAIN: Duration = Duration::from_secs(90);
/// For a killed process to be gone.
pub(crate) const KILLED: Duration = Duration::from_secs(10);
/// For the rest of a kernel's last words, once it has panicked.
pub(crate) const LAST_WORDS: Duration = Duration::from_secs(3);
