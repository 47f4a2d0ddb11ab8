//! The store's disk: blocks that stay, whatever happens.
//!
//! ```text
//! DATA/content/index.redb   what is held: key -> record, checksum, slot; signed blocks themselves (they are small)
//! DATA/content/blocks       content blocks of 32 KiB, each in a slot
//! ```
//! A block is written into a free slot and synced, then the index is committed: a crash in between leaves a slot that
//! is still free. A slot is given to another block only after the commit that freed it. Whatever waits is done as one
//! batch with one sync and one commit, so that hundreds of blocks each second cost a few syncs. Every block is checked
//! against its checksum when it is read.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use allium_store::{DiskError, Key, Record};
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::listen::Tasks;

mod row;
mod slots;
mod table;

use table::Table;
pub(super) use table::{OpenError, Opened};

/// Loads and saves that may wait.
const WAITING: usize = 4096;
/// Operations that are done as one.
const BATCH: usize = 256;
/// How long a change of a record waits for company.
const LINGER: Duration = Duration::from_secs(5);

/// Who is told what became of a load or a save.
type Tell = Box<dyn FnOnce(Result<Bytes, DiskError>) + Send>;

/// What becomes of a load or a save; told that it failed if it is dropped.
pub(super) struct Answer {
    tell: Option<Tell>,
    waiting: Option<Arc<AtomicUsize>>,
}

impl Answer {
    /// Told to `tell`. A save is told without bytes.
    pub(super) fn new(tell: impl FnOnce(Result<Bytes, DiskError>) + Send + 'static) -> Self {
        Self { tell: Some(Box::new(tell)), waiting: None }
    }

    fn tell(mut self, outcome: Result<Bytes, DiskError>) {
        if let Some(tell) = self.tell.take() {
            tell(outcome);
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let Some(tell) = self.tell.take() {
            tell(Err(DiskError::Failed));
        }
        if let Some(waiting) = &self.waiting {
            waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Something to do.
pub(super) enum Operation {
    /// Read a block.
    Load { key: Key, answer: Answer },
    /// Write a block in place of the one of its key.
    Save { record: Record, bytes: Bytes, answer: Answer },
    /// Remove a block.
    Delete(Key),
    /// Remember something else of a block.
    Note(Record),
}

/// Where each block is. The number is the slot's.
type Held = BTreeMap<Key, u32>;

/// A handle of the disk. Cheap to clone; when the last is gone, what waits is written and the files are closed.
#[derive(Clone)]
pub(super) struct Disk {
    queue: mpsc::UnboundedSender<Operation>,
    waiting: Arc<AtomicUsize>,
    held: Arc<Mutex<Held>>,
}

fn lock(held: &Mutex<Held>) -> MutexGuard<'_, Held> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Disk {
    /// Opens the store in `folder`, or one in memory, and says what it holds.
    pub(super) async fn open(
        folder: Option<PathBuf>,
        tasks: &Tasks,
    ) -> Result<(Self, Vec<Record>), OpenError> {
        let at = folder.clone();
        let opened = match tokio::task::spawn_blocking(move || Table::open(at)).await {
            Ok(Err(OpenError::Damaged(why))) => Err(why),
            Ok(other) => Ok(other?),
            Err(panicked) => Err(panicked.to_string()),
        };
        let Opened { table, records } = match opened {
            Ok(opened) => opened,
            Err(why) => {
                tracing::warn!(%why, "the content store's index is damaged: it is set aside, and a new one begun");
                let at = folder.clone();
                let anew = tokio::task::spawn_blocking(move || Table::open_anew(at)).await;
                anew.unwrap_or_else(|panicked| Err(OpenError::Damaged(panicked.to_string())))?
            }
        };
        let held = table.held();
        let (queue, operations) = mpsc::unbounded_channel();
        tasks.spawn(work(table, folder, operations, tasks.stop().clone()));
        Ok((Self { queue, waiting: Arc::default(), held }, records))
    }

    /// Whether a block is there.
    pub(super) fn holds(&self, key: &Key) -> bool {
        lock(&self.held).contains_key(key)
    }

    /// Has a block read.
    pub(super) fn load(&self, key: Key, answer: Answer) {
        self.submit(answer, |answer| Operation::Load { key, answer });
    }

    /// Has a block written.
    pub(super) fn save(&self, record: Record, bytes: Bytes, answer: Answer) {
        self.submit(answer, |answer| Operation::Save { record, bytes, answer });
    }

    /// Has a block removed.
    pub(super) fn delete(&self, key: Key) {
        let _ = self.queue.send(Operation::Delete(key));
    }

    /// Has something else remembered of a block.
    pub(super) fn note(&self, record: Record) {
        let _ = self.queue.send(Operation::Note(record));
    }

    fn submit(&self, mut answer: Answer, operation: impl FnOnce(Answer) -> Operation) {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= WAITING {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return; // the answer says by its end that it failed
        }
        answer.waiting = Some(Arc::clone(&self.waiting));
        let _ = self.queue.send(operation(answer));
    }
}

/// The next batch: none at the end, and an empty one where `lingers` and nothing came for a while.
async fn next_batch(
    operations: &mut mpsc::UnboundedReceiver<Operation>,
    lingers: bool,
    stop: &CancellationToken,
) -> Option<Vec<Operation>> {
    let mut batch = Vec::new();
    let count = tokio::select! {
        count = operations.recv_many(&mut batch, BATCH) => count,
        () = tokio::time::sleep(LINGER), if lingers => return Some(batch),
        () = stop.cancelled(), if !operations.is_closed() => {
            // What waits is done yet; nothing is taken on any more.
            operations.close();
            operations.recv_many(&mut batch, BATCH).await
        }
    };
    (count > 0).then_some(batch)
}

/// Does what is asked, in batches, until it is told to stop or every handle is gone.
async fn work(
    table: Table,
    folder: Option<PathBuf>,
    mut operations: mpsc::UnboundedReceiver<Operation>,
    stop: CancellationToken,
) {
    let held = table.held();
    let mut table = Some(table);
    loop {
        let lingers = table.as_ref().is_some_and(Table::has_notes);
        let batch = next_batch(&mut operations, lingers, &stop).await;
        let over = batch.is_none();
        let batch = batch.unwrap_or_default();
        let all = batch.is_empty();
        let (present, folder, held) = (table.take(), folder.clone(), Arc::clone(&held));
        let done = tokio::task::spawn_blocking(move || {
            // After a failure the files are opened again; while that fails, every operation fails.
            let mut table = match present {
                Some(table) => table,
                None => Table::reopen(folder, held)?,
            };
            table.run(batch, all).map(|()| table)
        });
        match done.await {
            Ok(Ok(worked)) => table = Some(worked),
            Ok(Err(error)) => tracing::warn!(%error, "the content store's disk does not do what it should"),
            Err(panicked) => tracing::error!(%panicked, "the content store's index is damaged"),
        }
        if over {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
