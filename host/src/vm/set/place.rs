//! Settings of a VM's place among others.

use super::{invalid, number, yes};
use crate::{
    error::{Refusal, RefusalKind, Result},
    pool::Pool,
    vm::{
        Reference, Vm,
        lineage::{Lineage, sentence},
        record::{Instance, Record, Versioned},
        versioning,
    },
};

/// Changes one of them; `None` for a key that is none of these.
pub(super) fn change(record: &mut Record, key: &str, value: &str) -> Result<Option<()>, Refusal> {
    let flags = &mut record.flags;
    match key {
        "base" => record.base = if value.is_empty() { None } else { Some(value.parse()?) },
        "immutable" => flags.immutable = yes(key, value)?,
        "volatile" => flags.volatile = yes(key, value)?,
        "internal" => flags.internal = yes(key, value)?,
        "versioned" => {
            let how = record.versioned.unwrap_or_default();
            record.versioned = match value {
                "auto" => Some(Versioned { manual: false, ..how }),
                "manual" => Some(Versioned { manual: true, ..how }),
                "no" => None,
                _ => return Err(invalid(key, value, "auto, manual or no")),
            }
        }
        "history" => match &mut record.versioned {
            Some(how) => how.history = yes(key, value)?,
            None => {
                yes(key, value)?;
                let text = "history is a setting of versioned VMs, and this VM is none";
                return Err(Refusal::new(RefusalKind::Rule, text)
                    .hint("give 'versioned=auto' or 'versioned=manual' before it"));
            }
        },
        "hot" if value == "no" => record.ahead.hot = None,
        "hot" => {
            let wanted = "agent, seconds such as 30s, or no";
            record.ahead.hot = Some(value.parse().map_err(|()| invalid(key, value, wanted))?);
        }
        "ready" => record.ahead.ready = number(key, value)?,
        _ => return Ok(None),
    }
    Ok(Some(()))
}

/// Refuses a change that others forbid. The pool is locked.
pub(super) fn check(pool: &Pool, before: &Vm, after: &Vm, lineage: &Lineage) -> Result<()> {
    let (old, new) = (&before.record.flags, &after.record.flags);
    let name = &after.name;
    if after.record.base != before.record.base
        && let Some(base) = &after.record.base
    {
        lineage.check_base(after, base)?;
    }
    if old.immutable && !new.immutable {
        may_change(before, lineage)?;
    }
    if old.immutable && new.immutable {
        let disks = |vm: &Vm| (vm.record.template.clone(), vm.record.root);
        if disks(before) != disks(after) {
            before.changeable()?;
        }
    }
    if new.immutable && !old.immutable {
        let rule = |text: String| Refusal::new(RefusalKind::Rule, text);
        if before.record.versioned.is_some() {
            Err(rule(format!(
                "{name} is worked on, and versions are made of it: it cannot be immutable"
            )))?;
        }
        if let Some(volume) = versioning::has_uncommitted(pool, before)? {
            return Err(versioning::uncommitted(&volume).into());
        }
    }
    let ahead = after.record.ahead;
    if ahead.ready > 0 && ahead.hot.is_none() {
        let text = format!(
            "without hot savestates of {name}, {} disposables cannot be resumed ahead",
            ahead.ready
        );
        let hint = match before.record.ahead.hot {
            Some(_) => format!("'ebbtide vm set {name} ready=0 hot=no' ends both"),
            None => format!(
                "'ebbtide vm set {name} hot=30s ready={}' makes one of a machine that has run for 30 s",
                ahead.ready
            ),
        };
        return Err(Refusal::new(RefusalKind::Rule, text).hint(hint).into());
    }
    Ok(())
}

/// Refuses to make a VM changeable while something needs it to be what it is.
fn may_change(vm: &Vm, lineage: &Lineage) -> Result<(), Refusal> {
    let name = &vm.name;
    if let Some(of) = &vm.record.flags.version_of {
        let text = format!("{name} is a version of {of}, and versions do not change");
        return Err(Refusal::new(RefusalKind::Rule, text)
            .hint(format!("'ebbtide vm clone {name} NAME' makes a VM of it that does")));
    }
    let needs = |reference: &Reference| {
        matches!(reference, Reference::Instance(_) | Reference::Savestate(_))
    };
    let references: Vec<_> = lineage.references(vm).into_iter().filter(needs).collect();
    match references.as_slice() {
        [] => Ok(()),
        references => {
            let text = format!("{name} has to stay immutable: {}", sentence(references));
            let is_ready = |start| lineage.instance(start) == Some(Instance::Ready);
            let hint = match &references[0] {
                Reference::Instance(start) if is_ready(start) => {
                    format!("'ebbtide vm set {name} ready=0' has none stand ready")
                }
                other => other.end(),
            };
            Err(Refusal::new(RefusalKind::Busy, text).hint(hint))
        }
    }
}
