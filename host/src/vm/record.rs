//! A VM's record, `vm.toml`: who it is and how it runs. What its disks hold is told by their files alone.

pub use super::flags::{Ahead, Flags, Hot, Instance, Versioned};
use crate::{
    error::{Error, Result},
    name::VmName,
    record as text,
};
use ebbtide_format::units::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::Path};
use uuid::Uuid;

/// The version of the record's format that this program writes and reads.
pub const FORMAT: u32 = 1;
/// The record's file in the directory of its VM.
pub const FILE: &str = "vm.toml";

/// What a VM is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// [`FORMAT`]; a larger one is refused.
    pub format: u32,
    /// Stays the same when the VM is renamed.
    pub uuid: Uuid,
    /// Template or AppVM.
    pub kind: Kind,
    /// The template of an AppVM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<VmName>,
    /// What a linked clone was made of: the VM with whose versions its disks began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<VmName>,
    /// The snapshot that its disks were last the same as: the one taken of it last, or reverted to since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Uuid>,
    /// When the record was made.
    pub created: Timestamp,
    /// What may be done with it.
    #[serde(default, skip_serializing_if = "Flags::is_default")]
    pub flags: Flags,
    /// `Some` for the working VM of a versioned one, `NAME-next`: when it makes versions, and which stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub versioned: Option<Versioned>,
    /// What is made before somebody starts a disposable of it.
    #[serde(default, skip_serializing_if = "Ahead::is_default")]
    pub ahead: Ahead,
    /// How many versions of each disk are kept; the pool's number where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<u32>,
    /// The root of an AppVM.
    #[serde(default, skip_serializing_if = "Root::is_default")]
    pub root: Root,
    /// The disk that is kept.
    #[serde(default)]
    pub private: Private,
    /// The disk that is empty at every start.
    #[serde(default)]
    pub volatile: Volatile,
    /// Volume, label, revision number.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pins: BTreeMap<String, BTreeMap<String, u64>>,
    /// What an engine is told.
    #[serde(default)]
    pub engine: Engine,
}

impl Record {
    /// Returns the record of a VM that is made now, with the defaults of everything.
    #[must_use]
    pub fn new(kind: Kind, template: Option<VmName>) -> Self {
        Self {
            format: FORMAT,
            uuid: Uuid::new_v4(),
            kind,
            template,
            base: None,
            parent: None,
            created: Timestamp::now(),
            flags: Flags::default(),
            versioned: None,
            ahead: Ahead::default(),
            keep: None,
            root: Root::default(),
            private: Private::default(),
            volatile: Volatile::default(),
            pins: BTreeMap::new(),
            engine: Engine::default(),
        }
    }

    /// Returns what is made ahead of this VM: nothing of one that is not started as disposables any more, or never was.
    /// Of a versioned VM it is the newest version.
    #[must_use]
    pub fn ahead(&self) -> Ahead {
        let flags = &self.flags;
        let is_old = flags.version_of.is_some() && flags.internal;
        if self.versioned.is_some() || flags.volatile || flags.instance.is_some() || is_old {
            return Ahead::default();
        }
        self.ahead
    }

    /// Reads the record of a VM in a directory of `kind`. `file` is for messages.
    ///
    /// # Errors
    /// Names the file, the line, what was wanted there and what was found.
    pub fn parse(content: &[u8], file: &Path, kind: Kind) -> Result<Self> {
        let record: Self = text::parse(content, file, FORMAT)?;
        let unreadable =
            |problem: &str| Err(Error::Unreadable { path: file.into(), problem: problem.into() });
        match (record.kind, &record.template) {
            (found, _) if found != kind => {
                unreadable(&format!("kind is {found}, and the directory is one of kind {kind}"))
            }
            (Kind::AppVm, None) => {
                unreadable("an AppVM needs a template; wanted template = \"NAME\"")
            }
            (Kind::Template, Some(name)) => unreadable(&format!(
                "a template has no template; found template = {:?}",
                name.as_str()
            )),
            _ => Ok(record),
        }
    }

    /// Returns the file's content.
    ///
    /// # Errors
    /// None that a record has.
    pub fn print(&self) -> Result<Vec<u8>> {
        text::print(self, Path::new(FILE))
    }
}

/// Where the directory of a VM is, and what its root is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// `vm-templates/NAME`: its root is its own, and others boot from versions of it.
    Template,
    /// `appvms/NAME`: its root is its template's.
    AppVm,
}

impl Kind {
    /// Returns the directory of the pool that has the directories of such VMs.
    #[must_use]
    pub const fn directory(self) -> &'static str {
        match self {
            Self::Template => "vm-templates",
            Self::AppVm => "appvms",
        }
    }
}

/// As records write it.
impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Template => "template",
            Self::AppVm => "appvm",
        })
    }
}

/// The root of an AppVM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Root {
    /// Whether it is the template's at the first start only, and its own from then on.
    pub own: bool,
    /// Who keeps what is written to a root that is not its own.
    pub cow: RootCow,
}

impl Root {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Who keeps what a guest writes to its root until it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RootCow {
    /// The guest, with `ebbtide-init`: the root is given to it read-only.
    #[default]
    Guest,
    /// The host: the root is a writable copy, dropped at stop.
    Host,
}

/// The disk that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Private {
    /// How large it is made; 0 for none. Later its image tells.
    #[serde(with = "size_text")]
    pub size: Bytes,
}

impl Default for Private {
    fn default() -> Self {
        Self { size: Bytes::gib(2) }
    }
}

/// The disk that is empty at every start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Volatile {
    /// Room for swap, beside room for the whole root.
    #[serde(with = "size_text")]
    pub swap: Bytes,
}

impl Default for Volatile {
    fn default() -> Self {
        Self { swap: Bytes::gib(1) }
    }
}

/// What an engine is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Engine {
    /// Memory of the guest.
    #[serde(with = "size_text")]
    pub memory: Bytes,
    /// Number of its processors.
    pub cpus: u32,
    /// Its network.
    pub network: Network,
    /// Kernel command line, for a template with a `kernel` file beside its root; else the disk's boot loader boots.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmdline: Option<String>,
    /// Further arguments of the engine's program.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
}

impl Default for Engine {
    fn default() -> Self {
        Self {
            memory: Bytes::mib(512),
            cpus: 1,
            network: Network::None,
            cmdline: None,
            args: Vec::new(),
        }
    }
}

/// The network of a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// None.
    #[default]
    None,
    /// The engine's own, without rights: out, and not in.
    User,
}

/// A size as text with a suffix, `2G`.
mod size_text {
    use ebbtide_format::units::Bytes;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(size: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
        let suffixes = [(40, "T"), (30, "G"), (20, "M"), (10, "K")];
        let exact =
            suffixes.iter().find(|(shift, _)| size.0 != 0 && size.0.trailing_zeros() >= *shift);
        match exact {
            Some((shift, suffix)) => {
                serializer.serialize_str(&format!("{}{suffix}", size.0 >> shift))
            }
            None => serializer.serialize_str(&size.0.to_string()),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Bytes, D::Error> {
        let text = String::deserialize(deserializer)?;
        Bytes::parse(&text).ok_or_else(|| {
            de::Error::custom(format!(
                "{text:?} is no size: wanted a number with K, M, G or T, such as \"2G\""
            ))
        })
    }
}
