//! A COW file that is open: what it is by its content alone, and whether it can be believed.
//!
//! In: the path of anything. Out: a [`Cow`], or what else it is. A damaged one is a [`Cow`] too, so that it can be shown;
//! its runs are refused.

use super::{Disk, Runs, instead, store, volatile};
use crate::{
    Error, Result,
    error::{Refusal, RefusalKind},
};
use ebbtide_format::{
    exception_store as exceptions,
    uml_cow::{self, Header, Version},
    units::Bytes,
};
use std::{
    ffi::OsStr,
    fmt,
    io::{self, Read as _},
    ops::Range,
    os::unix::{ffi::OsStrExt as _, fs::FileExt as _},
    path::{Path, PathBuf},
};

/// A COW file.
#[derive(Debug)]
pub struct Cow {
    /// The file or the device.
    pub disk: Disk,
    content: Content,
    /// Which bytes of it are the COW file: all, or a partition.
    window: Range<u64>,
    is_inside: bool,
    state: State,
}

#[derive(Debug)]
enum Content {
    /// Its first bytes.
    Uml(Vec<u8>),
    Store(exceptions::Seen),
    Transient,
}

/// What kind of COW file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Of user-mode Linux; without a version when that is not known here.
    Uml(Option<Version>),
    /// An exception store of dm-snapshot, persistent: `P` or `PO`.
    Store {
        /// Bytes of a chunk, if it is the size of one.
        chunk: Option<Bytes>,
    },
    /// An exception store that keeps its table in the memory of the kernel: `N`.
    Transient,
}

/// Whether what it holds can be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It can.
    Valid,
    /// Nothing was ever written: a store that no kernel has begun to use.
    Empty,
    /// The kernel gave the store up: it ran full, or a write to it failed. What it holds is not all.
    Invalid,
    /// Nothing that can be read says which chunks are where: a store of kind N, or an encrypted one.
    Untold,
    /// It is not as it must be; a sentence that names the file.
    Damaged(String),
}

/// What a COW file says of its backing file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Its path, as it is written.
    pub backing: PathBuf,
    /// When it was last written to, in seconds since 1970.
    pub modified: u32,
    /// Its size.
    pub size: Bytes,
}

impl Cow {
    /// Opens a COW file whose runs can be read.
    ///
    /// # Errors
    /// As [`Cow::look`]; it is damaged, invalid, or keeps no table.
    pub fn open(path: &Path) -> Result<Self> {
        let cow = Self::look(path)?;
        cow.believe().map(|()| cow)
    }

    /// Opens a COW file, be it damaged.
    ///
    /// # Errors
    /// It cannot be opened or read; it is no COW file, and what it is instead.
    pub fn look(path: &Path) -> Result<Self> {
        let disk = Disk::open(path)?;
        let head = head(&disk, 0)?;
        let whole = 0..disk.size.0;
        if let Some((content, state)) = uml(&head, &disk) {
            return Ok(Self { disk, content, window: whole, is_inside: false, state });
        }
        if let Ok(seen @ exceptions::Seen::Header { .. }) = exceptions::Seen::parse(&head) {
            let state = store_state(seen, disk.size, path);
            let content = Content::Store(seen);
            return Ok(Self { disk, content, window: whole, is_inside: false, state });
        }
        if let Some(window) = volatile::window(&disk)? {
            return Self::inside(disk, window);
        }
        if instead::is_blank(&disk)? {
            let content = Content::Store(exceptions::Seen::Empty);
            return Ok(Self {
                disk,
                content,
                window: whole,
                is_inside: false,
                state: State::Empty,
            });
        }
        Err(instead::refusal(&disk)?.into())
    }

    /// Looks at the store in a volatile disk.
    fn inside(disk: Disk, window: Range<u64>) -> Result<Self> {
        let head = head(&disk, window.start)?;
        let (content, state) = match exceptions::Seen::parse(&head) {
            Ok(seen @ exceptions::Seen::Header { .. }) => {
                let size = Bytes(window.end.saturating_sub(window.start));
                (Content::Store(seen), store_state(seen, size, &disk.path))
            }
            _ if instead::is_zero(&disk, window.clone())? => {
                (Content::Store(exceptions::Seen::Empty), State::Empty)
            }
            _ => (Content::Transient, State::Untold),
        };
        Ok(Self { disk, content, window, is_inside: true, state })
    }

    /// Returns what kind of COW file it is.
    #[must_use]
    pub fn format(&self) -> Format {
        match &self.content {
            Content::Uml(head) => {
                Format::Uml(uml_cow::Seen::parse(head).ok().map(|seen| seen.version()))
            }
            Content::Store(exceptions::Seen::Header { chunk, .. }) => {
                let is_size = chunk.is_power_of_two() && *chunk <= exceptions::MAX_CHUNK;
                Format::Store { chunk: is_size.then(|| Bytes(u64::from(*chunk) * 512)) }
            }
            Content::Store(exceptions::Seen::Empty) => Format::Store { chunk: None },
            Content::Transient => Format::Transient,
        }
    }

    /// Returns whether what it holds can be told.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// Returns which bytes of the file or the device the COW file is.
    #[must_use]
    pub fn window(&self) -> Range<u64> {
        self.window.clone()
    }

    /// Returns whether it is a partition of a volatile disk.
    #[must_use]
    pub const fn is_inside(&self) -> bool {
        self.is_inside
    }

    /// Returns the header of a COW file of user-mode Linux that can be believed.
    #[must_use]
    pub fn uml(&self) -> Option<Header<'_>> {
        match &self.content {
            Content::Uml(head) => uml_cow::Seen::parse(head).ok()?.believe().ok(),
            _ => None,
        }
    }

    /// Returns the header of a store that can be believed.
    #[must_use]
    pub fn store(&self) -> Option<exceptions::Header> {
        match &self.content {
            Content::Store(seen) => seen.believe(self.window_size()).ok(),
            _ => None,
        }
    }

    /// Returns what it says of its backing file, be it damaged; a store says nothing.
    #[must_use]
    pub fn recorded(&self) -> Option<Recorded> {
        let Content::Uml(head) = &self.content else { return None };
        let seen = uml_cow::Seen::parse(head).ok()?;
        Some(Recorded {
            backing: PathBuf::from(OsStr::from_bytes(seen.backing())),
            modified: seen.modified(),
            size: seen.size(),
        })
    }

    /// Returns what it holds of a device of `device` bytes; a COW file of user-mode Linux knows its size itself.
    ///
    /// # Errors
    /// As [`Cow::believe`].
    pub fn runs(&self, device: Bytes) -> Result<Runs<'_>> {
        self.believe()?;
        if let Some(header) = self.uml() {
            return Ok(super::uml::runs(&self.disk, &header));
        }
        Ok(match self.store() {
            Some(header) => store::runs(&self.disk, self.window(), &header, device),
            None => Box::new(std::iter::empty()),
        })
    }

    /// Refuses what cannot be merged.
    ///
    /// # Errors
    /// It is damaged, invalid, or keeps no table.
    pub fn believe(&self) -> Result<()> {
        let shown = self.disk.path.display();
        let (text, hint) = match &self.state {
            State::Valid | State::Empty => return Ok(()),
            State::Damaged(text) => (text.clone(), None),
            State::Invalid => (
                format!(
                    "{shown} is an exception store that the kernel gave up: it ran full, or a write to it failed"
                ),
                Some("what it holds is not all that was written: nothing can be made of it"),
            ),
            State::Untold => (
                format!(
                    "{shown} has a store that keeps no table (N), or an encrypted one: which chunks it holds was known to the kernel alone"
                ),
                Some(
                    "boot the VM with ebbtide.overflow=PO and without encryption to be able to look into it",
                ),
            ),
        };
        let refusal = Refusal::new(RefusalKind::Rule, text);
        Err(match hint {
            Some(hint) => refusal.hint(hint),
            None => refusal,
        }
        .into())
    }

    fn window_size(&self) -> Bytes {
        Bytes(self.window.end.saturating_sub(self.window.start))
    }
}

/// As people call it.
impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uml(_) => f.write_str("COW file of user-mode Linux"),
            Self::Store { .. } => f.write_str("exception store of dm-snapshot"),
            Self::Transient => f.write_str("exception store of dm-snapshot without a table (N)"),
        }
    }
}

/// Returns what a file of user-mode Linux is; nothing for another.
fn uml(head: &[u8], disk: &Disk) -> Option<(Content, State)> {
    let believed = match uml_cow::Seen::parse(head) {
        Err(uml_cow::Problem::NotUmlCow) => return None,
        Err(problem) => Err(problem),
        Ok(seen) => seen.believe().and_then(|header| super::uml::check(disk, &header)),
    };
    let damaged = |problem| State::Damaged(format!("{} {problem}", disk.path.display()));
    Some((Content::Uml(head.to_vec()), believed.map_or_else(damaged, |()| State::Valid)))
}

fn store_state(seen: exceptions::Seen, size: Bytes, path: &Path) -> State {
    match seen.believe(size) {
        Ok(_) => State::Valid,
        Err(exceptions::Problem::Empty) => State::Empty,
        Err(exceptions::Problem::Invalid) => State::Invalid,
        Err(problem) => State::Damaged(format!("{}: {problem}", path.display())),
    }
}

/// Reads as much of a file as the header of any COW file has, from `at` on; less where it ends before.
pub(super) fn head(disk: &Disk, at: u64) -> Result<Vec<u8>> {
    let mut head = Vec::with_capacity(uml_cow::HEAD);
    From { disk, at }
        .take(uml_cow::HEAD as u64)
        .read_to_end(&mut head)
        .map_err(Error::doing(format!("read {}", disk.path.display())))?;
    Ok(head)
}

/// Reads on from a place.
struct From<'a> {
    disk: &'a Disk,
    at: u64,
}

impl io::Read for From<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.disk.file.read_at(into, self.at)?;
        self.at = self.at.saturating_add(read as u64);
        Ok(read)
    }
}
