//! Runs that are read and written, by two threads: one fills a batch while the other empties the one before it.

use super::{Zeros, batch::Batch};
use crate::{
    Error, Result,
    cow::{Disk, Run},
};
use std::{
    io,
    sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    thread::Scope,
};

/// Copies what it is given.
pub(super) struct Copier<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    to: &'scope Disk,
    zeros: Zeros,
    batch: Batch<'scope>,
    /// Started for the first batch that is full.
    writer: Option<Writer<'scope>>,
}

impl<'scope, 'env> Copier<'scope, 'env> {
    pub(super) fn new(scope: &'scope Scope<'scope, 'env>, to: &'scope Disk, zeros: Zeros) -> Self {
        Self { scope, to, zeros, batch: Batch::default(), writer: None }
    }

    /// Takes a run, which is in the target when [`Self::end`] has returned.
    pub(super) fn take(&mut self, run: Run, from: &'scope Disk) -> Result<()> {
        let mut left = self.batch.take(run, from);
        while let Some(run) = left {
            self.batch.read()?;
            self.hand_over()?;
            left = self.batch.take(run, from);
        }
        Ok(())
    }

    /// Writes what is left, and waits for all of it.
    pub(super) fn end(mut self) -> Result<()> {
        self.batch.read()?;
        match self.writer {
            None => self.batch.write(self.to, self.zeros),
            Some(writer) => writer.end(self.batch),
        }
    }

    /// Gives the batch to the writer, for an empty one.
    fn hand_over(&mut self) -> Result<()> {
        let writer =
            self.writer.get_or_insert_with(|| Writer::start(self.scope, self.to, self.zeros));
        self.batch = writer.swap(std::mem::take(&mut self.batch))?;
        Ok(())
    }
}

/// The thread that writes. It ends with the first error, or when it is dropped.
struct Writer<'a> {
    full: SyncSender<Batch<'a>>,
    emptied: Receiver<Result<Batch<'a>>>,
}

impl<'a> Writer<'a> {
    fn start(scope: &'a Scope<'a, '_>, to: &'a Disk, zeros: Zeros) -> Self {
        let (full, filled) = sync_channel(1);
        let (empty, emptied) = channel();
        // The second of the two.
        let _ = empty.send(Ok(Batch::default()));
        scope.spawn(move || write(to, zeros, &filled, &empty));
        Self { full, emptied }
    }

    /// Gives it a batch, and returns the one before it when that is written.
    fn swap(&self, batch: Batch<'a>) -> Result<Batch<'a>> {
        // It has ended with an error, which is the next that comes.
        let _ = self.full.send(batch);
        self.emptied.recv().unwrap_or_else(|_| Err(gone()))
    }

    /// Gives it the last batch, and waits for both.
    fn end(self, batch: Batch<'a>) -> Result<()> {
        self.swap(batch)?;
        drop(self.full);
        self.emptied.recv().unwrap_or_else(|_| Err(gone())).map(drop)
    }
}

/// Writes batches as they come, until no more can come or one cannot be written.
fn write<'a>(
    to: &Disk,
    zeros: Zeros,
    filled: &Receiver<Batch<'a>>,
    empty: &Sender<Result<Batch<'a>>>,
) {
    for mut batch in filled {
        let written = batch.write(to, zeros);
        batch.clear();
        let ended = written.is_err();
        if empty.send(written.map(|()| batch)).is_err() || ended {
            return;
        }
    }
}

/// The thread panicked, which ends the transfer with that panic.
fn gone() -> Error {
    Error::doing("write")(io::ErrorKind::BrokenPipe.into())
}
