//! Disks of a machine: what one is to be goes in, a file on the host comes out at each start.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fmt, io};

use crate::error::{Error, Result};
use crate::size::Size;
use crate::sparse;

type Preset = Arc<dyn Fn(&Path) -> io::Result<()> + Send + Sync>;

/// The description of one disk.
#[derive(Clone)]
pub struct Disk {
    pub(crate) content: Content,
    pub(crate) serial: Serial,
    pub(crate) read_only: bool,
    pub(crate) logical_block: u32,
    pub(crate) physical_block: u32,
    pub(crate) renewal: Renewal,
    presets: Vec<Preset>,
}

/// Where the bytes of a disk are.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// In a file that is used as it is.
    File(PathBuf),
    /// In a copy of a file, made with the machine.
    CopyOf(PathBuf),
    /// In a new sparse file.
    Empty(Size),
}

/// What the guest finds as the serial number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Serial {
    /// The name of the disk's role, nothing if it has none.
    OfRole,
    Is(String),
    Absent,
}

/// When the file of an empty or copied disk is made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Renewal {
    /// At every start for the volatile disk, else with the machine.
    OfRole,
    WithMachine,
    EveryStart,
}

impl Disk {
    fn new(content: Content) -> Self {
        let (logical_block, physical_block) = (512, 512);
        let (serial, renewal) = (Serial::OfRole, Renewal::OfRole);
        let presets = Vec::new();
        Self { content, serial, read_only: false, logical_block, physical_block, renewal, presets }
    }

    /// A new sparse disk, deleted with the machine.
    pub fn empty(size: Size) -> Self {
        Self::new(Content::Empty(size))
    }

    /// An existing file that the guest can only read.
    pub fn read_only(path: impl Into<PathBuf>) -> Self {
        Self { read_only: true, ..Self::new(Content::File(path.into())) }
    }

    /// An existing file that the guest may write to.
    pub fn writable(path: impl Into<PathBuf>) -> Self {
        Self::new(Content::File(path.into()))
    }

    /// A writable copy of a file, deleted with the machine.
    pub fn copy_of(path: impl Into<PathBuf>) -> Self {
        Self::new(Content::CopyOf(path.into()))
    }

    /// Sets the virtio serial, at most 20 bytes.
    pub fn serial(self, serial: impl Into<String>) -> Self {
        Self { serial: Serial::Is(serial.into()), ..self }
    }

    /// Attaches the disk without a serial, to be found by its place only.
    pub fn without_serial(self) -> Self {
        Self { serial: Serial::Absent, ..self }
    }

    /// Sets the logical block size, and the physical one if that is smaller.
    pub fn logical_block(self, bytes: u32) -> Self {
        Self { logical_block: bytes, physical_block: self.physical_block.max(bytes), ..self }
    }

    /// Sets the physical block size.
    pub fn physical_block(self, bytes: u32) -> Self {
        Self { physical_block: bytes, ..self }
    }

    /// Makes an empty or copied disk read-only for the guest, after its presets.
    pub fn write_protected(self) -> Self {
        Self { read_only: true, ..self }
    }

    /// Keeps the content over power cycles, also of the volatile disk.
    pub fn kept(self) -> Self {
        Self { renewal: Renewal::WithMachine, ..self }
    }

    /// Makes the content anew at every start.
    pub fn renewed(self) -> Self {
        Self { renewal: Renewal::EveryStart, ..self }
    }

    /// Writes `bytes` at `offset` whenever the content is made.
    pub fn with_bytes(self, offset: Size, bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        self.prepared_by(move |path| {
            OpenOptions::new().write(true).open(path)?.write_all_at(&bytes, offset.as_bytes())
        })
    }

    /// Runs `prepare` on the file whenever the content is made.
    pub fn prepared_by(
        mut self,
        prepare: impl Fn(&Path) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        self.presets.push(Arc::new(prepare));
        self
    }

    /// Gives what is `OfRole` the values of the role.
    pub(crate) fn in_role(mut self, name: &str, renewal: Renewal) -> Self {
        if self.serial == Serial::OfRole {
            self.serial = Serial::Is(name.to_owned());
        }
        if self.renewal == Renewal::OfRole {
            self.renewal = renewal;
        }
        self
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Disk({:?}, {:?}, {:?})", self.content, self.serial, self.renewal)
    }
}

/// A disk that belongs to a machine: its description, its name there, and its file.
#[derive(Debug)]
pub struct Drive {
    pub(crate) disk: Disk,
    pub(crate) node: String,
    name: String,
    path: PathBuf,
}

impl Drive {
    /// Takes the place `index` among the disks of a machine whose files live in `dir`.
    pub(crate) fn new(disk: Disk, index: usize, dir: &Path) -> Self {
        let node = format!("disk{index}");
        let name = match &disk.serial {
            Serial::Is(serial) => serial.clone(),
            Serial::OfRole | Serial::Absent => node.clone(),
        };
        let path = match &disk.content {
            Content::File(path) => path.clone(),
            Content::CopyOf(_) | Content::Empty(_) => dir.join(format!("{node}.img")),
        };
        Self { disk, node, name, path }
    }

    /// Returns the serial, or `diskN` for the disk at place N without one.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the file on the host.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the room that the file takes on the host: `st_blocks`, not its length.
    ///
    /// # Errors
    /// When the file cannot be examined.
    pub fn allocated(&self) -> Result<Size> {
        let found = self.path.metadata().map_err(self.failed("examining"))?;
        Ok(Size::sectors(found.blocks()))
    }

    /// Returns whether the file holds `needle`, which must not be empty, anywhere in its data.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn holds(&self, needle: &[u8]) -> Result<bool> {
        if needle.is_empty() {
            return Ok(true);
        }
        sparse::holds(&self.path, needle).map_err(self.failed("searching"))
    }

    /// Makes the file for the start number `start`, counted from 0, where that start needs a new one.
    pub(crate) fn make(&self, start: u32) -> Result<()> {
        if start > 0 && self.disk.renewal != Renewal::EveryStart {
            return Ok(());
        }
        match &self.disk.content {
            Content::File(path) => {
                File::open(path).map_err(self.failed("opening"))?;
                return Ok(());
            }
            Content::CopyOf(from) => sparse::copy(from, &self.path).map_err(Error::io(format!(
                "copying {} for {}",
                from.display(),
                self.name
            )))?,
            Content::Empty(size) => File::create(&self.path)
                .and_then(|file| file.set_len(size.as_bytes()))
                .map_err(self.failed("making"))?,
        }
        let mut presets = self.disk.presets.iter();
        presets.try_for_each(|preset| preset(&self.path)).map_err(self.failed("filling"))
    }

    fn failed(&self, doing: &str) -> impl FnOnce(io::Error) -> Error + use<> {
        Error::io(format!("{doing} {}, the file of disk {},", self.path.display(), self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_volatile_disk_is_new_at_every_start_and_others_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let marked = Disk::empty(Size::mib(8)).with_bytes(Size::kib(4), *b"old");
        let volatile = marked.clone().in_role("volatile", Renewal::EveryStart);
        let drives = [volatile.clone(), volatile.kept(), marked.serial("private")];
        let drives = drives.into_iter().enumerate().map(|(n, d)| Drive::new(d, n, dir.path()));
        let after_power_cycle: Vec<bool> = drives
            .map(|drive| {
                drive.make(0).unwrap();
                assert!(drive.holds(b"old").unwrap());
                let file = OpenOptions::new().write(true).open(drive.path()).unwrap();
                file.write_all_at(b"new", 1 << 20).unwrap();
                drive.make(1).unwrap();
                assert!(drive.allocated().unwrap() < Size::mib(1));
                drive.holds(b"new").unwrap()
            })
            .collect();
        assert_eq!(after_power_cycle, [false, true, true]);
    }

    #[test]
    fn a_missing_file_is_named_and_a_given_one_is_not_touched() {
        let missing = Drive::new(Disk::read_only("/nonexistent/root.img"), 0, Path::new("/"));
        let error = missing.make(0).unwrap_err().to_string();
        assert!(error.contains("/nonexistent/root.img") && error.contains("disk0"), "{error}");

        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "content").unwrap();
        Drive::new(Disk::writable(file.path()).renewed(), 0, Path::new("/")).make(1).unwrap();
        assert_eq!(std::fs::read(file.path()).unwrap(), b"content");
    }
}
