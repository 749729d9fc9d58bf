//! `ebbtide run`.

use super::{
    Context, console,
    start::{self, Begun},
};
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
    let (name, ready) = match start::begin(&pool, &options.what)? {
        Begun::Stands(ready) => (ready.name().clone(), Some(ready)),
        Begun::Runs(name) => (name, None),
    };
    // Attached before it runs, so that nothing it says is lost.
    let Status::Running(run) = status(&pool, &pool.vm(&name)?)? else {
        let text = format!("{name} has ended before it ran");
        return Err(Error::Refused(Refusal::new(RefusalKind::Unable, text)));
    };
    let attached = qemu::attach(&name, &run)?;
    let watch = match ready {
        Some(ready) => Some(ready.go()?),
        None => qemu::watch(&run)?,
    };
    console::talk(context, &name, &attached, watch)
}
