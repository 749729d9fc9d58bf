//! `ebbtide start`.

use super::{Context, background, out, supervise};
use ebbtide::{
    Result, VmName,
    engine::qemu::{self, How, Ready},
    pool::Pool,
    vm::{
        Instance, Vm,
        savestate::{hot_of, source},
    },
};
use serde::Serialize;
use std::ffi::OsString;
use uuid::Uuid;

/// Start a VM or a template in the background
///
/// It returns when the machine runs; 'ebbtide console' shows what it says. What a template writes becomes its new version
/// when it shuts down. Of an immutable VM, and with --disposable, it is a clone that is started; its name is printed.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    what: What,
}

/// The clone that was started.
#[derive(Debug, Serialize)]
struct Started<'a> {
    name: &'a VmName,
}

/// What is started, by whichever verb.
#[derive(Debug, clap::Args)]
pub(crate) struct What {
    /// The VM or the template
    pub(crate) name: VmName,
    /// Start a clone, NAME-dispN, that is gone with all that it wrote when it stops
    #[arg(long)]
    disposable: bool,
    /// Go on from where a machine stood, with what its disks had then: a savestate, or a snapshot with memory, by its UUID, a
    /// beginning of it, or a label
    #[arg(long, value_name = "ID")]
    from: Option<String>,
    /// Further arguments of QEMU
    #[arg(last = true, value_name = "ARGS")]
    args: Vec<OsString>,
}

pub(crate) fn run(context: &Context, options: &Options) -> Result<()> {
    let pool = context.open()?;
    let name = match begin(&pool, &options.what)? {
        Begun::Stands(ready) => {
            let name = ready.name().clone();
            ready.go()?;
            name
        }
        Begun::Runs(name) => name,
    };
    match name == options.what.name {
        true => Ok(()),
        false if context.json => out::json(&Started { name: &name }),
        false => out::line(name.as_str()),
    }
}

/// A machine that has begun.
pub(crate) enum Begun<'a> {
    /// It waits for the word.
    Stands(Ready<'a>),
    /// It stood ready before, and runs.
    Runs(VmName),
}

/// Begins a VM, or the clone that is run in its place.
pub(crate) fn begin<'a>(pool: &'a Pool, what: &What) -> Result<Begun<'a>> {
    let What { name, disposable, from, args } = what;
    // Said here, and not by a process that is started for it.
    let vm = pool.vm(name)?;
    // Machines that stand ready have begun without further arguments.
    if *disposable && from.is_none() && args.is_empty() && vm.record.ahead().ready > 0 {
        let handed = qemu::take_ready(pool, &vm)?;
        handed.failed.iter().for_each(|sentence| out::say(sentence));
        background::refresh(pool, &vm.name);
        if let Some(name) = handed.name {
            return Ok(Begun::Runs(name));
        }
    }
    let instance = match (disposable, vm.record.flags.immutable) {
        (true, _) => Some(Instance::Disposable),
        (false, true) => Some(Instance::Kept),
        (false, false) => None,
    };
    let uuid = match from {
        Some(id) => Some(source(pool, id)?.uuid),
        None if *disposable => hot(pool, &vm)?,
        None => None,
    };
    let how = How {
        extra: args.clone(),
        instance,
        // A hot one that does not fit costs time and nothing else.
        or_cold: from.is_none() && uuid.is_some(),
        from: uuid.map(|id| id.to_string()),
        ..How::default()
    };
    let command = supervise::command(pool, name, &how)?;
    qemu::start(pool, name, command, &mut out::say).map(Begun::Stands)
}

/// Returns the savestate from which disposables of a VM go on, and says when it should have one and has none.
fn hot(pool: &Pool, vm: &Vm) -> Result<Option<Uuid>> {
    if vm.record.ahead().hot.is_none() {
        return Ok(None);
    }
    let found = hot_of(pool, vm)?.map(|savestate| savestate.uuid);
    if found.is_none() {
        let name = &vm.name;
        out::say(&format!(
            "{name} has no hot savestate of its current versions yet: this one starts from the beginning"
        ));
    }
    Ok(found)
}
