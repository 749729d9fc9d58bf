//! What files of a volume there are on a pool of this driver, and what its stores say.
//!
//! ```text
//! root.img                           the base: what a VM writes to; the current version, but for what the store holds
//! root-cow.img                       the store: what the base had when it was the current version
//! root-dirty.img                     another name of the base while a VM writes to it; there too after a crash
//! root-cow.img.7@2026-11-20T10:00:00Z    version 7: what it had and the one after it has not
//! root.img.7@2026-11-20T10:00:00Z    version 7, whole: the base until another one was imported
//! root-snap.img                      in a VM that uses a version: another name of its store, beside one of its base
//! root.img.aside-read-…              a version that is being copied, beside its root-snap.img.aside-read-…
//! ….aside-PURPOSE                    being made, or no longer needed
//! ```

use crate::{
    error::{Error, Result},
    pool::{
        driver::Volume,
        protocol::{self, import::PURPOSE},
        store::{Inode, Stat, Store},
    },
    volume::{FileKind, Files, Revision},
};
use ebbtide_format::{
    exception_store::{self, EXCEPTION, LABELLED, Label},
    units::{Bytes, Chunk},
};
use jiff::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

/// A volume as it was found.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// Files named like the base.
    pub(super) base: protocol::Seen,
    /// Files named like the store.
    pub(super) cow: protocol::Seen,
    /// What the store says.
    pub(super) head: Option<Head>,
    /// What the stores of listed versions say; one that cannot be read says nothing.
    pub(super) heads: BTreeMap<Revision, Head>,
}

/// What a store says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// What its device was when it was made.
    pub(super) label: Label,
    /// Its chunk.
    pub(super) chunk: Chunk,
    /// Whether anything is in it.
    pub(super) is_written: bool,
    /// Whether the kernel has given it up.
    pub(super) is_lost: bool,
}

/// A kept version, listed or needed by an older one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) revision: Revision,
    /// Its file, relative to the pool.
    pub(super) path: PathBuf,
    pub(super) what: What,
    /// Whether it is a version for its own sake.
    pub(super) is_listed: bool,
}

/// What the file of a kept version has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// All.
    Base,
    /// What the next one has not.
    Delta,
}

/// What the file of a version is called that only an older one needs, with number and time behind it.
pub(super) const BRIDGE: &str = "bridge";

impl Seen {
    /// Looks at the files of a volume, and reads its store's header.
    pub(super) fn look(store: &dyn Store, volume: &Volume) -> Result<Self> {
        let base = protocol::Seen::look(store, volume)?;
        let cow = protocol::Seen::look(store, &cow_of(volume))?;
        let path = volume.files.cow().clean();
        let head = cow.clean.map(|_| read_head(&store.real(&path))).transpose()?;
        let mut heads = BTreeMap::new();
        for revision in cow.revisions.keys() {
            let path = volume.files.cow().path(&FileKind::Revision(*revision));
            match read_head(&store.real(&path)) {
                Ok(head) => drop(heads.insert(*revision, head)),
                Err(error) => log::warn!("{}", error.chain()),
            }
        }
        Ok(Self { base, cow, head, heads })
    }

    /// Returns the size of the current version.
    pub(super) fn size(&self) -> Option<Bytes> {
        let base = self.base.clean?;
        let head = self.head.filter(|head| !head.is_lost);
        Some(head.map_or(base.size, |head| head.label.device))
    }

    /// Returns whether a VM has written since the current version was made, or was given more room.
    pub(super) fn is_written(&self) -> bool {
        self.head.is_some_and(|head| head.is_written || head.is_lost) || self.is_longer()
    }

    /// Returns whether a cut has left the base of an import in place, and its store aside.
    pub(super) fn is_half_imported(&self) -> bool {
        self.cow.asides.contains(PURPOSE) && !self.base.asides.contains(PURPOSE)
    }

    /// Returns whether the base has more than the current version.
    pub(super) fn is_longer(&self) -> bool {
        match (self.base.clean, self.head) {
            (Some(base), Some(head)) => !head.is_lost && base.size > head.label.device,
            _ => false,
        }
    }

    /// Returns the kept versions, oldest first, those that only others need too.
    pub(super) fn kept(&self, files: &Files) -> Vec<Kept> {
        let series =
            [(&self.base, files.clone(), What::Base), (&self.cow, files.cow(), What::Delta)];
        let mut kept = Vec::new();
        for (seen, files, what) in series {
            for revision in seen.revisions.keys().copied() {
                let path = files.path(&FileKind::Revision(revision));
                kept.push(Kept { revision, path, what, is_listed: true });
            }
            for purpose in &seen.asides {
                if let Some(Ok(revision)) = purpose.strip_prefix(BRIDGE).map(str::parse) {
                    let path = files.aside(purpose);
                    kept.push(Kept { revision, path, what, is_listed: false });
                }
            }
        }
        kept.sort_by_key(|kept| kept.revision);
        kept
    }

    /// Returns the number by which the content of a kept version is known: that of the first one that had it.
    pub(super) fn content(&self, revision: Revision) -> u64 {
        let same = self.heads.get(&revision).map_or(0, |head| head.label.same_as);
        if same == 0 { revision.number.unwrap_or(0) } else { same }
    }

    /// Returns the listed versions.
    pub(super) fn revisions(&self) -> BTreeSet<Revision> {
        self.base.revisions.keys().chain(self.cow.revisions.keys()).copied().collect()
    }

    /// Returns the stat of a listed version.
    pub(super) fn revision(&self, revision: Revision) -> Option<Stat> {
        self.base.revisions.get(&revision).or_else(|| self.cow.revisions.get(&revision)).copied()
    }

    /// Returns which file the base is.
    pub(super) fn base_inode(&self) -> Option<Inode> {
        self.base.clean.map(|base| base.inode)
    }
}

impl Head {
    /// Returns when the version was made.
    pub(super) fn time(&self) -> Timestamp {
        let nanoseconds = i32::try_from(self.label.nanoseconds).unwrap_or(0);
        Timestamp::new(self.label.seconds, nanoseconds).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

/// Returns the volume whose files are the stores of this one.
pub(super) fn cow_of(volume: &Volume) -> Volume {
    Volume {
        files: volume.files.cow(),
        source: volume.source.as_ref().map(Files::cow),
        ..volume.clone()
    }
}

/// Reads what a store says of itself.
pub(super) fn read_head(path: &Path) -> Result<Head> {
    let failed = || Error::doing(format!("read {}", path.display()));
    let file = File::open(path).map_err(failed())?;
    let mut head = [0; LABELLED];
    let read = read_up_to(&file, &mut head, 0).map_err(failed())?;
    let broken = |problem: String| Error::Unreadable { path: path.into(), problem };
    let seen = exception_store::Seen::parse(&head[..read])
        .map_err(|problem| broken(problem.to_string()))?;
    let exception_store::Seen::Header { valid, chunk, .. } = seen else {
        return Err(broken("it is empty".into()));
    };
    // The kernel writes the whole chunk when it gives a store up.
    let unlabelled = Label { device: Bytes(0), seconds: 0, nanoseconds: 0, same_as: 0 };
    let label = Label::parse(&head[..read])
        .or((valid == 0).then_some(unlabelled))
        .ok_or_else(|| broken("it has no label of ours: it was not made by this driver".into()))?;
    let bytes = Bytes(u64::from(chunk) * 512);
    let chunk = Chunk::from_bytes(bytes)
        .ok_or_else(|| broken(format!("its chunks have {bytes}: no store of ours has such")))?;
    let mut first = [0; EXCEPTION as usize];
    read_up_to(&file, &mut first, bytes.0).map_err(failed())?;
    let is_written = exception_store::exceptions(&first).next().is_some();
    Ok(Head { label, chunk, is_written, is_lost: valid == 0 })
}

/// Reads until the buffer is full or the file ends.
fn read_up_to(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], at + done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}
