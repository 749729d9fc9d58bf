//! What lists show of VMs.

use super::{Status, Vm};
use crate::{
    error::{Error, Result},
    name::VolumeName,
    pool::{Pool, driver::State},
    volume::Role,
};

/// A VM as lists show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The VM.
    pub vm: Vm,
    /// Whether it runs.
    pub status: Status,
    /// Whether it runs on another version of its template's root than the current one.
    pub outdated: bool,
    /// Whether something is written to a kept volume that is in no version, and nobody runs it: what a cut left.
    pub uncommitted: bool,
    /// What is found of its volumes, in the order in which they are started, but for the volatile one.
    pub volumes: Vec<(VolumeName, State)>,
}

/// The VMs of a pool as lists show them.
#[derive(Debug, Default)]
pub struct Listing {
    /// By name.
    pub vms: Vec<Listed>,
    /// Why others cannot be shown.
    pub unreadable: Vec<Error>,
}

/// Returns all VMs. Takes no lock; one that is removed meanwhile is left out or is among the unreadable.
///
/// # Errors
/// A directory of the pool cannot be read.
pub fn list(pool: &Pool) -> Result<Listing> {
    let vms = pool.vms()?;
    let mut listing = Listing { vms: Vec::new(), unreadable: vms.unreadable };
    for vm in vms.vms {
        match look(pool, vm) {
            Ok(listed) => listing.vms.push(listed),
            Err(error) => listing.unreadable.push(error),
        }
    }
    Ok(listing)
}

/// Returns what is found of a VM.
///
/// # Errors
/// A file cannot be read.
pub fn look(pool: &Pool, vm: Vm) -> Result<Listed> {
    let status = super::status(pool, &vm)?;
    let mut listed =
        Listed { vm, status, outdated: false, uncommitted: false, volumes: Vec::new() };
    let runs =
        matches!(listed.status, Status::Running(_) | Status::Prepared(_) | Status::Elsewhere(_));
    for name in listed.vm.shown() {
        let volume = listed.vm.volume(pool, &name)?;
        let state = pool.driver().state(&volume)?;
        // A root of its own has left its template's for ever.
        listed.outdated |= matches!(volume.role, Role::Snapshot { .. }) && state.is_outdated();
        listed.uncommitted |= !runs && volume.role.is_kept() && state.dirty.is_some();
        listed.volumes.push((name, state));
    }
    Ok(listed)
}
