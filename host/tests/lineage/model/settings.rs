//! The rules of settings.

use super::{machine::Machine, rules::Model};

/// Changes settings, all or none.
pub(crate) fn set(model: &mut Model, name: &str, settings: &[(&str, String)]) -> Option<()> {
    let before = model.vms.get(name)?.clone();
    let mut after = before.clone();
    let mut is_of_stopped = false;
    for (key, value) in settings {
        let yes = value == "yes";
        match *key {
            "immutable" => (after.immutable, is_of_stopped) = (yes, true),
            "volatile" => after.volatile = yes,
            "internal" => after.internal = yes,
            "history" => after.versioned.as_mut()?.1 = yes,
            "base" => after.base = (!value.is_empty()).then(|| value.clone()),
            "template" => {
                is_of_stopped = true;
                if after.own_root {
                    return None;
                }
                after.template = Some(after.template.and(Some(value.clone()))?);
            }
            _ if value == "no" => after.versioned = None,
            _ => {
                after.versioned =
                    Some((value == "manual", after.versioned.is_some_and(|how| how.1)))
            }
        }
    }
    // Also where another one takes it back.
    let of_name = |(key, value): &(&str, String)| {
        *key == "versioned" && (value == "no") == before.versioned.is_some()
    };
    is_of_stopped |= settings.iter().any(of_name);
    if before.runs && is_of_stopped {
        return None;
    }
    let base = after.base.clone().filter(|_| after.base != before.base);
    if let Some(base) = base {
        let its = model.vms.get(&base)?;
        if its.template.is_some() != before.template.is_some() || model.comes_from(&base, name) {
            return None;
        }
    }
    if let Some(template) = after.template.clone().filter(|_| after.template != before.template) {
        model.good_template(&template)?;
        if before.immutable && after.immutable {
            return None;
        }
    }
    let became = after.immutable && !before.immutable;
    let ended = before.immutable && !after.immutable;
    let is_needed = model.has_running_start(name) || model.is_saved_on(name);
    let is_bound = before.version_of.is_some() || is_needed;
    if became && (before.versioned.is_some() || !before.dirty.is_empty()) || ended && is_bound {
        return None;
    }
    place(model, name, &before, after)
}

/// Gives a VM its settings, and the name that they mean.
fn place(model: &mut Model, name: &str, before: &Machine, after: Machine) -> Option<()> {
    let new = match (before.versioned, after.versioned) {
        (None, Some(_)) => {
            let is_other = after.version_of.is_some() || after.immutable;
            let is_other = is_other || after.volatile || after.instance.is_some();
            let next = format!("{name}-next");
            if is_other
                || !after.dirty.is_empty()
                || model.has_running_start(name)
                || model.is_saved_on(name)
                || name.ends_with("-next")
                || model.is_free(&next).is_none()
            {
                return None;
            }
            next
        }
        (Some(_), None) => {
            let old = name.trim_end_matches("-next").to_owned();
            let boots = |vm: &Machine| vm.template.as_deref() == Some(name);
            // A savestate says by its name what it was taken on.
            if model.vms.values().any(|vm| boots(vm) && vm.runs) || model.is_saved_on(name) {
                return None;
            }
            // Who boots from the working VM itself goes with it to its old name.
            let others = model.vms.values_mut().filter(|vm| vm.template.as_deref() == Some(name));
            others.for_each(|vm| vm.template = Some(old.clone()));
            old
        }
        _ => name.into(),
    };
    model.vms.remove(name);
    if new != *name {
        if model.vms.contains_key(&new) {
            return None;
        }
        model.relink(name, &new, |_| true);
    }
    model.vms.insert(new, after);
    Some(())
}
