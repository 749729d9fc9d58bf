//! What a VM's record says about its place among others: what may be done with it, and what is made of it.

use crate::name::VmName;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use uuid::Uuid;

/// What may be done with a VM.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Flags {
    /// Its disks never change: a start is that of a linked clone.
    #[serde(skip_serializing_if = "is_false")]
    pub immutable: bool,
    /// It is removed as soon as nothing refers to it.
    #[serde(skip_serializing_if = "is_false")]
    pub volatile: bool,
    /// Lists leave it out.
    #[serde(skip_serializing_if = "is_false")]
    pub internal: bool,
    /// `Some` for a clone that a start has made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<Instance>,
    /// The name whose newest version it is or was: `debian` for `debian-v3`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version_of: Option<VmName>,
    /// A replacement clone that is not yet the base of all that was linked to this VM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaces: Option<VmName>,
    /// A clone that has not yet all savestates of this VM, by its UUID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inherits: Option<Uuid>,
}

impl Flags {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

fn is_false(flag: &bool) -> bool {
    !*flag
}

/// Why there is a clone that nobody made by name. Its record's `base` says of what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Instance {
    /// `NAME-instN`: an immutable VM was started. It stays.
    Kept,
    /// `NAME-dispN`: gone when it stops.
    Disposable,
    /// Resumed ahead as `NAME-dispN`, and standing still until somebody wants a disposable.
    Ready,
    /// Runs until a hot savestate is taken of it.
    Seed,
}

impl Instance {
    /// Returns its word, as records write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Disposable => "disposable",
            Self::Ready => "ready",
            Self::Seed => "seed",
        }
    }
}

/// When a versioned VM makes versions, and which stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Versioned {
    /// Whether a version is made on demand; else each clean stop makes one.
    pub manual: bool,
    /// Whether older versions stay.
    pub history: bool,
}

/// What is made before somebody starts a disposable of a VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ahead {
    /// When a machine that has just been started is one that a hot savestate is to be taken of; `None`: there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hot: Option<Hot>,
    /// How many disposables are resumed ahead.
    pub ready: u32,
}

impl Ahead {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// When a hot savestate is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hot {
    /// When the guest's agent answers.
    Agent,
    /// After the machine has run for so long.
    After(SignedDuration),
}

/// `agent`, or whole seconds such as `30s`.
impl fmt::Display for Hot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agent => f.write_str("agent"),
            Self::After(time) => write!(f, "{}s", time.as_secs()),
        }
    }
}

/// Reads what `Display` writes.
impl FromStr for Hot {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if text == "agent" {
            return Ok(Self::Agent);
        }
        let seconds: u32 = text.strip_suffix('s').ok_or(())?.parse().map_err(drop)?;
        Ok(Self::After(SignedDuration::from_secs(seconds.into())))
    }
}

impl Serialize for Hot {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hot {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|()| {
            serde::de::Error::custom(format!(
                "{text:?}: wanted \"agent\" or seconds such as \"30s\""
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_for_savestates_reads_back() {
        for text in ["agent", "0s", "30s"] {
            assert_eq!(text.parse::<Hot>().unwrap().to_string(), text);
        }
        for text in ["", "30", "-1s", "1m", "yes"] {
            assert!(text.parse::<Hot>().is_err(), "{text}");
        }
    }
}
