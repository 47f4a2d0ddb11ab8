//! A tunnel: each connection to a local port is carried to one destination.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::config::Destination;
use crate::copy::{Ended, bridge};
use crate::listen::Tasks;
use crate::names::Names;
use crate::router::{ConnectError, Connection, LocalDestination, Stream};

/// How long reaching the destination may take.
const CONNECT: Duration = Duration::from_secs(90);

/// A local port that leads to a destination.
pub(crate) struct Tunnel {
    /// What logs call it.
    pub(crate) name: String,
    /// Where its streams leave from.
    pub(crate) destination: LocalDestination,
    /// Where they lead.
    pub(crate) to: Destination,
    /// Whom that name stands for.
    pub(crate) names: Arc<Names>,
    /// Whose task this is.
    pub(crate) tasks: Tasks,
}

impl Tunnel {
    /// Serves one local connection.
    pub(crate) async fn serve(self: Arc<Self>, mut client: Connection) {
        let opened = tokio::select! {
            biased;
            () = self.tasks.stop().cancelled() => return,
            opened = self.open() => opened,
        };
        let Some(mut stream) = opened else { return };
        match bridge(&[], &mut client, &mut stream, self.tasks.stop()).await {
            Ended::Finished | Ended::Stopped => {}
            Ended::Idle => stream.reset(),
            Ended::Failed(error) => {
                tracing::debug!(tunnel = %self.name, %error, "a connection broke");
                stream.reset();
            }
        }
    }

    async fn open(&self) -> Option<Stream> {
        let target = match self.names.resolve(self.to.host()).await {
            Ok(target) => target,
            Err(error) => {
                tracing::warn!("tunnel {} leads nowhere: {error}", self.name);
                return None;
            }
        };
        let connect = timeout(CONNECT, self.destination.connect(target, self.to.port())).await;
        match connect.unwrap_or(Err(ConnectError::TimedOut)) {
            Ok(stream) => Some(stream),
            Err(error) => {
                tracing::info!("tunnel {}: {error}", self.name);
                None
            }
        }
    }
}
