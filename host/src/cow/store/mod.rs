//! The exceptions of a dm-snapshot store as runs.
//!
//! In: a store whose header is believed, and the size of the device that was written over. Out: runs in the order of the
//! device, in memory that does not grow with the store. A store lists its exceptions in the order in which the chunks
//! were written; each pass over all of them keeps the lowest runs after those of the pass before.

mod lowest;
mod metadata;
mod seen;

use self::{
    lowest::{Lowest, Span},
    metadata::Metadata,
    seen::SeenNew,
};
use super::{Disk, Run, Runs};
use crate::Result;
use ebbtide_format::{exception_store::Header, units::Bytes};
use std::{ops::Range, vec};

/// How many runs a pass keeps: twice as many of 24 bytes each are in memory.
const KEPT: usize = 1 << 19;

/// Returns the runs of a store over a device of `device` bytes; `window` is where in the file or disk the store is.
///
/// No run comes before all exceptions were looked at, so one that leads out of the device or the store is an error
/// before anything else; of a chunk that is there twice, that is so unless the runs are more than one pass keeps. Who
/// must not begin what cannot be ended goes through all runs once before.
pub fn runs<'a>(disk: &'a Disk, window: Range<u64>, header: &Header, device: Bytes) -> Runs<'a> {
    runs_by(disk, window, header, device, KEPT)
}

/// Does what [`runs`] does by passes that keep `kept` runs.
pub fn runs_by<'a>(
    disk: &'a Disk,
    window: Range<u64>,
    header: &Header,
    device: Bytes,
    kept: usize,
) -> Runs<'a> {
    let metadata = Metadata { disk, start: window.start, header: *header, device };
    let spans = Spans {
        metadata,
        kept: kept.max(1),
        checked: false,
        pass: Vec::new().into_iter(),
        from: Some(0),
        end: 0,
    };
    Box::new(Joined { spans, next: None, ended: false })
}

/// The spans in the order of the device, not joined, each checked against the one before.
struct Spans<'a> {
    metadata: Metadata<'a>,
    kept: usize,
    /// Whether all exceptions were looked at.
    checked: bool,
    /// What is left of this pass.
    pass: vec::IntoIter<Span>,
    /// First old chunk of the next pass, unless this is the last.
    from: Option<u64>,
    /// End of the last span that came out.
    end: u64,
}

impl Spans<'_> {
    fn next(&mut self) -> Result<Option<Span>> {
        loop {
            if let Some(span) = self.pass.next() {
                if span.old < self.end {
                    return Err(self.metadata.old_twice(span.old));
                }
                // Whoever changes the store between two passes gets nonsense, and not a panic.
                self.end = span.old.saturating_add(span.count);
                return Ok(Some(span));
            }
            let Some(from) = self.from else { return Ok(None) };
            self.look(from)?;
        }
    }

    /// Goes through all exceptions for the lowest spans from `from` on.
    fn look(&mut self, from: u64) -> Result<()> {
        // What the pass before kept is not in memory beside this one.
        self.pass = Vec::new().into_iter();
        let mut lowest = Lowest::new(from, self.kept);
        let mut news = (!self.checked).then(|| SeenNew::of(&self.metadata.header));
        let mut open: Option<Span> = None;
        self.metadata.each(|place, exception| {
            if let Some(news) = &mut news {
                self.metadata.check(place, exception)?;
                if news.is_there(exception.new) {
                    return Err(self.metadata.new_twice(exception.new));
                }
            }
            match &mut open {
                Some(span) if span.goes_on_with(exception) => span.count += 1,
                _ => lowest.extend(open.replace(Span::of(exception))),
            }
            Ok(())
        })?;
        lowest.extend(open);
        self.checked = true;
        let (spans, next) = lowest.sorted();
        // More spans begin with one chunk than a pass keeps.
        if next == Some(from) {
            return Err(self.metadata.old_twice(from));
        }
        (self.pass, self.from) = (spans.into_iter(), next);
        Ok(())
    }
}

/// Spans as runs, joined.
struct Joined<'a> {
    spans: Spans<'a>,
    /// Begun, and may go on with the next span.
    next: Option<Run>,
    ended: bool,
}

impl Joined<'_> {
    /// Returns the next run, `None` after the last.
    fn run(&mut self) -> Result<Option<Run>> {
        while let Some(span) = self.spans.next()? {
            let run = self.spans.metadata.run(span);
            match self.next {
                Some(before) => match before.joined(run) {
                    Some(both) => self.next = Some(both),
                    None => return Ok(self.next.replace(run)),
                },
                None => self.next = Some(run),
            }
        }
        Ok(self.next.take())
    }
}

impl Iterator for Joined<'_> {
    type Item = Result<Run>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let run = self.run().transpose();
        self.ended = !matches!(run, Some(Ok(_)));
        run
    }
}
