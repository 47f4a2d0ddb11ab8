//! Accepting local connections: as many as there is room for, until the router stops.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::router::{Connection, Listener};

/// The tasks of the client API, and the word that ends them.
#[derive(Clone, Default)]
pub(crate) struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Tasks {
    /// Tasks that end when `stop` is cancelled.
    pub(crate) fn new(stop: CancellationToken) -> Self {
        Self { tracker: TaskTracker::new(), stop }
    }

    /// Starts a task.
    pub(crate) fn spawn<F: Future<Output = ()> + Send + 'static>(&self, task: F) {
        self.tracker.spawn(task);
    }

    /// Cancelled once the router stops.
    pub(crate) fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Waits until the router stops and every task has ended.
    pub(crate) async fn ended(&self) {
        self.stop.cancelled().await;
        self.tracker.close();
        self.tracker.wait().await;
    }
}

/// Accepts connections and serves each in a task of its own, at most `room` at a time: further ones wait.
pub(crate) async fn serve_each<S, F>(
    what: &'static str,
    mut listener: Box<dyn Listener>,
    room: usize,
    tasks: Tasks,
    serve: S,
) where
    S: Fn(Connection) -> F + Send,
    F: Future<Output = ()> + Send + 'static,
{
    let room = Arc::new(Semaphore::new(room));
    loop {
        let accepted = async {
            let place = Arc::clone(&room).acquire_owned().await;
            (place, listener.accept().await)
        };
        let accepted = tokio::select! {
            biased;
            () = tasks.stop().cancelled() => return,
            accepted = accepted => accepted,
        };
        match accepted {
            (Ok(place), Ok(connection)) => {
                let served = serve(connection);
                tasks.spawn(async move {
                    served.await;
                    drop(place);
                });
            }
            (Err(_closed), _) => return,
            (_, Err(error)) => {
                // Out of file descriptors, or a client that was gone already: neither lasts.
                tracing::warn!(what, %error, "can't accept a connection");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}
