//! Versions of a VM's disks: listed, pinned, reverted to; and what a cut left, committed or dropped.

use crate::{
    error::{Error, Refusal, RefusalKind, Result},
    name::{VmName, VolumeId, VolumeName},
    pool::{
        Pool,
        driver::{Outcome, Version},
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

fn not_yet<T>() -> Result<T> {
    Err(Error::Refused(Refusal::new(RefusalKind::Unable, "versions cannot be changed yet")))
}

/// Returns the versions of a volume. Takes no lock.
///
/// # Errors
/// The VM or the volume is missing.
pub fn versions(_pool: &Pool, _id: &VolumeId) -> Result<Versions> {
    not_yet()
}

/// Pins a kept version: it is never pruned, and has a label. Works also while the VM runs.
///
/// # Errors
/// There is no such version; the label or the version is pinned already.
pub fn pin(_pool: &Pool, _id: &VolumeId, _number: u64, _label: &str) -> Result<()> {
    not_yet()
}

/// Unpins a kept version, and returns its number. The next commit may prune it.
///
/// # Errors
/// There is no such label.
pub fn unpin(_pool: &Pool, _id: &VolumeId, _label: &str) -> Result<u64> {
    not_yet()
}

/// Makes a kept version the current one again. What is current is kept, and the version stays.
///
/// # Errors
/// The VM runs; something is uncommitted; there is no such version.
pub fn revert(_pool: &Pool, _id: &VolumeId, _pick: &Pick) -> Result<Reverted> {
    not_yet()
}

/// Makes what a cut left of a VM's kept volumes new versions: of one, or of all (`None`). Returns what was settled, and
/// what became of each.
///
/// # Errors
/// The VM runs.
pub fn commit(
    _pool: &Pool,
    _name: &VmName,
    _volume: Option<&VolumeName>,
) -> Result<(Vec<String>, Vec<(VolumeId, Outcome)>)> {
    not_yet()
}

/// Drops what a cut left of a VM's kept volumes: of one, or of all (`None`). Returns what was settled, and of which
/// volumes something was dropped.
///
/// # Errors
/// The VM runs.
pub fn discard(
    _pool: &Pool,
    _name: &VmName,
    _volume: Option<&VolumeName>,
) -> Result<(Vec<String>, Vec<VolumeId>)> {
    not_yet()
}
