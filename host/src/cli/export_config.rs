//! `ebbtide export-config`.

use super::{Context, out};
use ebbtide::{
    Result, VmName,
    engine::{libvirt, machine, xl},
};

/// Print the configuration of a VM for another engine
///
/// It names the disks that 'vm prepare' makes ready: run that before each start, and 'vm release' when the VM has ended.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The VM or the template
    name: VmName,
    /// For which engine
    #[arg(long, value_enum)]
    format: Format,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Format {
    /// The XML of a domain of libvirt
    Libvirt,
    /// A configuration of Xen's xl
    Xl,
}

pub(crate) fn run(context: &Context, options: &Options) -> Result<()> {
    let pool = context.open()?;
    let vm = pool.vm(&options.name)?;
    let machine = machine::of(&pool, &vm, machine::disks(&pool, &vm)?)?;
    let text = match options.format {
        Format::Libvirt => libvirt::domain(&machine, "kvm")?,
        Format::Xl => xl::config(&machine)?,
    };
    out::text(&text)
}
