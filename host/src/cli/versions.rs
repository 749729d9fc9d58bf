//! Versions of a disk, as they are printed, and the way back to one.

use super::{
    Context, background,
    context::said,
    human, out,
    shown::{RevisionShown, VersionShown, revision_name, written},
    table::Table,
};
use ebbtide::{
    Result, VmName,
    name::VolumeId,
    pool::{
        Pool,
        driver::{Outcome, Version},
    },
    vm::{self, Pick, Versions, list},
};
use ebbtide_format::units::Bytes;
use serde::Serialize;

/// The versions of a volume, newest first.
#[derive(Debug, Serialize)]
pub(crate) struct VersionsShown {
    volume: String,
    uncommitted: Option<VersionShown>,
    current: Option<UsedShown>,
    revisions: Vec<KeptShown>,
}

/// A version, and the VMs that run or last ran on it.
#[derive(Debug, Serialize)]
struct UsedShown {
    #[serde(flatten)]
    version: VersionShown,
    used_by: Vec<VmName>,
}

/// A kept version.
#[derive(Debug, Serialize)]
struct KeptShown {
    #[serde(flatten)]
    revision: RevisionShown,
    label: Option<String>,
    #[serde(flatten)]
    version: UsedShown,
}

/// Looks at the versions of a volume and at who uses them.
pub(crate) fn look(pool: &Pool, id: &VolumeId) -> Result<VersionsShown> {
    let Versions { current, dirty, kept } = vm::versions(pool, id)?;
    let roots =
        list(pool)?.vms.into_iter().filter(|listed| listed.vm.name != id.vm).filter_map(|listed| {
            let (_, state) =
                listed.volumes.into_iter().find(|(name, _)| name.as_str() == "root")?;
            Some((state.current?.inode, listed.vm.name))
        });
    let roots: Vec<_> = roots.collect();
    let used = |version: Version| UsedShown {
        version: version.into(),
        used_by: roots
            .iter()
            .filter(|(inode, _)| *inode == version.inode)
            .map(|(_, name)| name.clone())
            .collect(),
    };
    let kept = kept.into_iter().rev().map(|kept| KeptShown {
        revision: kept.revision.into(),
        label: kept.label,
        version: used(kept.version),
    });
    Ok(VersionsShown {
        volume: id.to_string(),
        uncommitted: dirty.map(Into::into),
        current: current.map(used),
        revisions: kept.collect(),
    })
}

impl VersionsShown {
    /// Returns the table.
    pub(crate) fn text(&self) -> String {
        let mut table = Table::new(["VERSION", "WRITTEN", "SIZE", "TAKES", "LABEL", "USED BY"]);
        let mut row = |name: String, version: &VersionShown, label: &str, users: &[VmName]| {
            table.row([
                name,
                written(version),
                human::size(Bytes(version.size)),
                human::size(Bytes(version.allocated)),
                label.to_owned(),
                users.iter().map(VmName::as_str).collect::<Vec<_>>().join(", "),
            ]);
        };
        if let Some(version) = &self.uncommitted {
            row("uncommitted".into(), version, "", &[]);
        }
        if let Some(used) = &self.current {
            row("current".into(), &used.version, "", &used.used_by);
        }
        for kept in &self.revisions {
            let name = match kept.revision.number {
                Some(number) => number.to_string(),
                None => format!("@{}", kept.revision.time),
            };
            let label = kept.label.as_deref().unwrap_or_default();
            row(name, &kept.version.version, label, &kept.version.used_by);
        }
        table.text()
    }
}

/// Prints the versions of a volume.
pub(crate) fn print(context: &Context, pool: &Pool, id: &VolumeId) -> Result<()> {
    let versions = look(pool, id)?;
    if context.json { out::json(&versions) } else { out::text(&versions.text()) }
}

/// A version that is the current one again.
#[derive(Debug, Serialize)]
struct RevertedShown {
    volume: String,
    to: RevisionShown,
    kept_as: Option<RevisionShown>,
}

/// Makes a kept version the current one again, and prints which, and what is kept for it.
pub(crate) fn revert(context: &Context, pool: &Pool, id: &VolumeId, pick: &Pick) -> Result<()> {
    let reverted = vm::revert(pool, id, pick)?;
    said(&reverted.said);
    background::precache(pool, &id.vm);
    let kept = match reverted.outcome {
        Outcome::Committed(kept) => kept,
        _ => None,
    };
    if context.json {
        let (to, kept_as) = (reverted.to.into(), kept.map(Into::into));
        return out::json(&RevertedShown { volume: id.to_string(), to, kept_as });
    }
    let again = format!("{id}: {} is the current version again", revision_name(reverted.to));
    out::line(&match kept {
        Some(kept) => format!("{again}; the one before is kept as {}", revision_name(kept)),
        None => again,
    })
}
