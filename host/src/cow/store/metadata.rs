//! All exceptions of a store, one after the other, and what is wrong with them.

use super::{Disk, Run, lowest::Span};
use crate::{Error, Result};
use ebbtide_format::{
    exception_store::{Exception, Header, exceptions},
    units::Bytes,
};
use std::{fmt, os::unix::fs::FileExt as _};

/// How much is read at once.
const PIECE: u64 = 1 << 20;

/// A store and the device that was written over.
#[derive(Debug)]
pub(super) struct Metadata<'a> {
    pub(super) disk: &'a Disk,
    /// Where in the file the store begins.
    pub(super) start: u64,
    pub(super) header: Header,
    pub(super) device: Bytes,
}

/// Where an exception stands; both count from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) area: u64,
    pub(super) index: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "area {}, exception {}", self.area, self.index)
    }
}

impl Metadata<'_> {
    /// Calls `each` with every exception up to the one that ends them all.
    ///
    /// # Errors
    /// Those of `each`, those of reading, and a store that ends before its exceptions do.
    pub(super) fn each(&self, mut each: impl FnMut(Place, Exception) -> Result<()>) -> Result<()> {
        let mut buffer = vec![0; self.header.chunk().0.min(PIECE) as usize];
        for area in 0.. {
            let range = self.header.area(area).ok_or_else(|| self.truncated(area))?;
            let mut index = 0;
            for at in range.step_by(buffer.len()) {
                self.read(&mut buffer, at)?;
                let mut all = exceptions(&buffer);
                for exception in &mut all {
                    each(Place { area, index }, exception)?;
                    index += 1;
                }
                if all.ended() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn read(&self, buffer: &mut [u8], at: u64) -> Result<()> {
        let failed = Error::doing(format!("read {}", self.disk.path.display()));
        self.disk.file.read_exact_at(buffer, self.start.saturating_add(at)).map_err(failed)
    }

    /// # Errors
    /// The exception leads out of the device or out of the data of the store.
    pub(super) fn check(&self, place: Place, exception: Exception) -> Result<()> {
        let checked = self.header.check(exception, self.device);
        checked.map_err(|problem| self.broken(format!("{place}: {problem}")))
    }

    /// Returns the bytes of a span of exceptions that were checked.
    pub(super) fn run(&self, span: Span) -> Run {
        let chunk = self.header.chunk().0;
        let at = span.old.saturating_mul(chunk);
        Run {
            at,
            from: self.start.saturating_add(self.header.data(span.new)),
            length: span.count.saturating_mul(chunk).min(self.device.0.saturating_sub(at)),
        }
    }

    pub(super) fn old_twice(&self, old: u64) -> Error {
        self.twice(&format!("old chunk {old}"), |exception| exception.old == old)
    }

    pub(super) fn new_twice(&self, new: u64) -> Error {
        self.twice(&format!("new chunk {new}"), |exception| exception.new == new)
    }

    /// Goes through all exceptions once more for two that are alike.
    fn twice(&self, chunk: &str, is_it: impl Fn(Exception) -> bool) -> Error {
        let mut first = None;
        let searched = self.each(|place, exception| match first {
            _ if !is_it(exception) => Ok(()),
            None => {
                first = Some(place);
                Ok(())
            }
            Some(first) => Err(self.broken(format!("{place}: {chunk} is in {first} too"))),
        });
        // Whoever changes the store meanwhile is to blame.
        searched.err().unwrap_or_else(|| self.broken(format!("{chunk} was there twice")))
    }

    fn truncated(&self, area: u64) -> Error {
        let room = Bytes(self.header.chunks() * self.header.chunk().0);
        let text = "the exception store is truncated: wanted area";
        self.broken(format!("{text} {area}, since the one before is full; found the end at {room}"))
    }

    fn broken(&self, problem: String) -> Error {
        Error::Unreadable { path: self.disk.path.clone(), problem }
    }
}
