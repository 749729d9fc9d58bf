//! Settings of a VM by their names.

use super::{
    Allow, Guard, Kind, Vm,
    record::{Engine, Network, Record, RootCow},
    rewrite,
};
use crate::{
    error::{Refusal, RefusalKind, Result},
    name::VmName,
    near,
    pool::Pool,
};
use ebbtide_format::units::Bytes;

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
];

/// Changes settings, all or none. The next start of the VM has them. Returns what was settled on the way.
///
/// # Errors
/// A key or a value is not understood; the VM runs, for settings of disks.
pub fn set<S: AsRef<str>>(pool: &Pool, name: &VmName, settings: &[(S, S)]) -> Result<Vec<String>> {
    let lock = pool.lock()?;
    let of_disks = settings.iter().map(|(key, _)| key.as_ref()).find(|key| is_of_disks(key));
    let guard = match of_disks {
        Some(key) => Some(Guard::take(pool, name, &format!("set {key}"), Allow::Stopped)?),
        None => None,
    };
    let mut vm = pool.vm(name)?;
    for (key, value) in settings {
        change(&mut vm, key.as_ref(), value.as_ref())?;
    }
    if let (true, Some(template)) = (guard.is_some(), &vm.record.template) {
        is_template(pool, template)?;
    }
    rewrite(pool, &vm, &lock)?;
    Ok(guard.map_or_else(Vec::new, |guard| guard.said().to_vec()))
}

/// Returns whether a setting is one of what disks a VM has, which no engine may have opened.
fn is_of_disks(key: &str) -> bool {
    matches!(key, "root-cow" | "template")
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

/// Changes a record.
fn change(vm: &mut Vm, key: &str, value: &str) -> Result<(), Refusal> {
    let record: &mut Record = &mut vm.record;
    match key {
        "memory" => record.engine.memory = memory(value)?,
        "cpus" => {
            record.engine.cpus = number(key, value).and_then(|cpus| match cpus {
                0 => Err(invalid(key, value, "a number from 1")),
                cpus => Ok(cpus),
            })?;
        }
        "network" => {
            record.engine.network = match value {
                "none" => Network::None,
                "user" => Network::User,
                _ => return Err(invalid(key, value, "none or user")),
            }
        }
        "cmdline" if value.chars().any(char::is_control) => {
            return Err(invalid(key, value, "one line of text"));
        }
        "cmdline" => record.engine.cmdline = (!value.is_empty()).then(|| value.into()),
        "args" => {
            record.engine.args =
                words(value).ok_or_else(|| invalid(key, value, "each quote closed"))?;
        }
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

fn number(key: &str, value: &str) -> Result<u32, Refusal> {
    value.parse().map_err(|_| invalid(key, value, "a number"))
}

fn size(key: &str, value: &str) -> Result<Bytes, Refusal> {
    Bytes::parse(value).ok_or_else(|| invalid(key, value, "a size such as 2G"))
}

fn memory(value: &str) -> Result<Bytes, Refusal> {
    let memory = size("memory", value)?;
    check_memory(memory, value).map(|()| memory)
}

/// Refuses memory in which no guest runs. `found` is how it was given.
fn check_memory(memory: Bytes, found: &str) -> Result<(), Refusal> {
    match memory {
        Bytes(bytes) if bytes < 1 << 20 => Err(invalid("memory", found, "at least 1M")),
        _ => Ok(()),
    }
}

/// Refuses what [`set`] would not take.
pub(super) fn check_engine(engine: &Engine) -> Result<(), Refusal> {
    check_memory(engine.memory, &engine.memory.to_string())?;
    if engine.cpus == 0 {
        return Err(invalid("cpus", "0", "a number from 1"));
    }
    match &engine.cmdline {
        Some(line) if line.chars().any(char::is_control) => {
            Err(invalid("cmdline", line, "one line of text"))
        }
        _ => Ok(()),
    }
}

/// Divides text at spaces, but for those in quotes of either kind; `None` when one is not closed.
fn words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match char {
            '\'' | '"' => {
                let (inside, rest) = chars.as_str().split_once(char)?;
                word.get_or_insert_default().push_str(inside);
                chars = rest.chars();
            }
            char if char.is_whitespace() => words.extend(word.take()),
            char => word.get_or_insert_default().push(char),
        }
    }
    words.extend(word);
    Some(words)
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
        let values = ["1G", "2", "user", "root=/dev/vda quiet", "-vga none", "5", "0", "host", "x"];
        assert_eq!(KEYS.len(), values.len());
        let before = vm(Kind::AppVm);
        for ((key, _), value) in KEYS.iter().zip(values) {
            let mut changed = before.clone();
            change(&mut changed, key, value).unwrap();
            assert_ne!(changed, before, "{key}");
        }
    }

    #[test]
    fn quotes_keep_a_word_together() {
        let divided = |text| words(text).map(|words| words.join("|"));
        assert_eq!(divided(r#" -a  'b c' d"e  'f" "" "#).as_deref(), Some("-a|b c|de  'f|"));
        assert_eq!(divided("").as_deref(), Some(""));
        assert_eq!(divided("it's"), None);
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
