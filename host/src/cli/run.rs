//! `ebbtide run`.

use super::{Context, console, start};
use ebbtide::{
    Error, Refusal, Result,
    engine::qemu,
    error::RefusalKind,
    vm::{Status, status},
};

/// Start a VM or a template, with its console in this terminal
///
/// Ctrl-] is the key to leave; the machine may run on then.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    what: start::What,
}

pub(crate) fn run(context: &Context, options: &Options) -> Result<()> {
    let pool = context.open()?;
    let ready = start::ready(&pool, &options.what)?;
    let name = &ready.name().clone();
    // Attached before it runs, so that nothing it says is lost.
    let Status::Running(run) = status(&pool, &pool.vm(name)?)? else {
        let text = format!("{name} has ended before it ran");
        return Err(Error::Refused(Refusal::new(RefusalKind::Unable, text)));
    };
    let attached = qemu::attach(name, &run)?;
    console::talk(context, name, &attached, Some(ready.go()?))
}
