//! What is being published, and what came of it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::content::{Error, Progress, Published};
use crate::listen::Tasks;

/// Jobs under way at a time, those whose upload is still coming in among them.
const RUNNING: usize = 16;
/// Jobs that are remembered.
const KEPT: usize = 64;
/// How long the outcome of a job is remembered.
const REMEMBER: Duration = Duration::from_hours(2);

/// The jobs of this gateway, the oldest first.
pub(super) struct Jobs {
    room: Arc<Semaphore>,
    jobs: Mutex<Vec<Arc<Job>>>,
}

/// A job that goes on when its browser is gone.
pub(super) struct Job {
    /// What its page's address has.
    pub(super) id: String,
    /// What is published, for people.
    pub(super) title: String,
    progress: Mutex<Option<watch::Receiver<Progress>>>,
    outcome: Mutex<Option<(Instant, Result<Published, Error>)>>,
    cancel: CancellationToken,
}

impl Default for Jobs {
    fn default() -> Self {
        Self { room: Arc::new(Semaphore::new(RUNNING)), jobs: Mutex::default() }
    }
}

impl Jobs {
    /// A place for one more job; `None` while there are too many.
    pub(super) fn room(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.room).try_acquire_owned().ok()
    }

    /// Starts a job. Its work is told of the job, to show progress there.
    pub(super) fn start<W, F>(
        &self,
        tasks: &Tasks,
        (id, title): ([u8; 16], String),
        place: OwnedSemaphorePermit,
        work: W,
    ) -> Arc<Job>
    where
        W: FnOnce(Arc<Job>) -> F,
        F: Future<Output = Result<Published, Error>> + Send + 'static,
    {
        let job = Arc::new(Job {
            id: allium_wire::text::base32_encode(&id),
            title,
            progress: Mutex::default(),
            outcome: Mutex::default(),
            cancel: tasks.stop().child_token(),
        });
        self.keep(Arc::clone(&job));
        let (work, ended) = (work(Arc::clone(&job)), Arc::clone(&job));
        tasks.spawn(async move {
            let outcome = tokio::select! {
                biased;
                () = ended.cancel.cancelled() => Err(Error::Stopped),
                outcome = work => outcome,
            };
            *ended.outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), outcome));
            drop(place);
        });
        job
    }

    fn keep(&self, job: Arc<Job>) {
        let now = Instant::now();
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.retain(|job| job.ended().is_none_or(|ended| now.duration_since(ended) < REMEMBER));
        while jobs.len() >= KEPT {
            // Fewer than that are under way, so one has ended.
            let Some(oldest) = jobs.iter().position(|job| job.ended().is_some()) else { break };
            jobs.remove(oldest);
        }
        jobs.push(job);
    }

    /// A job by what its page's address has.
    pub(super) fn get(&self, id: &str) -> Option<Arc<Job>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).iter().find(|job| job.id == id).cloned()
    }
}

impl Job {
    /// Shows another progress from now on.
    pub(super) fn follow(&self, progress: watch::Receiver<Progress>) {
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner) = Some(progress);
    }

    /// How far it is.
    pub(super) fn progress(&self) -> Progress {
        let progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.as_ref().map(|progress| progress.borrow().clone()).unwrap_or_default()
    }

    /// What `see` makes of the outcome; `None` while there is none.
    pub(super) fn outcome<T>(&self, see: impl FnOnce(&Result<Published, Error>) -> T) -> Option<T> {
        let outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        outcome.as_ref().map(|(_, outcome)| see(outcome))
    }

    /// Gives it up.
    pub(super) fn cancel(&self) {
        self.cancel.cancel();
    }

    fn ended(&self) -> Option<Instant> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|(at, _)| *at)
    }
}
