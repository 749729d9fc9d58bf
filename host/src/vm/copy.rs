//! A VM with the disks of another one.

use super::{Allow, Guard, Vm, aside::Aside, make::free, record, sweep};
use crate::{
    error::{Error, Refusal, RefusalKind, Result},
    name::VmName,
    pool::{
        Pool,
        step::{self, Step},
        store::Unseen,
    },
};
use jiff::Timestamp;
use std::path::Path;
use uuid::Uuid;

/// Makes a VM with the disks and the settings of another one, copying no disk. Of a VM that runs it is the last version
/// of each, all of one instant. Returns what is to be said about that. Kept versions and their pins are not its.
///
/// # Errors
/// The name is taken; the other one is missing.
pub fn clone(pool: &Pool, source: &VmName, name: &VmName) -> Result<Vec<String>> {
    // A release has the pool locked too, so the versions are of one instant.
    let lock = pool.lock()?;
    let mut said = sweep::asides(pool, &lock)?;
    let guard = match Guard::take(pool, source, "clone", Allow::Prepared) {
        Err(Error::Refused(Refusal { kind: RefusalKind::Busy, .. })) => None,
        guard => Some(guard?),
    };
    said.extend(guard.iter().flat_map(|guard| guard.said().to_vec()));
    let from = pool.vm(source)?;
    let mut record = from.record.clone();
    record.uuid = Uuid::new_v4();
    record.created = Timestamp::now();
    record.pins.clear();
    let target = Path::new(record.kind.directory()).join(name);
    free(pool, name, &target, &lock)?;
    let aside = Aside::begin(pool, &target, &lock)?;
    let to = Vm { name: name.clone(), dir: aside.dir.clone(), record };
    let made = fill(pool, &from, &to, &mut said)
        .and_then(|()| to.record.print())
        .and_then(|text| aside.finish(pool.store(), record::FILE, text, &lock));
    if made.is_err() {
        aside.discard(pool);
    }
    made.map(|()| said)
}

/// Gives the new VM the versions of the other one, and its kernel.
fn fill(pool: &Pool, from: &Vm, to: &Vm, said: &mut Vec<String>) -> Result<()> {
    for name in from.shown() {
        let (old, new) = (from.volume(pool, &name)?, to.volume(pool, &name)?);
        if !old.role.is_kept() {
            continue;
        }
        let state = pool.driver().state(&old)?;
        if state.current.is_some() {
            pool.driver().adopt_version(&old, &new)?;
        }
        if state.dirty.is_some() {
            said.push(format!(
                "{} has the last version of {}: what is written to that and not committed is not in it",
                to.name, old.id
            ));
        }
    }
    for name in ["kernel", "initrd"] {
        let (old, new) = (from.dir.join(name), to.dir.join(name));
        if sweep::is_there(pool, &old)? {
            let steps = [Step::CloneImage { from: old, to: new.clone() }, Step::SyncFile(new)];
            step::apply(&steps, pool.store(), &mut Unseen)?;
        }
    }
    Ok(())
}
