//! Clones that a start makes: of a VM that is immutable, or whose run is to leave nothing.

use super::{
    Guard, Record, Vm, copy,
    record::{Ahead, Instance},
    rewrite, sweep,
};
use crate::{
    error::{Error, Refusal, RefusalKind, Result},
    name::VmName,
    pool::Pool,
    vm::Kind,
};
use std::path::Path;

/// Makes the clone that is started in place of a VM, `NAME-inst1` or `NAME-disp1` with the first free number, and returns
/// it with its lock. Of a versioned VM's name it is one of the newest version.
///
/// # Errors
/// The VM is missing, or waits to be removed; [`Instance::Kept`] of one that is not immutable.
pub fn instance(pool: &Pool, name: &VmName, what: Instance) -> Result<Guard> {
    of_versions(pool, name, what, true)
}

/// As [`instance`], for a machine that goes on from another VM's, or an older one: the versions of its disks are not what it
/// will have, and nothing is said of them.
///
/// # Errors
/// As for [`instance`].
pub fn instance_elsewhere(pool: &Pool, name: &VmName, what: Instance) -> Result<Guard> {
    of_versions(pool, name, what, false)
}

fn of_versions(pool: &Pool, name: &VmName, what: Instance, is_told: bool) -> Result<Guard> {
    let lock = pool.lock()?;
    let mut said = sweep::tidy(pool, &lock)?;
    let (from, guard) = copy::settled(pool, name, &mut said)?;
    check(&from, what)?;
    let (new, mut of_disks) = (free_name(pool, name, what)?, Vec::new());
    let adjust = |record: &mut Record| adjust(record, what);
    let (to, held) = copy::make(pool, &from, &new, adjust, &mut of_disks, &lock)?;
    said.extend(of_disks.into_iter().filter(|_| is_told));
    drop(guard);
    Ok(Guard::of_new(to, said, held, "start"))
}

/// Makes one that stood ready an ordinary disposable: somebody has it now. Repeatable. Durable.
///
/// # Errors
/// It is gone, or the pool's lock is not had.
pub fn becomes_disposable(pool: &Pool, name: &VmName) -> Result<()> {
    let lock = pool.lock()?;
    let mut vm = pool.vm(name)?;
    vm.record.flags.instance = Some(Instance::Disposable);
    vm.record.flags.internal = false;
    rewrite(pool, &vm, &lock)
}

/// Refuses what no clone is started for.
fn check(from: &Vm, what: Instance) -> Result<(), Refusal> {
    let name = &from.name;
    // One that goes when it stops may have others beside it until then.
    let is_going = from.record.flags.volatile
        && from.record.flags.instance.is_none_or(|instance| instance == Instance::Kept);
    if is_going {
        let text = format!("{name} is to be removed; nothing is started of it any more");
        return Err(Refusal::new(RefusalKind::Rule, text)
            .hint(format!("'ebbtide vm set {name} volatile=no' keeps it")));
    }
    if what == Instance::Kept && !from.record.flags.immutable {
        let text = format!("{name} is not immutable: it is started itself, and not a clone of it");
        return Err(Refusal::new(RefusalKind::Rule, text));
    }
    Ok(())
}

fn adjust(record: &mut Record, what: Instance) {
    record.ahead = Ahead::default();
    record.flags.instance = Some(what);
    // Its lock is held until it runs, so nobody takes it for one that has ended.
    record.flags.volatile = what != Instance::Kept;
    record.flags.internal = matches!(what, Instance::Ready | Instance::Seed);
}

/// Returns the first name of an instance that nobody has.
fn free_name(pool: &Pool, name: &VmName, what: Instance) -> Result<VmName> {
    for number in 1..u64::MAX {
        let free: VmName = format!("{name}{}{number}", what.suffix()).parse()?;
        let mut is_taken = false;
        for kind in [Kind::Template, Kind::AppVm] {
            is_taken |= sweep::is_there(pool, &Path::new(kind.directory()).join(&free))?;
        }
        if !is_taken {
            return Ok(free);
        }
    }
    Err(Error::from(Refusal::new(RefusalKind::Exists, format!("{name} has too many instances"))))
}
