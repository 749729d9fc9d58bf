//! `ebbtide start`.

use super::{Context, out, supervise};
use ebbtide::{
    Result, VmName,
    engine::qemu::{self, How, Ready},
    pool::Pool,
    vm::savestate::source,
};
use std::ffi::OsString;

/// Start a VM or a template in the background
///
/// It returns when the machine runs; 'ebbtide console' shows what it says. What a template writes becomes its new version
/// when it shuts down.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    what: What,
}

/// What is started, by whichever verb.
#[derive(Debug, clap::Args)]
pub(crate) struct What {
    /// The VM or the template
    pub(crate) name: VmName,
    /// Go on from where a machine stood: a savestate, or a snapshot with memory, by its UUID, a beginning of it, or a label
    #[arg(long, value_name = "ID")]
    from: Option<String>,
    /// Further arguments of QEMU
    #[arg(last = true, value_name = "ARGS")]
    args: Vec<OsString>,
}

pub(crate) fn run(context: &Context, options: &Options) -> Result<()> {
    ready(&context.open()?, &options.what)?.go().map(drop)
}

/// Makes a VM ready to run.
pub(crate) fn ready<'a>(pool: &'a Pool, what: &What) -> Result<Ready<'a>> {
    let What { name, from, args } = what;
    // Said here, and not by a process that is started for it.
    pool.vm(name)?;
    let source = from.as_ref().map(|id| source(pool, id)).transpose()?;
    let from = source.map(|source| source.uuid.to_string());
    let how = How { extra: args.clone(), from, ..How::default() };
    qemu::start(pool, name, supervise::command(pool, name, &how)?, &mut out::say)
}
