//! The end of a VM.

use crate::{
    error::{Error, Refusal, RefusalKind, Result},
    name::VmName,
    pool::Pool,
};
use std::path::PathBuf;

/// What a removal came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removed {
    /// What was settled first.
    pub said: Vec<String>,
    /// Files that are not ours, absolute: they stay, and so does their directory.
    pub left: Vec<PathBuf>,
}

/// Removes a VM with all its versions. After its first step the VM is gone, and the next command that makes or removes
/// one goes on where this one was cut.
///
/// # Errors
/// It runs, or is the template of others.
pub fn remove(_pool: &Pool, _name: &VmName) -> Result<Removed> {
    Err(Error::Refused(Refusal::new(RefusalKind::Unable, "VMs cannot be removed yet")))
}
