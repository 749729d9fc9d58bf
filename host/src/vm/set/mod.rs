//! Settings of a VM by their names.

mod engine;
mod place;

pub(super) use engine::check_engine;

use super::{
    Allow, Guard, Kind, Vm,
    lineage::Lineage,
    record::{Record, RootCow},
    rewrite, savestate, sweep, versioning,
};
use crate::{
    error::{Refusal, RefusalKind, Result},
    name::VmName,
    near,
    pool::Pool,
};
use ebbtide_format::units::Bytes;
use std::str::FromStr;

/// The names, each with what it wants.
pub const KEYS: &[(&str, &str)] = &[
    ("memory", "a size: memory of the guest"),
    ("cpus", "a number from 1: processors of the guest"),
    ("network", "none or user"),
    ("cmdline", "the kernel command line; empty for that of the template, or for none"),
    (
        "args",
        "further arguments of the engine, divided by spaces outside of quotes; empty for none",
    ),
    ("keep", "a number: versions of each disk that are kept; empty for the pool's"),
    ("swap", "a size: room for swap on the volatile disk"),
    ("root-cow", "guest or host: who keeps what an AppVM writes to its root (stopped VMs only)"),
    ("template", "the template of an AppVM without a root of its own (stopped VMs only)"),
    ("base", "the VM that it counts as a linked clone of; empty for none"),
    (
        "immutable",
        "yes or no: its disks never change, a start is that of a clone (stopped VMs only)",
    ),
    ("volatile", "yes or no: it is removed as soon as nothing refers to it"),
    ("internal", "yes or no: lists leave it out"),
    ("versioned", "auto, manual or no: it becomes NAME-next, and NAME means its newest version"),
    ("history", "yes or no: whether older versions of a versioned VM stay"),
    ("hot", "agent, seconds such as 30s, or no: when its hot savestate is taken after a start"),
    ("ready", "a number: disposables that are resumed ahead; wants hot"),
];

/// Changes settings, all or none. The next start of the VM has them. Returns what was settled on the way.
///
/// # Errors
/// A key or a value is not understood; the VM runs, for settings of disks; something refers to it that forbids the change.
pub fn set<S: AsRef<str>>(pool: &Pool, name: &VmName, settings: &[(S, S)]) -> Result<Vec<String>> {
    let settings: Vec<_> =
        settings.iter().map(|(key, value)| (key.as_ref(), value.as_ref())).collect();
    let lock = pool.lock()?;
    let mut said = Vec::new();
    let found = versioning::itself(pool, name)?;
    let of_stopped = settings.iter().find(|(key, value)| is_of_stopped(&found, key, value));
    let guard = match of_stopped {
        Some((key, _)) => Some(Guard::take(pool, name, &format!("set {key}"), Allow::Stopped)?),
        None => None,
    };
    said.extend(guard.iter().flat_map(|guard| guard.said().to_vec()));
    // What was settled may have changed its record.
    let before = versioning::itself(pool, name)?;
    let mut vm = before.clone();
    for (key, value) in &settings {
        change(&mut vm, key, value)?;
    }
    place::check(pool, &before, &vm, &Lineage::look(pool)?)?;
    match &vm.record.template {
        Some(template) if before.record.template != vm.record.template => {
            new_template(pool, template)?;
        }
        Some(template) if guard.is_some() => drop(is_template(pool, template)?),
        _ => {}
    }
    let begins = before.record.versioned.is_none() && vm.record.versioned.is_some();
    let ends = before.record.versioned.is_some() && vm.record.versioned.is_none();
    if begins {
        versioning::check(pool, &vm, &lock)?;
    }
    if ends {
        versioning::check_end(pool, &vm)?;
        // It has its old name before it is none any more.
        vm.record.versioned = before.record.versioned;
    }
    if vm.record.ahead.hot.is_some() && before.record.ahead.hot.is_none() {
        savestate::check(pool, &vm)?;
    }
    if vm != before {
        rewrite(pool, &vm, &lock)?;
    }
    if before.record.ahead.hot.is_some() && vm.record.ahead.hot.is_none() {
        savestate::remove_hot(pool, vm.record.uuid, &lock)?;
    }
    drop(guard);
    if begins {
        said.extend(versioning::begin(pool, name, &lock)?);
    }
    if ends {
        said.extend(versioning::end(pool, name, &lock)?);
    }
    said.extend(sweep::tidy(pool, &lock)?);
    Ok(said)
}

/// Returns whether a setting is one that no engine may look at meanwhile: of what disks a VM has, and of its name.
fn is_of_stopped(vm: &Vm, key: &str, value: &str) -> bool {
    match key {
        "root-cow" | "template" | "immutable" => true,
        "versioned" => (value == "no") == vm.record.versioned.is_some(),
        _ => false,
    }
}

/// Returns the template of that name.
pub(super) fn is_template(pool: &Pool, name: &VmName) -> Result<Vm> {
    let vm = pool.vm(name)?;
    if vm.record.kind != Kind::Template {
        let text = format!("{name} is an AppVM; wanted a template");
        return Err(Refusal::new(RefusalKind::Rule, text)
            .hint("'ebbtide template list' shows templates, 'ebbtide vm clone' copies a VM")
            .into());
    }
    Ok(vm)
}

/// Returns the template of that name, from which something new may boot.
pub(super) fn new_template(pool: &Pool, name: &VmName) -> Result<Vm> {
    let template = is_template(pool, name)?;
    if !template.record.flags.volatile {
        return Ok(template);
    }
    let text = format!("{} is to be removed; wanted a template that stays", template.name);
    Err(Refusal::new(RefusalKind::Rule, text)
        .hint(format!("'ebbtide vm set {} volatile=no' keeps it", template.name))
        .into())
}

/// Changes a record.
fn change(vm: &mut Vm, key: &str, value: &str) -> Result<(), Refusal> {
    let record: &mut Record = &mut vm.record;
    if engine::change(&mut record.engine, key, value)?.is_some()
        || place::change(record, key, value)?.is_some()
    {
        return Ok(());
    }
    match key {
        "keep" if value.is_empty() => record.keep = None,
        "keep" => record.keep = Some(number(key, value)?),
        "swap" => record.volatile.swap = size(key, value)?,
        "root-cow" => {
            app_vm(record.kind, &vm.name, key)?;
            record.root.cow = match value {
                "guest" => RootCow::Guest,
                "host" => RootCow::Host,
                _ => return Err(invalid(key, value, "guest or host")),
            }
        }
        "template" => {
            app_vm(record.kind, &vm.name, key)?;
            if record.root.own {
                let text = format!(
                    "{} has a root of its own, which began as a version of its template",
                    vm.name
                );
                return Err(Refusal::new(RefusalKind::Rule, text)
                    .hint("make a new AppVM of the other template"));
            }
            record.template = Some(value.parse()?);
        }
        _ => return Err(unknown(key)),
    }
    Ok(())
}

fn unknown(key: &str) -> Refusal {
    let names: Vec<&str> = KEYS.iter().map(|(name, _)| *name).collect();
    let refusal = Refusal::new(
        RefusalKind::Invalid,
        format!("there is no setting {key:?}; wanted one of {}", names.join(", ")),
    );
    let near = near::nearest(key, names.iter().copied());
    match key {
        "private.size" | "private" | "size" => {
            refusal.hint("'ebbtide volume resize VM:private SIZE' makes a disk larger")
        }
        _ if near.is_empty() => refusal,
        _ => refusal.hint(format!("is it {}?", near.join(" or "))),
    }
}

fn app_vm(kind: Kind, name: &VmName, key: &str) -> Result<(), Refusal> {
    match kind {
        Kind::AppVm => Ok(()),
        Kind::Template => Err(Refusal::new(
            RefusalKind::Rule,
            format!("{name} is a template, and {key} is a setting of AppVMs"),
        )),
    }
}

fn invalid(key: &str, value: &str, wanted: &str) -> Refusal {
    Refusal::new(RefusalKind::Invalid, format!("{key}: wanted {wanted}, found {value:?}"))
}

fn number<T: FromStr>(key: &str, value: &str) -> Result<T, Refusal> {
    value.parse().map_err(|_| invalid(key, value, "a number"))
}

fn size(key: &str, value: &str) -> Result<Bytes, Refusal> {
    Bytes::parse(value).ok_or_else(|| invalid(key, value, "a size such as 2G"))
}

fn yes(key: &str, value: &str) -> Result<bool, Refusal> {
    match value {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err(invalid(key, value, "yes or no")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vm(kind: Kind) -> Vm {
        let template = (kind == Kind::AppVm).then(|| "debian".parse().unwrap());
        Vm {
            name: "work".parse().unwrap(),
            dir: "appvms/work".into(),
            record: Record::new(kind, template),
        }
    }

    #[test]
    fn every_key_that_is_listed_can_be_set() {
        let values = [
            "1G",
            "2",
            "user",
            "root=/dev/vda quiet",
            "-vga none",
            "5",
            "0",
            "host",
            "x",
            "y",
            "yes",
            "yes",
            "yes",
            "auto",
            "yes",
            "30s",
            "2",
        ];
        assert_eq!(KEYS.len(), values.len());
        let before = vm(Kind::AppVm);
        for ((key, _), value) in KEYS.iter().zip(values) {
            let mut changed = before.clone();
            // History is one of a versioned VM.
            changed.record.versioned = (*key == "history").then(Default::default);
            let old = changed.clone();
            change(&mut changed, key, value).unwrap();
            assert_ne!(changed, old, "{key}");
        }
    }

    #[test]
    fn an_unknown_key_names_near_ones() {
        let refused = change(&mut vm(Kind::AppVm), "memroy", "1G").unwrap_err();
        assert_eq!(refused.hint.as_deref(), Some("is it memory?"));
        let refused = change(&mut vm(Kind::AppVm), "private.size", "1G").unwrap_err();
        assert!(refused.hint.unwrap().contains("resize"));
    }

    #[test]
    fn names_what_was_wanted_and_found() {
        for (key, value, wanted) in [
            ("memory", "lots", "a size"),
            ("memory", "1K", "1M"),
            ("cpus", "0", "from 1"),
            ("cpus", "-1", "a number"),
            ("network", "bridge", "none or user"),
            ("root-cow", "both", "guest or host"),
            ("template", "a/../x", "slash"),
            ("cmdline", "a\nb", "one line"),
            ("args", "-name 'a", "quote"),
        ] {
            let mut changed = vm(Kind::AppVm);
            let refused = change(&mut changed, key, value).unwrap_err();
            assert!(refused.text.contains(wanted), "{refused}");
            assert_eq!(refused.kind, RefusalKind::Invalid, "{refused}");
        }
    }

    #[test]
    fn a_root_of_its_own_keeps_its_template() {
        let mut own = vm(Kind::AppVm);
        own.record.root.own = true;
        assert_eq!(change(&mut own, "template", "other").unwrap_err().kind, RefusalKind::Rule);
        let refused = change(&mut vm(Kind::Template), "template", "other").unwrap_err();
        assert_eq!(refused.kind, RefusalKind::Rule);
    }
}
