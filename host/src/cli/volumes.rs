//! Disks of a VM, as they are printed.

use super::{
    human,
    shown::{RevisionShown, VersionShown, revision_name, written},
    table::{self, Table},
};
use ebbtide::{
    pool::{
        Pool,
        driver::{State, Volume},
    },
    volume::Role,
};
use ebbtide_format::units::Bytes;
use serde::Serialize;
use std::path::PathBuf;

/// A disk; sizes in bytes.
#[derive(Debug, Serialize)]
pub(crate) struct VolumeShown {
    volume: String,
    role: &'static str,
    source: Option<String>,
    outdated: bool,
    path: PathBuf,
    current: Option<VersionShown>,
    uncommitted: Option<VersionShown>,
    revisions: Vec<RevisionShown>,
}

impl VolumeShown {
    /// Returns what is shown of a volume in this state.
    pub(crate) fn new(pool: &Pool, volume: &Volume, state: &State) -> Self {
        Self {
            volume: volume.id.to_string(),
            role: match volume.role {
                Role::Volatile => "volatile",
                Role::Snapshot { .. } => "snapshot",
                Role::Origin => "origin",
                Role::OriginSnapshot { .. } => "origin-snapshot",
            },
            source: volume.role.source().map(ToString::to_string),
            outdated: state.is_outdated(),
            path: pool.store().real(&volume.files.clean()),
            current: state.current.map(Into::into),
            uncommitted: state.dirty.map(Into::into),
            revisions: state.revisions.iter().map(|(revision, _)| (*revision).into()).collect(),
        }
    }

    /// Returns what becomes of it at start and at stop.
    fn fate(&self) -> String {
        let source = self.source.as_deref().unwrap_or_default();
        match self.role {
            "volatile" => "empty at every start".into(),
            "snapshot" => format!("the version of {source} at every start"),
            "origin-snapshot" => format!("begun from {source}, committed at stop"),
            _ => "committed at stop".into(),
        }
    }

    fn size(&self) -> Option<Bytes> {
        self.uncommitted.or(self.current).map(|version| Bytes(version.size))
    }

    /// Returns lines of one disk.
    pub(crate) fn text(&self) -> String {
        let version = |version: VersionShown| {
            let size = human::size(Bytes(version.size));
            let takes = human::size(Bytes(version.allocated));
            match version.modified {
                Some(_) => format!("{size}, {takes} allocated, written {}", written(&version)),
                None => format!("{size}, {takes} allocated, not written to yet"),
            }
        };
        let mut fields = vec![
            ("volume", self.volume.clone()),
            ("contents", self.fate()),
            ("file", self.path.display().to_string()),
        ];
        fields.extend(self.current.map(|current| ("current", version(current))));
        fields.extend(self.uncommitted.map(|dirty| ("uncommitted", version(dirty))));
        let revisions: Vec<String> = self.revisions.iter().map(|one| revision_name(*one)).collect();
        if !revisions.is_empty() {
            fields.push(("kept", revisions.join(", ")));
        }
        if self.outdated {
            fields.push(("outdated", "yes".into()));
        }
        table::fields(&fields)
    }
}

/// Returns the table of several disks.
pub(crate) fn table(volumes: &[VolumeShown]) -> String {
    let mut table = Table::new(["VOLUME", "SIZE", "TAKES", "KEPT", "CONTENTS"]);
    for volume in volumes {
        let takes = volume.uncommitted.or(volume.current).map(|one| Bytes(one.allocated));
        table.row([
            volume.volume.clone(),
            volume.size().map(human::size).unwrap_or_default(),
            takes.map(human::size).unwrap_or_default(),
            volume.revisions.len().to_string(),
            volume.fate(),
        ]);
    }
    table.text()
}
