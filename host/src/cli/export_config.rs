//! `ebbtide export-config`.

use super::{Context, out};
use ebbtide::{
    Result, VmName,
    engine::{libvirt, machine, xl},
    pool::driver::Given,
};

/// Print the configuration of a VM for another engine
///
/// It names the disks that 'vm prepare' makes ready: run that before each start, and 'vm release' when the VM has ended.
/// For xl and a pool of driver dm it names a block script that does both.
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
    let ready = || machine::of(&pool, &vm, machine::disks(&pool, &vm)?);
    let text = match (options.format, pool.driver().given()) {
        (Format::Libvirt, _) => libvirt::domain(&ready()?, "kvm")?,
        (Format::Xl, Given::File) => xl::config(&ready()?, xl::Disks::Ready)?,
        (Format::Xl, Given::Device) => {
            let volumes = vm.volumes(&pool)?;
            let ids: Vec<_> = volumes.iter().map(|volume| volume.id.clone()).collect();
            let machine = machine::of(&pool, &vm, machine::rights(&vm, &volumes))?;
            xl::config(&machine, xl::Disks::Script(pool.dir(), &ids))?
        }
    };
    out::text(&text)
}
