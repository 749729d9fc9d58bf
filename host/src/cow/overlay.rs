//! A device in order: what a COW file holds of it, and what its backing has between.

use super::{
    Disk, Run, Runs,
    transfer::{Part, Sharing},
};
use crate::{Error, Result, file::next_data};
use std::ops::Range;

/// What of the backing is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Between {
    /// Nothing: the target has it.
    Nothing,
    /// What is not a hole.
    Data,
    /// All.
    All,
}

/// Parts that make up a device.
pub(super) struct Overlay<'a> {
    runs: Runs<'a>,
    cow: &'a Disk,
    backing: &'a Disk,
    between: Between,
    sharing: Sharing,
    /// Up to where all parts have come.
    at: u64,
    /// The run that comes next, after what is between.
    run: Option<Run>,
}

impl<'a> Overlay<'a> {
    /// Returns what `runs` of the COW file are, cloned as `sharing` says, and what the backing has between them, which is
    /// copied.
    pub(super) fn new(
        runs: Runs<'a>,
        cow: &'a Disk,
        sharing: Sharing,
        backing: &'a Disk,
        between: Between,
    ) -> Self {
        Self { runs, cow, backing, between, sharing, at: 0, run: None }
    }

    /// Returns the next part of the backing before `end`.
    fn between(&mut self, end: u64) -> Result<Option<Part<'a>>> {
        let data = match self.between {
            _ if self.at >= end => None,
            Between::Nothing => None,
            Between::All => Some(self.at..end),
            Between::Data => next_data(&self.backing.file, self.at..end).map_err(Error::doing(
                format_args!("look for holes of {}", self.backing.path.display()),
            ))?,
        };
        self.at = data.as_ref().map_or(end, |data| data.end);
        let part = |Range { start, end }| Part {
            run: Run { at: start, from: start, length: end - start },
            from: self.backing,
            sharing: Sharing::Never,
        };
        Ok(data.map(part))
    }

    fn part(&mut self) -> Result<Option<Part<'a>>> {
        if self.run.is_none() {
            self.run = self.runs.next().transpose()?;
        }
        let end = self.run.map_or(self.backing.size.0, |run| run.at);
        if let Some(part) = self.between(end)? {
            return Ok(Some(part));
        }
        let Some(run) = self.run.take() else { return Ok(None) };
        self.at = run.range().end;
        Ok(Some(Part { run, from: self.cow, sharing: self.sharing }))
    }
}

impl<'a> Iterator for Overlay<'a> {
    type Item = Result<Part<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.part().transpose()
    }
}
