//! Local destinations: the handles that applications' protocols are built on.

mod datagrams;
mod driver;
mod mail;
mod paths;
mod peers;
mod stream;

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use allium_netdb::ClientId;
use allium_wire::{DestHash, Destination, DestinationKeys};
use bytes::BytesMut;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

pub use crate::core::PoolConfig;
use crate::core::{Client, Input};
use crate::outbox::lock;
use crate::shared::Shared;
pub use datagrams::{Datagram, DatagramError, DatagramKind, Datagrams, Ports};
use mail::Mail;
pub(crate) use paths::{InboundPath, OutboundPath, Paths};
pub use stream::Stream;

/// Sealed messages that may wait for a destination.
const INBOX: usize = 8192;

/// Whom to connect to.
#[derive(Clone, Debug)]
pub enum Target {
    /// A destination known by its hash alone.
    Hash(DestHash),
    /// A whole destination.
    Destination(Box<Destination>),
}

impl Target {
    /// Its hash.
    pub fn hash(&self) -> DestHash {
        match self {
            Self::Hash(hash) => *hash,
            Self::Destination(destination) => destination.dest_hash(),
        }
    }
}

/// Why a stream could not be opened, or a datagram not sent.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ConnectError {
    /// This router has no tunnels to send through.
    #[error("this router has no tunnels yet: {0}")]
    NoTunnels(String),
    /// Nobody knows a LeaseSet of the destination.
    #[error("no LeaseSet of the destination was found: it is offline, or the address is wrong")]
    LeaseSetNotFound,
    /// The LeaseSet that was found is too old.
    #[error("the destination's LeaseSet has expired: it went offline")]
    Expired,
    /// The destination uses something this router does not speak.
    #[error("the destination can't be spoken to: {0}")]
    Incompatible(String),
    /// The destination did not answer.
    #[error("the destination did not answer in time")]
    TimedOut,
    /// The destination refused.
    #[error("the destination refused the connection")]
    Refused,
    /// The local destination is closed.
    #[error("this router is stopping")]
    Closed,
}

/// What a local destination should be.
pub struct DestinationConfig {
    /// Its name in logs and status.
    pub name: String,
    /// Its keys; new ones, forgotten at the end, where absent.
    pub keys: Option<DestinationKeys>,
    /// Tunnels towards it.
    pub inbound: PoolConfig,
    /// Tunnels away from it.
    pub outbound: PoolConfig,
    /// Publish its LeaseSet, and accept streams.
    pub publish: bool,
}

/// Sealed messages that came through a destination's tunnels.
#[derive(Default)]
pub(crate) struct Inbox {
    queue: Mutex<VecDeque<BytesMut>>,
    wake: Notify,
}

impl Inbox {
    /// Queues messages, and gives how many found no room and were dropped.
    pub(crate) fn push(&self, mut sealed: Vec<BytesMut>) -> usize {
        let mut queue = lock(&self.queue);
        let dropped = sealed.len().saturating_sub(INBOX.saturating_sub(queue.len()));
        sealed.truncate(sealed.len() - dropped);
        queue.extend(sealed);
        drop(queue);
        self.wake.notify_one();
        dropped
    }

    fn take(&self, into: &mut VecDeque<BytesMut>) {
        std::mem::swap(&mut *lock(&self.queue), into);
    }

    /// Wakes the driver: there is something to do.
    fn wake(&self) {
        self.wake.notify_one();
    }
}

/// What the driver is asked from outside.
enum Command {
    Connect { to: Target, port: u16, answer: oneshot::Sender<Result<Stream, ConnectError>> },
}

/// What the handles of one destination share.
struct Common {
    hash: DestHash,
    keys: DestinationKeys,
    publish: bool,
    paths: Arc<Paths>,
    mail: Arc<Mail>,
    commands: mpsc::Sender<Command>,
    incoming: tokio::sync::Mutex<mpsc::Receiver<Stream>>,
    stop: CancellationToken,
}

impl Drop for Common {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A destination of this router. Cheap to clone; when the last clone is gone, so is the destination.
#[derive(Clone)]
pub struct LocalDestination(Arc<Common>);

impl LocalDestination {
    /// Opens a destination: its tunnels are built from now on.
    pub(crate) fn open(shared: &Arc<Shared>, config: DestinationConfig) -> Self {
        let mut rng = shared.fork_rng();
        let keys = config.keys.unwrap_or_else(|| DestinationKeys::generate(&mut rng));
        let id = ClientId(shared.next_client.fetch_add(1, Ordering::Relaxed));
        let (inbox, paths) = (Arc::new(Inbox::default()), Arc::new(Paths::default()));
        let (commands, requests) = mpsc::channel(256);
        let (accepted, incoming) = mpsc::channel(256);
        let stop = shared.stop.child_token();
        let hash = keys.destination().dest_hash();
        let client = Client {
            id,
            name: config.name.clone(),
            address: hash,
            service: config.publish,
            inbound: config.inbound,
            outbound: config.outbound,
            inbox: inbox.clone(),
            paths: paths.clone(),
        };
        let mail = Arc::new(Mail::new(shared.clone(), inbox.clone()));
        let opening = driver::Opening {
            id,
            keys: keys.clone(),
            publish: config.publish,
            inbox,
            paths: paths.clone(),
            accepted,
            mail: mail.clone(),
        };
        let driver = driver::Driver::new(shared.clone(), opening, requests, rng);
        let (task_shared, task_stop, task_mail) = (shared.clone(), stop.clone(), mail.clone());
        shared.tasks.spawn(async move {
            if task_shared.core.send(Input::Open(Box::new(client))).await.is_ok() {
                driver.run(task_stop).await;
                let _ = task_shared.core.send(Input::Close(id)).await;
            }
            task_mail.close();
        });
        let incoming = tokio::sync::Mutex::new(incoming);
        let publish = config.publish;
        Self(Arc::new(Common { hash, keys, publish, paths, mail, commands, incoming, stop }))
    }

    /// Its hash.
    pub fn hash(&self) -> DestHash {
        self.0.hash
    }

    /// All of it.
    pub fn destination(&self) -> &Destination {
        self.0.keys.destination()
    }

    /// Opens a stream. It is ready for writing at once: what is written first goes out with the SYN, so that the
    /// answer is one round trip away. A peer that does not answer shows when the stream is read.
    ///
    /// # Errors
    /// Where there are no tunnels, or no usable LeaseSet of the destination can be found.
    pub async fn connect(&self, to: Target, port: u16) -> Result<Stream, ConnectError> {
        let (answer, answered) = oneshot::channel();
        let command = Command::Connect { to, port, answer };
        self.0.commands.send(command).await.map_err(|_| ConnectError::Closed)?;
        answered.await.map_err(|_| ConnectError::Closed)?
    }

    /// The next stream that somebody opened to us; `None` once the destination is closed. May be cancelled.
    pub async fn accept(&self) -> Option<Stream> {
        self.0.incoming.lock().await.recv().await
    }

    /// Receives datagrams of one kind, to one port, or all: each goes to the handle that asked for its kind and port,
    /// else to one that asked for its kind, or for its port, or for all. Without any it is counted and dropped. Each
    /// handle sends datagrams of any kind.
    ///
    /// # Errors
    /// [`DatagramError::InUse`] where another handle receives just these; [`DatagramError::Reserved`] for a raw kind
    /// with another's protocol number; [`DatagramError::Unreachable`] where the destination is closed.
    pub fn datagrams(
        &self,
        kind: Option<DatagramKind>,
        port: Option<u16>,
    ) -> Result<Datagrams, DatagramError> {
        Datagrams::open(self, kind, port)
    }

    /// Waits until tunnels stand both ways and, for a published one, the LeaseSet is published.
    pub async fn ready(&self) {
        loop {
            let changed = self.0.paths.changed();
            if self.0.paths.ready(self.0.publish) {
                return;
            }
            // A change between the look and the wait would be missed, hence the tick.
            let _ = tokio::time::timeout(std::time::Duration::from_millis(200), changed).await;
        }
    }
}
