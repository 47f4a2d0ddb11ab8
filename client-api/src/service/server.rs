//! A service: each stream that its destination accepts is carried to a local address.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::copy::{Ended, bridge};
use crate::listen::Tasks;
use crate::router::{Connection, LocalDestination, Net, Stream};

/// How long the program may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(10);

/// A program of this machine and its destination.
pub(crate) struct Service {
    /// What logs call it.
    pub(crate) name: String,
    /// Where its streams come from.
    pub(crate) destination: LocalDestination,
    /// Where they are carried to.
    pub(crate) target: SocketAddr,
    /// How `target` is reached.
    pub(crate) net: Arc<dyn Net>,
    /// How many streams there may be at a time.
    pub(crate) room: usize,
    /// Whose task this is.
    pub(crate) tasks: Tasks,
    /// Whether the program could not be reached last time: each change is logged, not each stream.
    pub(crate) down: AtomicBool,
}

impl Service {
    /// Serves until the router stops.
    pub(crate) async fn run(self: Arc<Self>) {
        let announced = Arc::clone(&self);
        self.tasks.spawn(async move { announced.announce().await });
        let room = Arc::new(Semaphore::new(self.room));
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.tasks.stop().cancelled() => return,
                accepted = self.destination.accept() => accepted,
            };
            let Some(mut stream) = accepted else { return };
            let Ok(place) = Arc::clone(&room).try_acquire_owned() else {
                tracing::debug!(service = %self.name, "a stream was refused: there are too many");
                stream.reset();
                continue;
            };
            let service = Arc::clone(&self);
            self.tasks.spawn(async move {
                service.carry(stream).await;
                drop(place);
            });
        }
    }

    /// Logs the address once the destination can be reached.
    async fn announce(&self) {
        tokio::select! {
            biased;
            () = self.tasks.stop().cancelled() => {}
            () = self.destination.ready() => {
                tracing::info!("service {} published as {}", self.name, self.destination.hash().b32());
            }
        }
    }

    /// Carries one stream.
    async fn carry(&self, mut stream: Stream) {
        let connection = tokio::select! {
            biased;
            () = self.tasks.stop().cancelled() => None,
            connection = self.connect() => connection,
        };
        let Some(mut connection) = connection else { return stream.reset() };
        match bridge(&[], &mut connection, &mut stream, self.tasks.stop()).await {
            Ended::Finished | Ended::Stopped => {}
            Ended::Idle => stream.reset(),
            Ended::Failed(error) => {
                tracing::debug!(service = %self.name, %error, "a stream broke");
                stream.reset();
            }
        }
    }

    /// Connects to the program, and says when that stops or begins to work.
    async fn connect(&self) -> Option<Connection> {
        let connected = timeout(CONNECT, self.net.connect(None, self.target)).await;
        let error = match connected {
            Ok(Ok(connection)) => {
                if self.down.swap(false, Ordering::Relaxed) {
                    tracing::info!("service {} answers again at {}", self.name, self.target);
                }
                return Some(connection);
            }
            Ok(Err(error)) => error.to_string(),
            Err(_elapsed) => "no answer".to_owned(),
        };
        if !self.down.swap(true, Ordering::Relaxed) {
            tracing::warn!("service {} can't be reached at {}: {error}", self.name, self.target);
        }
        None
    }
}
