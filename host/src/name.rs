//! Names of VMs, volumes and labels: whatever can be one path component and is not ours.

use crate::error::{Refusal, RefusalKind};
use std::{fmt, path::Path, str::FromStr};

/// The longest name, in bytes: with what a file name adds to it, it stays below the 255 of file systems.
pub const LONGEST: usize = 200;

/// Ends of names that files of volumes have, and volumes have not.
const OF_FILES: [&str; 4] = ["-dirty", "-precache", COW, USED];
/// What stands behind the name of a volume in the names of its exception stores.
pub(crate) const COW: &str = "-cow";
/// And in those under which the store of another volume is used.
pub(crate) const USED: &str = "-snap";

/// The name of a VM or a template, and of its directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VmName(String);

/// The name of a disk of a VM: `root`, `private`, `volatile`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VolumeName(String);

/// A disk of a VM, written `VM:VOLUME`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VolumeId {
    /// The VM.
    pub vm: VmName,
    /// Its disk.
    pub volume: VolumeName,
}

/// Checks what every name must be.
fn check(what: &str, text: &str) -> Result<(), Refusal> {
    let refuse = |found: &str| {
        Err(Refusal::new(RefusalKind::Invalid, format!("{text:?} is no {what}: {found}")))
    };
    match text {
        "" => refuse("it is empty"),
        _ if text.len() > LONGEST => {
            refuse(&format!("it has {} bytes, the longest has {LONGEST}", text.len()))
        }
        _ if text.starts_with('.') => refuse("it begins with a dot"),
        _ if text.starts_with('-') => refuse("it begins with a dash, as options do"),
        _ if text.contains('/') => refuse("it has a slash, and names one directory"),
        _ if text.chars().any(char::is_control) => refuse("it has a control character"),
        _ => Ok(()),
    }
}

impl FromStr for VmName {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        check("name of a VM", text)?;
        Ok(Self(text.into()))
    }
}

impl FromStr for VolumeName {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        check("name of a volume", text)?;
        // A volume's name is the beginning of file names that are told apart by what follows.
        if text.contains([':', '@', '.']) || OF_FILES.iter().any(|end| text.ends_with(end)) {
            let text = format!(
                "{text:?} is no name of a volume: `:`, `@`, `.`, and `-dirty`, `-precache`, `-cow` or `-snap` at its end, are for files of volumes"
            );
            return Err(Refusal::new(RefusalKind::Invalid, text));
        }
        Ok(Self(text.into()))
    }
}

/// `VM:VOLUME`, divided at the last colon.
impl FromStr for VolumeId {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let Some((vm, volume)) = text.rsplit_once(':') else {
            return Err(Refusal::new(
                RefusalKind::Invalid,
                format!("{text:?} is no volume: wanted VM:VOLUME"),
            )
            .hint(format!("name the disk too: '{text}:root' or '{text}:private'")));
        };
        Ok(Self { vm: vm.parse()?, volume: volume.parse()? })
    }
}

macro_rules! text {
    ($name:ident) => {
        impl $name {
            /// Returns the name.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<Path> for $name {
            fn as_ref(&self) -> &Path {
                Path::new(&self.0)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

text!(VmName);
text!(VolumeName);

impl VolumeName {
    /// Returns the name with something behind it, for files that belong to a volume.
    pub(crate) fn with(&self, suffix: &str) -> Self {
        Self(format!("{}{suffix}", self.0))
    }

    /// Reads the name in the name of a file: of a volume, or of its stores.
    pub(crate) fn of_file(stem: &str) -> Option<Self> {
        let end = [COW, USED].into_iter().find(|end| stem.ends_with(end)).unwrap_or_default();
        let volume: Self = stem.strip_suffix(end)?.parse().ok()?;
        Some(volume.with(end))
    }

    /// Returns the name without what stands behind it, if that does.
    pub(crate) fn without(&self, suffix: &str) -> Option<Self> {
        self.0.strip_suffix(suffix).filter(|name| !name.is_empty()).map(|name| Self(name.into()))
    }

    /// Returns the name of the disk that holds the root file system.
    #[must_use]
    pub fn root() -> Self {
        Self("root".into())
    }

    /// Returns the name of the disk that is kept.
    #[must_use]
    pub fn private() -> Self {
        Self("private".into())
    }

    /// Returns the name of the disk that is empty at every start.
    #[must_use]
    pub fn volatile() -> Self {
        Self("volatile".into())
    }
}

impl fmt::Display for VolumeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.vm, self.volume)
    }
}
