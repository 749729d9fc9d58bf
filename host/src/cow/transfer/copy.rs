//! Runs that are read and written, by two threads: one fills a batch while the other empties the one before it.

use super::batch::Batch;
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
    from: &'env Disk,
    to: &'env Disk,
    batch: Batch,
    /// Started for the first batch that is full.
    writer: Option<Writer>,
}

impl<'scope, 'env> Copier<'scope, 'env> {
    pub(super) fn new(
        scope: &'scope Scope<'scope, 'env>,
        from: &'env Disk,
        to: &'env Disk,
    ) -> Self {
        Self { scope, from, to, batch: Batch::default(), writer: None }
    }

    /// Takes a run, which is in the target when [`Self::end`] has returned.
    pub(super) fn take(&mut self, run: Run) -> Result<()> {
        let mut left = self.batch.take(run);
        while let Some(run) = left {
            self.batch.read(self.from)?;
            self.hand_over()?;
            left = self.batch.take(run);
        }
        Ok(())
    }

    /// Writes what is left, and waits for all of it.
    pub(super) fn end(mut self) -> Result<()> {
        self.batch.read(self.from)?;
        match self.writer {
            None => self.batch.write(self.to),
            Some(writer) => writer.end(self.batch),
        }
    }

    /// Gives the batch to the writer, for an empty one.
    fn hand_over(&mut self) -> Result<()> {
        let writer = self.writer.get_or_insert_with(|| Writer::start(self.scope, self.to));
        self.batch = writer.swap(std::mem::take(&mut self.batch))?;
        Ok(())
    }
}

/// The thread that writes. It ends with the first error, or when it is dropped.
struct Writer {
    full: SyncSender<Batch>,
    emptied: Receiver<Result<Batch>>,
}

impl Writer {
    fn start<'scope>(scope: &'scope Scope<'scope, '_>, to: &'scope Disk) -> Self {
        let (full, filled) = sync_channel(1);
        let (empty, emptied) = channel();
        // The second of the two.
        let _ = empty.send(Ok(Batch::default()));
        scope.spawn(move || write(to, &filled, &empty));
        Self { full, emptied }
    }

    /// Gives it a batch, and returns the one before it when that is written.
    fn swap(&self, batch: Batch) -> Result<Batch> {
        // It has ended with an error, which is the next that comes.
        let _ = self.full.send(batch);
        self.emptied.recv().unwrap_or_else(|_| Err(gone()))
    }

    /// Gives it the last batch, and waits for both.
    fn end(self, batch: Batch) -> Result<()> {
        self.swap(batch)?;
        drop(self.full);
        self.emptied.recv().unwrap_or_else(|_| Err(gone())).map(drop)
    }
}

/// Writes batches as they come, until no more can come or one cannot be written.
fn write(to: &Disk, filled: &Receiver<Batch>, empty: &Sender<Result<Batch>>) {
    for mut batch in filled {
        let written = batch.write(to);
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
