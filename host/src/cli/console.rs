//! `ebbtide console`.

use super::{Context, out, stop, terminal};
use ebbtide::{
    Error, Refusal, Result, VmName,
    engine::qemu::{self, Attached, Watch},
    error::RefusalKind,
    vm::{Status, status},
};

/// Attach this terminal to the console of a VM that runs
///
/// Ctrl-] is the key to leave; the machine may run on then.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The VM or the template
    name: VmName,
}

pub(crate) fn run(context: &Context, options: &Options) -> Result<()> {
    let pool = context.open()?;
    let name = &options.name;
    let Status::Running(run) = status(&pool, &pool.vm(name)?)? else {
        let text = format!("{name} does not run, so it has no console");
        let hint = format!("'ebbtide run {name}' starts it with its console here");
        return Err(Error::Refused(Refusal::new(RefusalKind::Rule, text).hint(hint)));
    };
    let attached = qemu::attach(name, &run)?;
    talk(context, name, &attached, qemu::watch(&run)?)
}

/// Connects this terminal to a guest until the person leaves or the VM has ended, and says what became of it.
pub(crate) fn talk(
    context: &Context,
    name: &VmName,
    attached: &Attached,
    watch: Option<Watch>,
) -> Result<()> {
    let press = || {
        if let Some(watch) = &watch {
            watch.power_down();
        }
    };
    match terminal::attach(&attached.stream, &press)? {
        terminal::Left::Detached => {
            out::say(&format!("{name} runs on; 'ebbtide console {name}' attaches again"));
            Ok(())
        }
        terminal::Left::Signal(signal) => {
            terminal::end_by(signal);
            Ok(())
        }
        terminal::Left::Closed => match watch.and_then(|mut watch| watch.ended()) {
            Some(report) => stop::print(context, name, &report, false),
            None => {
                let text = format!("{name} has ended, and nobody was left to stop its volumes");
                Err(Refusal::new(RefusalKind::Unable, text)
                    .hint("the next command for the VM settles what is left")
                    .into())
            }
        },
    }
}
