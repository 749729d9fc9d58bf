//! Start and stop: a VM's volumes made ready for an engine, and ended.

use super::{Guard, Run};
use crate::{
    error::{Error, Refusal, RefusalKind, Result},
    name::{VmName, VolumeId},
    pool::{
        Pool,
        driver::{Disk, Ending, Outcome},
    },
};

/// Makes the volumes of a VM ready, in the order `root`, `private`, `volatile`, and writes who runs it. When one fails,
/// those that were made ready are ended again.
///
/// # Errors
/// Names the volume, and what could not be ended again.
pub fn prepare(_pool: &Pool, _guard: &Guard, _run: Run) -> Result<Vec<Disk>> {
    Err(Error::Refused(Refusal::new(RefusalKind::Unable, "VMs cannot be prepared yet")))
}

/// Ends the volumes of a VM whose engine is gone, all of them also when one fails, and forgets who ran it. Repeatable.
///
/// # Errors
/// The first failure; the next command that takes the VM's lock goes on.
pub fn release(_pool: &Pool, _guard: &Guard, _ending: Ending) -> Result<Vec<(VolumeId, Outcome)>> {
    Err(Error::Refused(Refusal::new(RefusalKind::Unable, "VMs cannot be released yet")))
}

/// Makes the next dirty images of a VM, as far as they are missing: for a process in the background. Takes no lock of the
/// VM.
///
/// # Errors
/// The first failure; a start makes what is missing.
pub fn precache(_pool: &Pool, _name: &VmName) -> Result<()> {
    Err(Error::Refused(Refusal::new(RefusalKind::Unable, "next images cannot be made yet")))
}
