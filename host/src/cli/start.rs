//! `ebbtide start`.

use super::{Context, out, supervise};
use ebbtide::{
    Result, VmName,
    engine::qemu::{self, Ready},
    pool::Pool,
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
    /// Further arguments of QEMU
    #[arg(last = true, value_name = "ARGS")]
    args: Vec<OsString>,
}

pub(crate) fn run(context: &Context, options: &Options) -> Result<()> {
    ready(&context.open()?, &options.what)?.go().map(drop)
}

/// Makes a VM ready to run.
pub(crate) fn ready<'a>(pool: &'a Pool, what: &What) -> Result<Ready<'a>> {
    let What { name, args } = what;
    // Said here, and not by a process that is started for it.
    pool.vm(name)?;
    qemu::start(pool, name, supervise::command(pool, name, args)?, &mut out::say)
}
