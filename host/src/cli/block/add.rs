//! `ebbtide block add`.

use super::target::{By, Target, open};
use crate::cli::{context::said, out, value};
use ebbtide::{Result, vm};

/// Attach a disk, as Xen's toolstack wants it, or print its device
///
/// Called by Xen's toolstack through the script `block-ebbtide`, it finds the disk in the store, and leaves the device there.
/// With an operand, for a hook of libvirt or a script, it prints the device. The first disk of a VM prepares it, the last
/// one that is removed ends that.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The disk; else that which XENBUS_PATH leads to
    #[arg(value_name = "/POOL/VM:VOL", value_parser = |text: &str| text.parse::<Target>().map_err(value::said))]
    target: Option<Target>,
    /// Who has it attached, for `block remove` and for messages
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

pub(super) fn run(options: &Options) -> Result<()> {
    let by = By::of(options.by.as_deref().or(options.target.as_ref().map(|_| "hand")));
    let added = add(options, &by);
    if let (By::Xen(backend), Err(error)) = (&by, &added) {
        backend.failed(&error.chain());
    }
    added
}

fn add(options: &Options, by: &By) -> Result<()> {
    let target = by.target(options.target.as_ref())?;
    let pool = open(&target.pool)?;
    let (settled, disk) = vm::attach(&pool, &target.volume, &by.to_string())?;
    said(&settled);
    match by {
        By::Xen(backend) => backend.connected(&disk.path),
        By::Other(_) => out::line(&disk.path.display().to_string()),
    }
}
