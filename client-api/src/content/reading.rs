//! A file being read.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

use super::fetch::{Fetch, agrees};
use super::jobs::Jobs;
use super::{Blocks, Error, File, FileBody, Progress};

/// Pieces (of 32 KiB at most) that wait for a slow consumer; the reader itself holds no more than two segments.
const WAITING: usize = 16;

/// A file being read. Dropping it ends the reading.
pub struct Reading {
    pieces: mpsc::Receiver<Result<Bytes, Error>>,
    progress: watch::Receiver<Progress>,
    /// Until the end was reached: what is rebuilt is stored again even afterwards.
    task: Option<AbortHandle>,
}

impl Drop for Reading {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Reading {
    pub(super) fn start(jobs: &Jobs, blocks: Arc<dyn Blocks>, file: &File, range: Range<u64>) -> Self {
        let (sender, pieces) = mpsc::channel(WAITING);
        let (progress, receiver) = watch::channel(Progress::default());
        let range = range.start.min(file.length)..range.end.min(file.length);
        let body = file.body.clone();
        let task = jobs.spawn(async move {
            if let Err(error) = give(blocks, body, range, progress, &sender).await {
                // A reader that is gone wants no error.
                let _ = sender.send(Err(error)).await;
            }
            Ok(())
        });
        Self { pieces, progress: receiver, task: Some(task.abort_handle()) }
    }

    /// The next bytes, in order; `None` at the end. May be cancelled.
    pub async fn next(&mut self) -> Option<Result<Bytes, Error>> {
        let piece = self.pieces.recv().await;
        if piece.is_none() {
            let task = self.task.take()?;
            // The end is told by an empty piece: without one the task was stopped.
            task.abort();
            return Some(Err(Error::Stopped));
        }
        match piece? {
            Ok(bytes) if bytes.is_empty() => {
                self.task = None;
                None
            }
            Ok(bytes) => Some(Ok(bytes)),
            Err(error) => {
                self.task = None;
                Some(Err(error))
            }
        }
    }

    /// How far it is.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }
}

async fn give(
    blocks: Arc<dyn Blocks>,
    body: FileBody,
    range: Range<u64>,
    progress: watch::Sender<Progress>,
    to: &mpsc::Sender<Result<Bytes, Error>>,
) -> Result<(), Error> {
    let (chk, within) = match body {
        FileBody::Inline(bytes) => {
            let piece = bytes.slice(range.start as usize..range.end as usize);
            progress.send_modify(|progress| {
                progress.bytes = piece.len() as u64;
                progress.total_bytes = Some(progress.bytes);
                progress.finalized = true;
            });
            if !piece.is_empty() {
                let _ = to.send(Ok(piece)).await;
            }
            let _ = to.send(Ok(Bytes::new())).await;
            return Ok(());
        }
        FileBody::Range(chk, within) => (chk, within),
    };
    let mut fetch = Fetch::new(blocks, chk.clone(), false, progress);
    fetch.select(within.start.saturating_add(range.start)..within.start.saturating_add(range.end));
    let root = fetch.root().await?;
    agrees(root, &chk, within.end)?;
    while let Some(piece) = fetch.next().await? {
        if to.send(Ok(piece)).await.is_err() {
            return Ok(());
        }
    }
    let _ = to.send(Ok(Bytes::new())).await;
    fetch.healed().await;
    Ok(())
}
