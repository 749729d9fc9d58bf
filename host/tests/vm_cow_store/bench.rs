//! A machine that maps snapshots: a disk to be written over, and stores of many kinds.

use crate::kernels::{Folder, Pieces, Random, must, same, text};
use std::{fs, path::PathBuf};
use vmtest::{Result, Uml, UmlVm};

/// 12 MiB and some sectors: the last chunk is a partial one, unless a chunk is a sector.
pub(crate) const SECTORS: u64 = 12 * 2048 + 5;

/// A store, which is a disk of its own.
pub(crate) struct Store {
    /// In sectors.
    pub(crate) chunk: u64,
    /// `P` or `PO`.
    pub(crate) kind: &'static str,
    /// In sectors.
    pub(crate) room: u64,
}

impl Store {
    /// One that all chunks have room in.
    pub(crate) const fn ample(chunk: u64, kind: &'static str) -> Self {
        Self { chunk, kind, room: SECTORS + SECTORS / 8 + 4 * chunk }
    }

    /// One that has room for less than half of them.
    pub(crate) const fn small(chunk: u64, kind: &'static str) -> Self {
        Self { chunk, kind, room: SECTORS / 3 }
    }

    /// Returns the name of its file, and of its snapshot.
    pub(crate) fn name(&self) -> String {
        let size = if self.room < SECTORS { "small" } else { "" };
        format!("{}{}{size}", self.kind, self.chunk)
    }

    /// Returns the snapshot in the guest.
    pub(crate) fn device(&self) -> String {
        format!("/dev/mapper/{}", self.name())
    }
}

/// A folder with an origin and stores, which are the disks of a machine in this order.
pub(crate) struct Bench {
    pub(crate) folder: Folder,
    pub(crate) random: Random,
    pub(crate) stores: Vec<Store>,
}

impl Bench {
    pub(crate) fn new(seed: u64, stores: Vec<Store>) -> Self {
        let (folder, mut random) = (Folder::new(), Random::new(seed));
        let mut content = random.bytes(SECTORS * 512);
        // Zeros are content like any other.
        content[1 << 20..2 << 20].fill(0);
        folder.write("origin", &content);
        for store in &stores {
            let file = fs::File::create(folder.at(&store.name())).unwrap();
            file.set_len(store.room * 512).unwrap();
        }
        Self { folder, random, stores }
    }

    pub(crate) fn start(&self) -> Result<UmlVm> {
        let uml = Uml::sharing(self.folder.dir()).modules(&["dm-mod", "dm-bufio", "dm-snapshot"]);
        let uml = uml.disk(&self.folder.at("origin"));
        let files = self.stores.iter().map(|store| self.folder.at(&store.name()));
        files.fold(uml, |uml, file| uml.disk(&file)).start()
    }

    /// Draws what is to be written, and returns it with the file that has it for the guest.
    pub(crate) fn pieces(&mut self, count: u64, longest: u64) -> (Pieces, PathBuf) {
        let pieces = Pieces::draw(&mut self.random, SECTORS, count, longest);
        let file = self.folder.at("pieces");
        pieces.save(&file);
        (pieces, file)
    }

    /// Returns the line that makes the snapshot of a store, of the origin's disk.
    pub(crate) fn create(&self, store: &Store) -> String {
        let number = self.stores.iter().position(|one| one.name() == store.name()).unwrap();
        let disk = char::from(b'b' + u8::try_from(number).unwrap());
        let (name, kind, chunk) = (store.name(), store.kind, store.chunk);
        let target = format!("snapshot /dev/ubda /dev/ubd{disk} {kind} {chunk}");
        format!("dmsetup create {name} --table '0 {SECTORS} {target}'\n")
    }

    /// Returns the lines that map the snapshot anew, so that the kernel reads the store, and keep what is seen then.
    pub(crate) fn shown(&self, store: &Store) -> String {
        let (name, device, to) = (store.name(), store.device(), self.file_shown(store));
        let (create, to) = (self.create(store), to.display());
        format!("dmsetup remove {name}\n{create}dd if={device} of={to} bs=64k status=none\n")
    }

    fn file_shown(&self, store: &Store) -> PathBuf {
        self.folder.at(&format!("{}.shown", store.name()))
    }

    /// Merges a store to a new file, and returns what that holds.
    pub(crate) fn merged(&self, store: &Store) -> Vec<u8> {
        let (cow, out) = (self.folder.at(&store.name()), self.folder.at("merged"));
        let origin = self.folder.at("origin");
        must(&["cow", "merge", "--backing", text(&origin), text(&cow), text(&out)]);
        let merged = self.folder.read("merged");
        self.folder.remove("merged");
        merged
    }

    /// Merges a copy of a store into a copy of the origin, and returns what that holds then.
    pub(crate) fn merged_in_place(&self, store: &Store) -> Vec<u8> {
        let cow = self.folder.copy(&store.name(), "copy.store");
        let origin = self.folder.copy("origin", "copy");
        must(&["cow", "merge", "--in-place", "--backing", text(&origin), text(&cow)]);
        let merged = self.folder.read("copy");
        self.folder.remove("copy");
        merged
    }

    /// Compares both merges of a store with what the kernel has shown, and returns that.
    pub(crate) fn merges_to_what_was_shown(&self, store: &Store) -> Vec<u8> {
        let (name, shown) = (store.name(), fs::read(self.file_shown(store)).unwrap());
        let (origin, content) = (self.folder.read("origin"), self.folder.read(&name));
        same(&name, &self.merged(store), &shown);
        same(&format!("{name} in place"), &self.merged_in_place(store), &shown);
        same("the origin", &self.folder.read("origin"), &origin);
        same("the store", &self.folder.read(&name), &content);
        shown
    }
}
