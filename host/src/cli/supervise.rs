//! `ebbtide supervise`: the process that has a VM from its start to the stop of its volumes.

use super::{Context, background};
use ebbtide::{
    Error, Result, VmName,
    engine::qemu::{self, Hooks, How},
    pool::Pool,
    vm::Instance,
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
    #[arg(long, value_parser = instance)]
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

/// Reads the word of an instance.
fn instance(text: &str) -> std::result::Result<Instance, String> {
    let all = [Instance::Kept, Instance::Disposable, Instance::Ready, Instance::Seed];
    all.into_iter().find(|instance| instance.name() == text).ok_or_else(|| "no instance".into())
}

/// Returns the command that supervises a VM.
pub(crate) fn command(pool: &Pool, name: &VmName, how: &How) -> Result<Command> {
    let doing = "find this program to start it again";
    let mut command = Command::new(env::current_exe().map_err(Error::doing(doing))?);
    command.arg("--pool").arg(pool.dir()).args(["--verbose", "supervise", name.as_str()]);
    if let Some(instance) = how.instance {
        command.args(["--instance", instance.name()]);
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
    let Options { name, instance, from, or_cold, ready, args } = options;
    let how = How {
        extra: args.clone(),
        instance: *instance,
        from: from.clone(),
        or_cold: *or_cold,
        ready: *ready,
    };
    // Until there is a log, standard error is somebody's terminal.
    let level = log::max_level();
    log::set_max_level(LevelFilter::Warn);
    let logged = || log::set_max_level(level);
    let pool = context.open()?;
    let stale = |name: &VmName| background::refresh(&pool, name);
    qemu::supervise(&pool, name, &how, asker, Hooks { logged: &logged, stale: &stale })
}

/// Takes whoever started this out of standard output, which nobody else is to write to.
fn asker() -> io::Result<UnixStream> {
    let asker = UnixStream::from(io::stdout().as_fd().try_clone_to_owned()?);
    // Fails where it is no socket.
    asker.peer_addr()?;
    dup2_stdout(OpenOptions::new().write(true).open("/dev/null")?)?;
    Ok(asker)
}
