//! What can be wrong with a pool: each a variant, each a sentence with the wanted and the found.

use crate::{
    name::{VmName, VolumeName},
    pool::step::Step,
};
use std::{fmt, path::PathBuf};
use uuid::Uuid;

/// Something that is not as it should be, or that is good to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where it is, relative to the pool.
    pub at: PathBuf,
    /// What it is.
    pub problem: Problem,
    /// What is to be done.
    pub remedy: Remedy,
}

/// What is to be done about a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    /// Nothing; the pool is consistent with it.
    Note,
    /// These steps, in any state of the rest of the pool, while nobody uses the VM.
    Steps(Vec<Step>),
    /// What the next command that takes the VM does by itself.
    Settle,
    /// The devices of the pool are put right.
    Devices,
    /// A decision, which the text names in the imperative.
    Human(String),
}

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Good to know.
    Note,
    /// Mended by `pool check --repair`.
    Mendable,
    /// Somebody must decide.
    Human,
}

impl Finding {
    /// Returns how much it matters.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match self.remedy {
            Remedy::Note => Severity::Note,
            Remedy::Steps(_) | Remedy::Settle | Remedy::Devices => Severity::Mendable,
            Remedy::Human(_) => Severity::Human,
        }
    }
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the sentence of each variant is below")]
pub enum Problem {
    // Files.
    Unknown,
    WrongKind { wanted: &'static str, found: &'static str },
    OtherFileSystem,
    Leftover,
    LeftoverDirectory { kept: usize },
    // VMs.
    RecordMissing,
    RecordUnreadable(String),
    RemovalCutShort,
    NameTwice { other: PathBuf },
    UuidTwice { uuid: Uuid, other: PathBuf },
    TemplateMissing { template: VmName },
    TemplateIsNone { template: VmName },
    TemplateIsItself,
    TemplateCycle { through: Vec<VmName> },
    BaseMissing { base: VmName },
    BaseCycle { through: Vec<VmName> },
    CutOff,
    RunUnreadable(String),
    InitrdAlone,
    // Volumes.
    UnknownVolume { volume: VolumeName },
    CleanMissing { volume: VolumeName, newest: Option<String> },
    DirtyWithoutClean,
    Uncommitted,
    DirtySmaller { dirty: u64, clean: u64 },
    LinkedToVersion { of: PathBuf },
    PrecacheStale,
    LeftoverOfRun { volume: VolumeName },
    OwnContent { volume: VolumeName },
    // Versions.
    LeftoverRevision,
    RevisionOfUnkept { volume: VolumeName },
    NumberTwice { number: u64, other: PathBuf },
    SameVersion { other: PathBuf },
    RevisionGap { after: u64, next: u64 },
    RevisionOrder { earlier: PathBuf },
    PinGone { volume: String, label: String, number: u64 },
    Export { current: bool },
    // Exception stores and their bases.
    StoreMissing,
    StoreWithoutBase,
    StoreUnreadable(String),
    StoreLost,
    DirtyElsewhere { base: PathBuf },
    BaseShort { found: u64, wanted: u64 },
    BaseLong { version: u64 },
    WrittenUnsaid,
    // Devices.
    StrayDevice,
    StrayOpen { by: String },
    TwoLoops { loops: String },
    // Snapshots.
    SnapshotWithoutRecord,
    SnapshotWithoutImages,
    SnapshotUnreadable(String),
    SnapshotImageMissing,
    SnapshotMemoryMissing,
    SnapshotFileUnnamed,
    SnapshotOfItself,
    SnapshotOwnParent,
    SnapshotCycle { through: Vec<Uuid> },
    ParentGone { parent: Uuid },
    RevertCutShort,
}

impl Problem {
    /// Returns its name for programs: it stays the same when the sentence is changed.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown-file",
            Self::WrongKind { .. } => "wrong-kind",
            Self::OtherFileSystem => "other-file-system",
            Self::Leftover => "leftover",
            Self::LeftoverDirectory { .. } => "leftover-directory",
            Self::RecordMissing => "record-missing",
            Self::RecordUnreadable(_) => "record-unreadable",
            Self::RemovalCutShort => "removal-cut-short",
            Self::NameTwice { .. } => "name-twice",
            Self::UuidTwice { .. } => "uuid-twice",
            Self::TemplateMissing { .. } => "template-missing",
            Self::TemplateIsNone { .. } => "template-is-none",
            Self::TemplateIsItself => "template-is-itself",
            Self::TemplateCycle { .. } => "template-cycle",
            Self::BaseMissing { .. } => "base-missing",
            Self::BaseCycle { .. } => "base-cycle",
            Self::CutOff => "cut-off",
            Self::RunUnreadable(_) => "run-unreadable",
            Self::InitrdAlone => "initrd-alone",
            Self::UnknownVolume { .. } => "unknown-volume",
            Self::CleanMissing { .. } => "clean-missing",
            Self::DirtyWithoutClean => "dirty-without-clean",
            Self::Uncommitted => "uncommitted",
            Self::DirtySmaller { .. } => "dirty-smaller",
            Self::LinkedToVersion { .. } => "linked-to-version",
            Self::PrecacheStale => "precache-stale",
            Self::LeftoverOfRun { .. } => "leftover-of-run",
            Self::OwnContent { .. } => "own-content",
            Self::LeftoverRevision => "leftover-revision",
            Self::RevisionOfUnkept { .. } => "revision-of-unkept",
            Self::NumberTwice { .. } => "number-twice",
            Self::SameVersion { .. } => "same-version",
            Self::RevisionGap { .. } => "revision-gap",
            Self::RevisionOrder { .. } => "revision-order",
            Self::PinGone { .. } => "pin-gone",
            Self::Export { .. } => "export",
            Self::StoreMissing => "store-missing",
            Self::StoreWithoutBase => "store-without-base",
            Self::StoreUnreadable(_) => "store-unreadable",
            Self::StoreLost => "store-lost",
            Self::DirtyElsewhere { .. } => "dirty-elsewhere",
            Self::BaseShort { .. } => "base-short",
            Self::BaseLong { .. } => "base-long",
            Self::WrittenUnsaid => "written-unsaid",
            Self::StrayDevice => "stray-device",
            Self::StrayOpen { .. } => "stray-open",
            Self::TwoLoops { .. } => "two-loops",
            Self::SnapshotWithoutRecord => "snapshot-without-record",
            Self::SnapshotWithoutImages => "snapshot-without-images",
            Self::SnapshotUnreadable(_) => "snapshot-unreadable",
            Self::SnapshotImageMissing => "snapshot-image-missing",
            Self::SnapshotMemoryMissing => "snapshot-memory-missing",
            Self::SnapshotFileUnnamed => "snapshot-file-unnamed",
            Self::SnapshotOfItself => "snapshot-of-itself",
            Self::SnapshotOwnParent => "snapshot-own-parent",
            Self::SnapshotCycle { .. } => "snapshot-cycle",
            Self::ParentGone { .. } => "parent-gone",
            Self::RevertCutShort => "revert-cut-short",
        }
    }
}

/// What stands behind the path: `…/root-dirty.img: is smaller than the version: …`.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("is not ours, and is left alone"),
            Self::WrongKind { wanted, found } => {
                write!(f, "is {found}, where {wanted} belongs")
            }
            Self::OtherFileSystem => f.write_str(
                "is on another file system than the pool, and versions are links within one",
            ),
            Self::Leftover => f.write_str("was being made when its command was cut off"),
            Self::LeftoverDirectory { kept: 0 } => {
                f.write_str("was being made or removed when its command was cut off")
            }
            Self::LeftoverDirectory { kept } => write!(
                f,
                "was being made or removed when its command was cut off, and has {kept} files that are not ours"
            ),
            Self::RecordMissing => f.write_str("has images and no vm.toml: nobody is their VM"),
            Self::RecordUnreadable(problem)
            | Self::RunUnreadable(problem)
            | Self::SnapshotUnreadable(problem)
            | Self::StoreUnreadable(problem) => {
                write!(f, "cannot be read: {problem}")
            }
            Self::RemovalCutShort => f.write_str("is removed half: its removal was cut off"),
            Self::NameTwice { other } => {
                write!(f, "has the name of {}; a name is that of one VM", other.display())
            }
            Self::UuidTwice { uuid, other } => {
                write!(f, "has the UUID {uuid} of {}; each VM has its own", other.display())
            }
            Self::TemplateMissing { template } => {
                write!(f, "wants the template {template}, and there is none of that name")
            }
            Self::TemplateIsNone { template } => {
                write!(f, "wants the template {template}, which is an AppVM")
            }
            Self::TemplateIsItself => f.write_str("names itself as its template"),
            Self::TemplateCycle { through } => {
                f.write_str("boots from itself in the end:")?;
                through.iter().try_for_each(|name| write!(f, " {name}"))
            }
            Self::BaseMissing { base } => {
                write!(f, "counts as a clone of {base}, and there is no VM of that name")
            }
            Self::BaseCycle { through } => {
                f.write_str("counts as a clone of itself in the end:")?;
                through.iter().try_for_each(|name| write!(f, " {name}"))
            }
            Self::CutOff => f.write_str("ran when its engine or the machine ended"),
            Self::InitrdAlone => f.write_str("is an initrd without a kernel beside it"),
            Self::UnknownVolume { volume } => {
                write!(f, "is an image of {volume}, a volume that vm.toml does not describe")
            }
            Self::CleanMissing { volume, newest: Some(newest) } => {
                write!(f, "is missing; {volume} has kept versions, the newest is {newest}")
            }
            Self::CleanMissing { volume, newest: None } => {
                write!(f, "is missing, and {volume} has no kept version either")
            }
            Self::DirtyWithoutClean => {
                f.write_str("is what a VM wrote, and the version that it was written on is missing")
            }
            Self::Uncommitted => f.write_str(
                "is what a VM wrote until it was cut off; the next start goes on from it",
            ),
            Self::DirtySmaller { dirty, clean } => write!(
                f,
                "has {dirty} bytes, fewer than the {clean} of the version that it was made from"
            ),
            Self::LinkedToVersion { of } => write!(
                f,
                "is the same file as {}: what is written to it changes that version",
                of.display()
            ),
            Self::PrecacheStale => {
                f.write_str("is not the copy of the current version that it should be")
            }
            Self::LeftoverOfRun { volume } => {
                write!(f, "is left of a run; {volume} is not kept, and the VM does not run")
            }
            Self::OwnContent { volume } => write!(
                f,
                "is the only name of its content, in a volume ({volume}) that is not kept: the next start replaces it"
            ),
            Self::LeftoverRevision => {
                f.write_str("is the current version too: its commit was cut off before the end")
            }
            Self::RevisionOfUnkept { volume } => {
                write!(f, "is a kept version of {volume}, a volume that is not kept")
            }
            Self::NumberTwice { number, other } => {
                write!(f, "has the number {number} of {}", other.display())
            }
            Self::SameVersion { other } => {
                write!(f, "is the same file as {}, as after a revert", other.display())
            }
            Self::RevisionGap { after, next } => {
                write!(f, "follows {after}; the numbers between {after} and {next} are gone")
            }
            Self::RevisionOrder { earlier } => {
                write!(f, "is older than {}, which has a lower number", earlier.display())
            }
            Self::PinGone { volume, label, number } => {
                write!(f, "pins version {number} of {volume} as {label:?}, and there is none")
            }
            Self::Export { current: true } => {
                f.write_str("is an export of the current version that was not ended")
            }
            Self::Export { current: false } => {
                f.write_str("is an export of an older version that was not ended")
            }
            Self::StoreMissing => {
                f.write_str("was written to, and the store with what it had before is missing")
            }
            Self::StoreWithoutBase => f.write_str("is a store, and its base is missing"),
            Self::StoreLost => {
                f.write_str("is a store that the kernel gave up: a write to it failed")
            }
            Self::DirtyElsewhere { base } => {
                write!(f, "is another file than {}, which a VM writes to", base.display())
            }
            Self::BaseShort { found, wanted } => {
                write!(f, "has {found} bytes, fewer than the {wanted} of its version")
            }
            Self::BaseLong { version } => {
                write!(f, "is longer than its version, of {version} bytes: a change was cut off")
            }
            Self::WrittenUnsaid => {
                f.write_str("has what the base was, and no name says that the base is written to")
            }
            Self::StrayDevice => f.write_str("is a device that nothing in the pool wants"),
            Self::StrayOpen { by } => {
                write!(f, "is a device that nothing in the pool wants, in use by {by}")
            }
            Self::TwoLoops { loops } => write!(
                f,
                "has more than one loop device, which bypass each other's copies: {loops}"
            ),
            Self::SnapshotWithoutRecord => f.write_str("is a snapshot without a snapshot.toml"),
            Self::SnapshotWithoutImages => f.write_str("is a snapshot without an image"),
            Self::SnapshotImageMissing => {
                f.write_str("is missing, and the snapshot's record names it")
            }
            Self::SnapshotMemoryMissing => {
                f.write_str("is missing, and the snapshot's record says what it is the memory of")
            }
            Self::SnapshotFileUnnamed => {
                f.write_str("is in the snapshot, and its record does not name it")
            }
            Self::SnapshotOfItself => {
                f.write_str("says that the snapshot, or a disk of it, is one of itself")
            }
            Self::SnapshotOwnParent => f.write_str("says that the snapshot is its own parent"),
            Self::SnapshotCycle { through } => match through.as_slice() {
                [first, .., last] if through.len() > 4 => write!(
                    f,
                    "comes after itself in the end: through {first}, {} more, and {last}",
                    through.len() - 2
                ),
                few => {
                    f.write_str("comes after itself in the end:")?;
                    few.iter().try_for_each(|uuid| write!(f, " {uuid}"))
                }
            },
            Self::ParentGone { parent } => {
                write!(f, "comes after the snapshot {parent}, which is gone")
            }
            Self::RevertCutShort => f.write_str("is half reverted to a snapshot"),
        }
    }
}

/// `thing: what is wrong`.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at.display(), self.problem)
    }
}
