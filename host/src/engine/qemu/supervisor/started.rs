//! A run is begun: a VM, or a clone that is made for it, and a QEMU whose machine stands still, or nothing of both.

use super::{Hooks, Started};
use crate::{
    engine::qemu::{
        begin::{Begun, How, begin},
        control::Control,
        news::News,
        runtime::Runtime,
    },
    error::{Error, Refusal, RefusalKind, Result},
    name::VmName,
    pool::{Pool, store::Inode},
    vm::{self, Allow, Guard, Vm},
};
use nix::unistd::dup2_stderr;
use std::fs::File;

impl<'a> Started<'a> {
    /// Makes everything ready up to a machine that stands still. When something fails, nothing of it is left.
    pub(super) fn new(
        pool: &'a Pool,
        name: &VmName,
        how: &How,
        control: &Control,
        hooks: Hooks<'_>,
    ) -> Result<Self> {
        let guard = match how.instance {
            // A hot savestate is of the VM's versions.
            Some(instance) if how.from.is_none() || how.or_cold || how.ready => {
                vm::instance(pool, name, instance)?
            }
            Some(instance) => vm::instance_elsewhere(pool, name, instance)?,
            None => Guard::take(pool, name, "start", Allow::Stopped)?,
        };
        control.tell(&News::Named(guard.vm().name.clone()));
        for sentence in guard.said() {
            control.tell(&News::Said(sentence.clone()));
        }
        match Self::begin(pool, &guard, how, control, hooks) {
            Ok((runtime, begun)) => {
                let (is_ready, has_stood) = (how.ready, false);
                Ok(Self { pool, guard, runtime, begun, is_ready, has_stood })
            }
            Err(error) => {
                if how.instance.is_some() {
                    give_back(pool, guard);
                }
                Err(error)
            }
        }
    }

    fn begin(
        pool: &Pool,
        guard: &Guard,
        how: &How,
        control: &Control,
        hooks: Hooks<'_>,
    ) -> Result<(Runtime, Begun)> {
        let runtime = Runtime::make(identity(pool, guard.vm())?)?;
        let begun = open_log(&runtime)
            .map(|()| (hooks.logged)())
            .and_then(|()| control.listen(&runtime.supervisor()))
            .and_then(|()| {
                let mut say = |sentence: String| {
                    log::warn!("{sentence}");
                    control.tell(&News::Said(sentence));
                };
                begin(pool, guard, &runtime, how, hooks.stale, &mut say)
            });
        match begun {
            Ok(begun) => Ok((runtime, begun)),
            Err(error) => {
                if let Err(error) = runtime.remove() {
                    log::warn!("{error}");
                }
                Err(error)
            }
        }
    }
}

/// Removes a clone that was made for a start that has failed.
fn give_back(pool: &Pool, guard: Guard) {
    let name = guard.vm().name.clone();
    drop(guard);
    if let Err(error) = vm::remove(pool, &name) {
        log::warn!("{name} was made for this start, and stays: {}", error.chain());
    }
}

/// Returns which directory the VM's is.
pub(super) fn identity(pool: &Pool, vm: &Vm) -> Result<Inode> {
    let dir = &vm.dir;
    let found =
        pool.store().stat(dir).map_err(Error::doing(format!("look at {}", dir.display())))?;
    found.map(|found| found.inode).ok_or_else(|| {
        Refusal::new(RefusalKind::Missing, format!("{} is not there", dir.display())).into()
    })
}

/// Makes standard error the run's log.
fn open_log(runtime: &Runtime) -> Result<()> {
    let path = runtime.log();
    let doing = || format!("make log {}", path.display());
    let file = File::create_new(&path).map_err(Error::doing(doing()))?;
    dup2_stderr(&file).map_err(|errno| Error::doing(doing())(errno.into()))
}
