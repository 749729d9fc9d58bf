//! Finds every inconsistency of a pool and names it.
//!
//! In: a pool, which is only read. Out: a [`Report`]. [`observe`](observe::observe) turns the tree into plain data,
//! [`find`](find::find) decides what is wrong with it, and [`repair`](super::repair) mends what can be mended without
//! a decision.

pub mod find;
mod mapped;
pub mod observe;
pub mod problem;
pub mod seen;
mod snapshots;
mod vms;
mod volumes;

pub use problem::{Finding, Problem, Remedy, Severity};

use super::Pool;
use crate::{error::Result, name::VmName};
use seen::Life;

/// The record of a VM that is being removed.
pub(crate) const REMOVING: &str = "vm.toml.removing";

/// What a check came to.
#[derive(Debug, Clone)]
pub struct Report {
    /// What was found, in the order of the paths.
    pub findings: Vec<Finding>,
    /// How many directories of VMs were looked at.
    pub vms: usize,
    /// VMs that are used: of these only what a run does not change was looked at.
    pub in_use: Vec<VmName>,
}

impl Report {
    /// Returns whether there is nothing but notes.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity() == Severity::Note)
    }
}

/// Looks at a pool. Takes no lock and changes nothing; may run beside everything else.
///
/// # Errors
/// A directory that cannot be read. What is wrong with the pool is no error, but in the report.
pub fn check(pool: &Pool) -> Result<Report> {
    let seen = observe::observe(pool)?;
    let in_use = seen.vms.iter().filter(|vm| vm.life == Life::InUse);
    Ok(Report {
        findings: find::find(&seen),
        vms: seen.vms.len(),
        in_use: in_use.filter_map(seen::SeenVm::name).collect(),
    })
}
