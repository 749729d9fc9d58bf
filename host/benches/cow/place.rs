//! Where one case is measured: its backing, made equal before each contestant, and its COW files.

use crate::{
    Result,
    case::{Case, Written},
    data, extents,
    random::{Of, Random, fill},
    rest::settle,
};
use ebbtide_sys::fiemap::Extent;
use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// How much is written at once.
const PIECE: usize = 4 << 20;
/// How many pieces may be written back without a look at what became of the extents.
const FEW: usize = 16;
/// How many blocks between the pieces are compared.
const SAMPLES: u64 = 2000;

/// A directory with one case.
pub(crate) struct Place {
    pub(crate) dir: PathBuf,
    pub(crate) case: Case,
    /// Whether the file system clones.
    pub(crate) clones: bool,
    /// Whether it writes to a new place whatever is written again.
    pub(crate) moves: bool,
    modified: SystemTime,
    /// What the backing's extents were when it was made.
    extents: Vec<Extent>,
    /// Somebody wrote to the backing.
    used: bool,
}

impl Place {
    /// Makes the backing and all COW files in a new directory.
    pub(crate) fn make(dir: PathBuf, case: Case) -> Result<Self> {
        fs::create_dir(&dir)?;
        let (clones, moves) = (extents::clones(&dir)?, extents::moves(&dir)?);
        let modified = SystemTime::now();
        let extents = Vec::new();
        let mut place = Self { dir, case, clones, moves, modified, extents, used: false };
        place.build()?;
        data::uml::make(&place.uml(), &place.case, &place.backing())?;
        if place.case.name == "scattered" {
            data::store::make(&place.store(4096), &place.case, 4096)?;
            data::store::make(&place.store(8192), &place.case, 8192)?;
        }
        let pieces = place.dir.join("pieces");
        data::qcow2::make(&place.qcow2(), &place.case, &place.backing(), &pieces)?;
        Ok(place)
    }

    pub(crate) fn backing(&self) -> PathBuf {
        self.dir.join("backing.img")
    }

    pub(crate) fn uml(&self) -> PathBuf {
        self.dir.join("cow.uml")
    }

    pub(crate) fn store(&self, chunk: u64) -> PathBuf {
        self.dir.join(format!("cow.store-{chunk}"))
    }

    pub(crate) fn qcow2(&self) -> PathBuf {
        self.dir.join("cow.qcow2")
    }

    /// What a merge to a new file makes.
    pub(crate) fn out(&self) -> PathBuf {
        self.dir.join("out.img")
    }

    /// Writes the backing anew.
    fn build(&mut self) -> Result<()> {
        let path = self.backing();
        if path.exists() {
            fs::remove_file(&path)?;
            settle(&self.dir)?;
        }
        let file = File::create_new(&path)?;
        let mut buffer = vec![0; PIECE];
        for at in (0..self.case.size).step_by(PIECE) {
            fill(&mut buffer, at, Of::Backing);
            file.write_all_at(&buffer, at)?;
        }
        file.set_modified(self.modified)?;
        file.sync_all()?;
        self.extents = extents::of(&file)?;
        Ok(())
    }

    /// Makes all equal: the backing as it was at first, where its extents are too, or one that is new; nothing left of a
    /// merge; `cow` in the page cache, and the backing too; the file system at rest.
    pub(crate) fn fresh(&mut self, cow: &Path, reads_backing: bool) -> Result<()> {
        if self.used {
            let file = File::options().read(true).write(true).open(self.backing())?;
            let few = self.case.pieces.len() <= FEW;
            if few || extents::of(&file)? == self.extents {
                for (at, bytes) in self.below().each() {
                    file.write_all_at(bytes, at)?;
                }
                file.sync_all()?;
            } else {
                self.build()?;
            }
            self.used = false;
        }
        for name in ["backing.img.ebbtide-merge", "out.img"] {
            let path = self.dir.join(name);
            if path.exists() {
                fs::remove_file(path)?;
            }
        }
        File::options().write(true).open(self.backing())?.set_modified(self.modified)?;
        settle(&self.dir)?;
        extents::warm(cow)?;
        if reads_backing { extents::warm(&self.backing()) } else { Ok(()) }
    }

    /// Somebody is about to write to the backing.
    pub(crate) fn use_backing(&mut self) {
        self.used = true;
    }

    /// What is below the pieces, with those of the largest chunk.
    fn below(&self) -> Written {
        let Written { pieces, mut bytes } = self.case.written(8192);
        let mut left = bytes.as_mut_slice();
        for piece in &pieces {
            let (these, rest) = left.split_at_mut((piece.end - piece.start) as usize);
            fill(these, piece.start, Of::Backing);
            left = rest;
        }
        Written { pieces, bytes }
    }

    /// Compares all pieces of `merged`, and blocks between them.
    pub(crate) fn check(&self, merged: &Path, written: &Written) -> Result<()> {
        let file = File::open(merged)?;
        let wrong = |at: u64| Err(format!("{} is wrong at {at}", merged.display()).into());
        if file.metadata()?.len() != self.case.size {
            return wrong(self.case.size);
        }
        let mut buffer = Vec::new();
        for (at, bytes) in written.each() {
            buffer.resize(bytes.len(), 0);
            file.read_exact_at(&mut buffer, at)?;
            if buffer != bytes {
                return wrong(at);
            }
        }
        let (mut random, mut wanted) = (Random(1), [0; 4096]);
        buffer.resize(wanted.len(), 0);
        for _ in 0..SAMPLES {
            let at = random.below(self.case.size / 4096) * 4096;
            let next = self.case.pieces.partition_point(|piece| piece.end <= at);
            if self.case.pieces.get(next).is_some_and(|piece| piece.start <= at) {
                continue;
            }
            fill(&mut wanted, at, Of::Backing);
            file.read_exact_at(&mut buffer, at)?;
            if buffer != wanted {
                return wrong(at);
            }
        }
        Ok(())
    }
}
