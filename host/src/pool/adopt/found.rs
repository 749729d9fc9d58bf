//! What is found of a tree that is to be adopted, as plain data.

use crate::{
    error::Result,
    pool::{
        Pool,
        check::{
            observe::{is_locked, list, stat},
            seen::Entry,
        },
        store::{Kind as FileKind, Stat},
    },
    vm::record::{FILE, Kind},
};
use std::path::Path;

/// The directory of templates in older trees.
pub const OLD_TEMPLATES: &str = "template-vms";

/// A tree.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its own directory.
    pub root: Stat,
    /// What is in it.
    pub top: Vec<Entry>,
    /// The directories that may be of VMs.
    pub vms: Vec<FoundVm>,
    /// What is beside them.
    pub strays: Vec<Entry>,
}

/// A directory that may be of a VM.
#[derive(Debug, Clone)]
pub struct FoundVm {
    /// Where it is.
    pub dir: Entry,
    /// What such a directory holds.
    pub kind: Kind,
    /// What is in it.
    pub entries: Vec<Entry>,
    /// Whether it has a record.
    pub has_record: bool,
    /// Whether somebody has it locked.
    pub is_locked: bool,
}

/// Looks at a tree. Changes nothing.
///
/// # Errors
/// A directory cannot be read.
pub fn find(pool: &Pool) -> Result<Found> {
    let store = pool.store();
    let root = stat(store, Path::new(""))?.ok_or_else(|| crate::Error::Unreadable {
        path: pool.dir().into(),
        problem: "it is gone".into(),
    })?;
    let top = list(store, Path::new(""))?;
    let mut found = Found { root, top, vms: Vec::new(), strays: Vec::new() };
    for (name, kind) in [
        (Kind::Template.directory(), Kind::Template),
        (OLD_TEMPLATES, Kind::Template),
        (Kind::AppVm.directory(), Kind::AppVm),
    ] {
        let is_there = found
            .top
            .iter()
            .any(|entry| entry.name() == Some(name) && entry.stat.kind == FileKind::Directory);
        let entries = if is_there { list(store, Path::new(name))? } else { Vec::new() };
        for entry in entries {
            if entry.stat.kind == FileKind::Directory {
                found.vms.push(vm(pool, kind, entry)?);
            } else {
                found.strays.push(entry);
            }
        }
    }
    Ok(found)
}

fn vm(pool: &Pool, kind: Kind, dir: Entry) -> Result<FoundVm> {
    let entries = list(pool.store(), &dir.path)?;
    Ok(FoundVm {
        kind,
        has_record: entries.iter().any(|entry| entry.name() == Some(FILE)),
        is_locked: is_locked(pool.store(), &dir.path.join(".lock"))?,
        entries,
        dir,
    })
}
