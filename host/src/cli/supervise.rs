//! `ebbtide supervise`: the process that has a VM from its start to the stop of its volumes.

use super::{Context, background};
use clap::ValueEnum;
use ebbtide::{
    Error, Result, VmName,
    engine::qemu::{self, Hooks, How, Wanted},
    pool::Pool,
    vm,
};
use log::LevelFilter;
use nix::unistd::{dup2_stdout, setsid};
use std::{
    env,
    ffi::OsString,
    fs::OpenOptions,
    io,
    os::{fd::AsFd as _, unix::net::UnixStream},
    process::Command,
};

/// Run a VM, for who started this process
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The VM
    name: VmName,
    /// Run a clone of it
    #[arg(long, value_enum)]
    instance: Option<Instance>,
    /// What its machine goes on from
    #[arg(long, value_name = "ID")]
    from: Option<String>,
    /// Start from the beginning where it cannot
    #[arg(long, requires = "from")]
    or_cold: bool,
    /// Have it stand still until somebody wants it
    #[arg(long)]
    ready: bool,
    /// Further arguments of QEMU
    #[arg(last = true)]
    args: Vec<OsString>,
}

/// Which clone is made for a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Instance {
    /// NAME-instN, of an immutable VM
    Kept,
    /// NAME-dispN, gone when it stops
    Disposable,
    /// NAME-seedN, of which a hot savestate is taken
    Seed,
}

/// Returns the command that supervises a VM, or a clone of it.
pub(crate) fn command(
    pool: &Pool,
    name: &VmName,
    instance: Option<Instance>,
    how: &How,
) -> Result<Command> {
    let doing = "find this program to start it again";
    let mut command = Command::new(env::current_exe().map_err(Error::doing(doing))?);
    command.arg("--pool").arg(pool.dir()).args(["--verbose", "supervise", name.as_str()]);
    if let Some(value) = instance.and_then(|instance| instance.to_possible_value()) {
        command.args(["--instance", value.get_name()]);
    }
    if let Some(from) = &how.from {
        command.arg("--from").arg(from);
    }
    let flags = [(how.or_cold, "--or-cold"), (how.ready, "--ready")];
    command.args(flags.iter().filter(|(is_wanted, _)| *is_wanted).map(|(_, flag)| flag));
    command.arg("--").args(&how.extra);
    Ok(command)
}

pub(crate) fn run(context: &Context, options: &Options) -> Result<()> {
    // Out of the terminal's reach. Started by hand it leads a group, and stays where it is.
    let _ = setsid();
    let asker = asker().map_err(Error::doing("talk to who started this"))?;
    let instance = options.instance.map(|instance| match instance {
        Instance::Kept => vm::Instance::Kept,
        Instance::Disposable => vm::Instance::Disposable,
        Instance::Seed => vm::Instance::Seed,
    });
    let Options { from, or_cold, ready, args, .. } = options;
    let how = How { extra: args.clone(), from: from.clone(), or_cold: *or_cold, ready: *ready };
    let wanted = Wanted { name: options.name.clone(), instance };
    // Until there is a log, standard error is somebody's terminal.
    let level = log::max_level();
    log::set_max_level(LevelFilter::Warn);
    let logged = || log::set_max_level(level);
    let pool = context.open()?;
    let stale = |name: &VmName| background::refresh(&pool, name);
    qemu::supervise(&pool, &wanted, &how, asker, Hooks { logged: &logged, stale: &stale })
}

/// Takes whoever started this out of standard output, which nobody else is to write to.
fn asker() -> io::Result<UnixStream> {
    let asker = UnixStream::from(io::stdout().as_fd().try_clone_to_owned()?);
    // Fails where it is no socket.
    asker.peer_addr()?;
    dup2_stdout(OpenOptions::new().write(true).open("/dev/null")?)?;
    Ok(asker)
}
