//! Versions of a VM's disks: listed, pinned, reverted to; and what a cut left, committed or dropped.

use super::{Allow, Guard, life, rewrite};
use crate::{
    error::{Refusal, RefusalKind, Result},
    name::{VmName, VolumeId, VolumeName},
    pool::{
        Pool,
        driver::{Outcome, Version, Volume},
    },
    volume::Revision,
};
use std::str::FromStr;

/// A kept version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned {
    /// Its number and time.
    pub revision: Revision,
    /// Its file.
    pub version: Version,
    /// What it is pinned as.
    pub label: Option<String>,
}

/// The versions of a volume.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Versions {
    /// The current one.
    pub current: Option<Version>,
    /// What is written and in no version.
    pub dirty: Option<Version>,
    /// The kept ones, oldest first.
    pub kept: Vec<Versioned>,
}

/// Which kept version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pick {
    /// The newest.
    Newest,
    /// The one of this number.
    Number(u64),
    /// The one that is pinned by this label.
    Label(String),
}

/// Digits are a number, everything else is a label.
impl FromStr for Pick {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        if let Ok(number) = text.parse() {
            return Ok(Self::Number(number));
        }
        check_label(text)?;
        Ok(Self::Label(text.into()))
    }
}

/// Checks that a label can be told from a number and be shown.
fn check_label(text: &str) -> Result<(), Refusal> {
    let problem = if text.is_empty() {
        "it is empty"
    } else if text.bytes().all(|byte| byte.is_ascii_digit()) {
        "it is a number"
    } else if text.chars().any(char::is_control) {
        "it has a control character"
    } else {
        return Ok(());
    };
    Err(Refusal::new(RefusalKind::Invalid, format!("{text:?} is no label: {problem}")))
}

/// What a revert came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reverted {
    /// The version that is the current one again.
    pub to: Revision,
    /// What was current is kept as this.
    pub outcome: Outcome,
    /// What was settled first.
    pub said: Vec<String>,
}

/// Returns the versions of a volume. Takes no lock.
///
/// # Errors
/// The VM or the volume is missing.
pub fn versions(pool: &Pool, id: &VolumeId) -> Result<Versions> {
    let volume = pool.vm(&id.vm)?.volume(pool, &id.volume)?;
    let state = pool.driver().state(&volume)?;
    let label = |revision: &Revision| {
        revision.number.and_then(|number| volume.retention.pinned.get(&number)).cloned()
    };
    let kept = state.revisions.iter().map(|(revision, version)| Versioned {
        revision: *revision,
        version: *version,
        label: label(revision),
    });
    Ok(Versions { current: state.current, dirty: state.dirty, kept: kept.collect() })
}

/// Pins a kept version: it is never pruned, and has a label. Works also while the VM runs.
///
/// # Errors
/// There is no such version; the label or the version is pinned already.
pub fn pin(pool: &Pool, id: &VolumeId, number: u64, label: &str) -> Result<()> {
    check_label(label)?;
    // A release prunes with the pool locked, so this version is there until it is pinned.
    let lock = pool.lock()?;
    let mut vm = pool.vm(&id.vm)?;
    vm.kept_volume(pool, &id.volume)?;
    let versions = versions(pool, id)?;
    let found = choose(id, &versions, &Pick::Number(number))?;
    refuse_leftover(id, &versions, &found)?;
    if let Some(other) = &found.label {
        let text = format!("version {number} of {id} is pinned already, as {other:?}");
        return Err(Refusal::new(RefusalKind::Exists, text).into());
    }
    let pins = vm.record.pins.entry(id.volume.to_string()).or_default();
    if let Some(other) = pins.get(label).filter(|other| is_kept(&versions, **other)) {
        let text = format!("{label:?} is the label of version {other} of {id} already");
        return Err(Refusal::new(RefusalKind::Exists, text)
            .hint(format!("'ebbtide template unpin {} {label}' frees it", id.vm))
            .into());
    }
    pins.insert(label.into(), number);
    rewrite(pool, &vm, &lock)
}

/// Refuses the newest version when it is the current one: a cut has left it, and whoever settles that, without the pool's
/// lock, goes by the pins that it has read.
fn refuse_leftover(id: &VolumeId, versions: &Versions, found: &Versioned) -> Result<(), Refusal> {
    let is_current = versions.current.is_some_and(|current| current.inode == found.version.inode);
    if !is_current || versions.kept.last() != Some(found) || found.label.is_some() {
        return Ok(());
    }
    let text = format!(
        "{} of {id} is still its current version: a change of it was cut off",
        found.revision
    );
    Err(Refusal::new(RefusalKind::Rule, text)
        .hint("the next command that changes the VM settles that"))
}

fn is_kept(versions: &Versions, number: u64) -> bool {
    versions.kept.iter().any(|kept| kept.revision.number == Some(number))
}

/// Unpins a kept version, and returns its number. The next commit may prune it.
///
/// # Errors
/// There is no such label.
pub fn unpin(pool: &Pool, id: &VolumeId, label: &str) -> Result<u64> {
    let lock = pool.lock()?;
    let mut vm = pool.vm(&id.vm)?;
    let volume = id.volume.as_str();
    let pins = vm.record.pins.entry(volume.into()).or_default();
    let labels: Vec<String> = pins.keys().cloned().collect();
    let number = pins.remove(label).ok_or_else(|| no_label(id, label, &labels))?;
    if pins.is_empty() {
        vm.record.pins.remove(volume);
    }
    rewrite(pool, &vm, &lock)?;
    Ok(number)
}

/// Makes a kept version the current one again. What is current is kept, and the version stays.
///
/// # Errors
/// The VM runs; something is uncommitted; there is no such version.
pub fn revert(pool: &Pool, id: &VolumeId, pick: &Pick) -> Result<Reverted> {
    let guard = Guard::take(pool, &id.vm, &format!("revert of {}", id.volume), Allow::Stopped)?;
    guard.vm().changeable()?;
    pool.driver().wait(&pool.vm(&id.vm)?.kept_volume(pool, &id.volume)?)?;
    let _lock = pool.lock()?;
    let volume = pool.vm(&id.vm)?.kept_volume(pool, &id.volume)?;
    let to = choose(id, &versions(pool, id)?, pick)?.revision;
    let outcome = pool.driver().revert(&volume, to)?;
    Ok(Reverted { to, outcome, said: guard.said().to_vec() })
}

/// Returns the version that is meant.
fn choose(id: &VolumeId, versions: &Versions, pick: &Pick) -> Result<Versioned, Refusal> {
    let label = |kept: &Versioned, label: &str| kept.label.as_deref() == Some(label);
    let mut kept = versions.kept.iter();
    let found = match pick {
        Pick::Newest => kept.next_back(),
        Pick::Number(number) => kept.find(|kept| kept.revision.number == Some(*number)),
        Pick::Label(wanted) => kept.find(|kept| label(kept, wanted)),
    };
    found.cloned().ok_or_else(|| match pick {
        Pick::Newest => Refusal::new(RefusalKind::Missing, format!("no version of {id} is kept")),
        Pick::Number(number) => {
            let numbers = versions.kept.iter().filter_map(|kept| kept.revision.number);
            let numbers: Vec<String> = numbers.map(|number| number.to_string()).collect();
            let kept = if numbers.is_empty() { "none".into() } else { numbers.join(", ") };
            let text = format!("version {number} of {id} is not kept; kept are: {kept}");
            Refusal::new(RefusalKind::Missing, text)
        }
        Pick::Label(wanted) => {
            let labels = versions.kept.iter().filter_map(|kept| kept.label.clone());
            no_label(id, wanted, &labels.collect::<Vec<_>>())
        }
    })
}

fn no_label(id: &VolumeId, label: &str, labels: &[String]) -> Refusal {
    let refusal =
        Refusal::new(RefusalKind::Missing, format!("no version of {id} is pinned as {label:?}"));
    match labels {
        [] => refusal,
        labels => refusal.hint(format!("pinned are: {}", labels.join(", "))),
    }
}

/// What became of each volume.
pub type Outcomes = Vec<(VolumeId, Outcome)>;

/// Makes what a cut left of a VM's kept volumes new versions: of one, or of all (`None`). Returns what was settled, and
/// what became of each.
///
/// # Errors
/// The VM runs.
pub fn commit(
    pool: &Pool,
    name: &VmName,
    volume: Option<&VolumeName>,
) -> Result<(Vec<String>, Outcomes)> {
    let guard = Guard::take(pool, name, "commit", Allow::Stopped)?;
    guard.vm().changeable()?;
    for volume in chosen(pool, name, volume)? {
        life::sync_dirty(pool, &volume)?;
    }
    let _lock = pool.lock()?;
    let commit = |volume: Volume| Ok((volume.id.clone(), pool.driver().commit(&volume)?));
    let outcomes = chosen(pool, name, volume)?.into_iter().map(commit);
    Ok((guard.said().to_vec(), outcomes.collect::<Result<_>>()?))
}

/// Drops what a cut left of a VM's kept volumes: of one, or of all (`None`). Returns what was settled, and of which
/// volumes something was dropped.
///
/// # Errors
/// The VM runs.
pub fn discard(
    pool: &Pool,
    name: &VmName,
    volume: Option<&VolumeName>,
) -> Result<(Vec<String>, Vec<VolumeId>)> {
    let guard = Guard::take(pool, name, "discard", Allow::Stopped)?;
    guard.vm().changeable()?;
    let mut dropped = Vec::new();
    for volume in chosen(pool, name, volume)? {
        if pool.driver().discard(&volume)? {
            dropped.push(volume.id);
        }
    }
    Ok((guard.said().to_vec(), dropped))
}

/// Returns one kept volume, or all.
fn chosen(pool: &Pool, name: &VmName, volume: Option<&VolumeName>) -> Result<Vec<Volume>> {
    let vm = pool.vm(name)?;
    match volume {
        Some(volume) => Ok(vec![vm.kept_volume(pool, volume)?]),
        None => {
            let volumes = vm.volumes(pool)?.into_iter();
            Ok(volumes.filter(|volume| volume.role.is_kept()).collect())
        }
    }
}
