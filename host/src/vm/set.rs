//! Settings of a VM by their names.

use crate::{
    error::{Error, Refusal, RefusalKind, Result},
    name::VmName,
    pool::Pool,
};

/// The names, each with what it wants.
pub const KEYS: &[(&str, &str)] = &[
    ("memory", "a size: memory of the guest"),
    ("cpus", "a number from 1: processors of the guest"),
    ("network", "none or user"),
    ("cmdline", "the kernel command line; empty for none"),
    ("args", "further arguments of the engine's program, divided by spaces; empty for none"),
    ("keep", "a number: versions of each disk that are kept; empty for the pool's"),
    ("swap", "a size: room for swap on the volatile disk"),
    ("root-cow", "guest or host: who keeps what an AppVM writes to its root (stopped VMs only)"),
    ("template", "the template of an AppVM without a root of its own (stopped VMs only)"),
];

/// Changes a setting. The next start of the VM has it. Returns what was settled on the way.
///
/// # Errors
/// The key or the value is not understood; the VM runs, for settings of disks.
pub fn set(_pool: &Pool, _name: &VmName, _key: &str, _value: &str) -> Result<Vec<String>> {
    Err(Error::Refused(Refusal::new(RefusalKind::Unable, "settings cannot be changed yet")))
}
