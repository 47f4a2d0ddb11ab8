//! The SOCKS proxy: version 5, and 4A for what speaks nothing newer. It leads to destinations and nowhere else.
//!
//! Success is answered once the destination's LeaseSet is known and the stream exists. What the client then sends
//! travels with the stream's first packet, so a destination that turns out to be silent shows as a connection that
//! closes, and not as a refusal.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::copy::{Ended, bridge};
use crate::listen::Tasks;
use crate::names::{NameError, Names};
use crate::router::{ConnectError, Connection, LocalDestination, Stream};

mod wire;

use wire::{Negotiation, Reply, Request, Step};

/// How long a client may take until its request is complete.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long reaching a destination may take.
const CONNECT: Duration = Duration::from_secs(90);
/// The most that a client may send before it has its answer.
const EARLY: usize = 64 * 1024;

/// The SOCKS proxy.
pub(crate) struct Socks {
    destination: LocalDestination,
    names: Arc<Names>,
    tasks: Tasks,
}

/// Why a request came to nothing.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Name(#[from] NameError),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("the client left")]
    Left,
}

impl Failure {
    fn reply(&self) -> Reply {
        match self {
            Self::Name(NameError::NotI2p(_) | NameError::Invalid { .. }) => Reply::NotAllowed,
            Self::Name(NameError::Encrypted) => Reply::AddressNotSupported,
            Self::Name(NameError::Unknown(_))
            | Self::Connect(ConnectError::LeaseSetNotFound | ConnectError::Expired) => Reply::HostUnreachable,
            Self::Connect(ConnectError::NoTunnels(_)) => Reply::NetworkUnreachable,
            Self::Connect(ConnectError::TimedOut) => Reply::Expired,
            Self::Connect(ConnectError::Refused) => Reply::Refused,
            Self::Connect(_) | Self::Left => Reply::Failure,
        }
    }
}

impl Socks {
    /// A proxy whose streams leave from `destination`.
    pub(crate) fn new(destination: LocalDestination, names: Arc<Names>, tasks: Tasks) -> Self {
        Self { destination, names, tasks }
    }

    /// Serves one client.
    pub(crate) async fn serve(self: Arc<Self>, mut client: Connection) {
        let mut input = BytesMut::with_capacity(1024);
        let request = tokio::select! {
            biased;
            () = self.tasks.stop().cancelled() => return,
            request = timeout(PATIENCE, negotiate(&mut client, &mut input)) => request,
        };
        let Ok(Ok(Some(request))) = request else { return };
        match self.open(&request, &mut client, &mut input).await {
            Ok(mut stream) => {
                let granted = request.reply(Reply::Granted);
                if let Err(error) = self.carry(&mut client, &mut stream, &granted, &input).await {
                    tracing::debug!(%error, "a SOCKS connection broke");
                    stream.reset();
                }
            }
            Err(Failure::Left) => {}
            Err(failure) => {
                tracing::debug!(host = %request.host, %failure, "a SOCKS request failed");
                // The client may be gone by now, which is its right.
                let _ = client.write_all(&request.reply(failure.reply())).await;
                let _ = client.shutdown().await;
            }
        }
    }

    /// Opens the stream that is asked for, unless the client leaves first.
    async fn open(
        &self,
        request: &Request,
        client: &mut Connection,
        input: &mut BytesMut,
    ) -> Result<Stream, Failure> {
        let connect = async {
            let target = self.names.resolve(&request.host).await?;
            Ok(self.destination.connect(target, request.port).await?)
        };
        tokio::select! {
            biased;
            stream = limited(connect) => stream,
            () = until_gone(client, input) => Err(Failure::Left),
            () = self.tasks.stop().cancelled() => Err(Failure::Connect(ConnectError::Closed)),
        }
    }

    /// Answers, sends on what the client sent early, and carries bytes both ways.
    async fn carry(
        &self,
        client: &mut Connection,
        stream: &mut Stream,
        granted: &[u8],
        early: &[u8],
    ) -> io::Result<()> {
        client.write_all(granted).await?;
        match bridge(early, client, stream, self.tasks.stop()).await {
            Ended::Finished | Ended::Stopped => Ok(()),
            Ended::Failed(error) => Err(error),
            Ended::Idle => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

/// Gives a connection attempt its time.
async fn limited<T>(attempt: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    timeout(CONNECT, attempt).await.unwrap_or(Err(Failure::Connect(ConnectError::TimedOut)))
}

/// Negotiates until the client's request is complete; `None` where it was refused.
async fn negotiate(client: &mut Connection, input: &mut BytesMut) -> io::Result<Option<Request>> {
    let mut negotiation = Negotiation::default();
    loop {
        match negotiation.step(input) {
            Step::Connect(request) => return Ok(Some(request)),
            Step::Send(bytes) => client.write_all(&bytes).await?,
            Step::More => {
                if client.read_buf(input).await? == 0 {
                    return Ok(None);
                }
            }
            Step::Refuse(bytes, why) => {
                tracing::debug!(why, "a SOCKS client was refused");
                client.write_all(&bytes).await?;
                client.shutdown().await?;
                return Ok(None);
            }
        }
    }
}

/// Keeps what a client sends early, and returns once it has closed or broken off.
async fn until_gone(client: &mut Connection, input: &mut BytesMut) {
    while input.len() < EARLY {
        match client.read_buf(input).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
    std::future::pending::<()>().await;
}

#[cfg(test)]
mod tests;
