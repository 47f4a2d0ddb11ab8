//! Jobs: what is under way for somebody, how far it is, and its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Error, Progress};

/// A job under way. Dropping it gives the job up.
pub struct Job<T> {
    progress: watch::Receiver<Progress>,
    task: JoinHandle<Result<T, Error>>,
}

impl<T> Drop for Job<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<T> Job<T> {
    /// How far it is, now and whenever that changes.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Waits for its end. May be cancelled and called again, until it has answered once.
    pub async fn end(&mut self) -> Result<T, Error> {
        (&mut self.task).await.unwrap_or(Err(Error::Stopped))
    }
}

/// Starts jobs, which end when the service stops, and counts them.
#[derive(Clone)]
pub(super) struct Jobs {
    running: Arc<AtomicUsize>,
    stop: CancellationToken,
}

/// Counts one job for as long as it lives.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Jobs {
    pub(super) fn new(stop: CancellationToken) -> Self {
        Self { running: Arc::default(), stop }
    }

    /// Jobs under way.
    pub(super) fn running(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }

    /// Starts one.
    pub(super) fn start<T, F>(&self, work: impl FnOnce(watch::Sender<Progress>) -> F) -> Job<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let (sender, progress) = watch::channel(Progress::default());
        let task = self.spawn(work(sender));
        Job { progress, task }
    }

    /// Runs something until its end, or that of the service.
    pub(super) fn spawn<T, F>(&self, work: F) -> JoinHandle<Result<T, Error>>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let stop = self.stop.clone();
        self.running.fetch_add(1, Ordering::Relaxed);
        let counted = Counted(Arc::clone(&self.running));
        tokio::spawn(async move {
            let _counted = counted;
            stop.run_until_cancelled(work).await.unwrap_or(Err(Error::Stopped))
        })
    }
}
