//! What a user sees of a volume, all of it, and what a look into the directories and at the devices shows.

use crate::world::{CHUNK, World, all};
use ebbtide::pool::{
    driver::{Commit as _, Volume, Volumes as _, dm::devices::Devices as _},
    store::Store as _,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    path::Path,
};

/// The whole content of a disk.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) bytes: Vec<u8>,
}

impl Image {
    pub(crate) fn of(path: &Path) -> Self {
        Self { bytes: fs::read(path).unwrap() }
    }
}

impl From<File> for Image {
    fn from(mut file: File) -> Self {
        file.seek(SeekFrom::Start(0)).unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        Self { bytes }
    }
}

/// A letter for each chunk, `?` where it is not filled with one.
impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.bytes.len())?;
        for chunk in self.bytes.chunks(CHUNK) {
            let is_one = chunk.iter().all(|byte| *byte == chunk[0]);
            let letter = if chunk[0] == 0 { '.' } else { char::from(chunk[0]) };
            write!(f, "{}", if is_one { letter } else { '?' })?;
        }
        Ok(())
    }
}

/// What a user sees of a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) current: Option<Image>,
    /// What was written, or what is written: `None` too when that is nothing.
    pub(crate) dirty: Option<Image>,
    /// Versions by their numbers.
    pub(crate) revisions: BTreeMap<u64, Image>,
}

impl Seen {
    /// Asserts that this is `old` or `new`, or `new` with a version that is yet to be pruned.
    pub(crate) fn is_old_or_new(&self, old: &Self, new: &Self, when: &str) {
        let has_new = new.revisions.iter().all(|kept| self.revisions.get(kept.0) == Some(kept.1));
        let known = self.revisions.iter().all(|(number, image)| {
            new.revisions.get(number).or(old.revisions.get(number)) == Some(image)
        });
        let is_new = self.current == new.current && self.dirty == new.dirty && has_new && known;
        // The first start of a volume that begins from another: begun, and ended without a write.
        let is_begun = old.current.is_none() && self.current == new.current && self.dirty.is_none();
        assert!(
            self == old || is_new || is_begun,
            "{when}: neither old nor new: {self:#?}\nold {old:#?}\nnew {new:#?}"
        );
    }
}

impl World {
    /// Returns the current version.
    pub(crate) fn current(&self, volume: &Volume) -> Option<Image> {
        let state = self.driver.state(volume).unwrap();
        state.current.map(|_| Image::from(self.driver.open(volume, None).unwrap()))
    }

    pub(crate) fn seen(&self, volume: &Volume) -> Seen {
        let open = |of| Image::from(self.driver.open(volume, of).unwrap());
        let state = self.driver.state(volume).unwrap();
        let current = self.current(volume);
        let dirty = self.store.real(&volume.files.dirty());
        let dirty = volume.role.is_kept().then(|| fs::read(dirty).ok()).flatten();
        let dirty =
            dirty.map(|bytes| Image { bytes }).filter(|dirty| Some(dirty) != current.as_ref());
        let revisions = state.revisions.iter().map(|(revision, _)| *revision);
        let revisions = revisions.map(|of| (of.number.unwrap(), open(Some(of))));
        Seen { current, dirty, revisions: revisions.collect() }
    }

    /// Returns the names of all files of the volumes, without times and random parts.
    pub(crate) fn all_names(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for dir in all().iter().map(|volume| &volume.files.dir).collect::<BTreeSet<_>>() {
            for name in self.names(dir) {
                let name = name.split('@').next().unwrap();
                let name = name.split_inclusive(".export-").next().unwrap();
                found.insert(dir.join(name).display().to_string());
            }
        }
        found
    }

    /// Returns how many devices of each kind there are that no VM has that runs all the time.
    pub(crate) fn devices(&self) -> BTreeMap<String, usize> {
        let is_used = |name: &String| {
            self.running.iter().any(|(_, path, _)| path.file_name().unwrap() == name.as_str())
        };
        let mut kinds = BTreeMap::new();
        for found in self.mapped.found(&|_| true).unwrap() {
            let name = found.name.to_string();
            if !is_used(&name) {
                let kind = name.split('-').next().unwrap().to_owned();
                *kinds.entry(kind).or_default() += 1;
            }
        }
        kinds
    }
}
