//! A router in memory: the handles of `allium_router` over pipes, with failures on demand.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

#[cfg(test)]
pub(crate) use allium_router::BoxFuture;
pub(crate) use allium_router::{
    Clock, Connection, Datagram, DatagramError, DatagramKind, Length, Listener, Net, Ports, Quantity, Store,
    StoreError,
};
use allium_wire::{DestHash, Destination, DestinationKeys};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::sync::mpsc;

/// Whom to connect to.
#[derive(Clone, Debug)]
pub enum Target {
    /// A destination known by its hash.
    Hash(DestHash),
    /// A whole destination.
    Destination(Box<Destination>),
}

/// Why a stream could not be opened.
#[derive(Clone, Debug, thiserror::Error)]
#[allow(dead_code, reason = "tests make the variants they need")]
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

/// How many tunnels of which length.
#[derive(Clone, Copy, Debug)]
#[allow(dead_code, reason = "tests look at what they need")]
pub struct PoolConfig {
    /// Hops.
    pub length: Length,
    /// Tunnels.
    pub quantity: Quantity,
}

/// What a local destination should be.
#[allow(dead_code, reason = "tests look at what they need")]
pub struct DestinationConfig {
    /// Its name in logs.
    pub name: String,
    /// Its keys; new ones where absent.
    pub keys: Option<DestinationKeys>,
    /// Tunnels towards it.
    pub inbound: PoolConfig,
    /// Tunnels away from it.
    pub outbound: PoolConfig,
    /// Publish its LeaseSet.
    pub publish: bool,
}

/// Why a local destination could not be made.
#[derive(Debug, thiserror::Error)]
#[error("this router is stopping")]
pub struct Error;

/// How much a pipe between two streams holds.
const PIPE: usize = 256 * 1024;

#[derive(Default)]
struct Registry {
    mail: BTreeMap<DestHash, mpsc::Sender<Datagram>>,
    listening: BTreeMap<DestHash, mpsc::Sender<Stream>>,
    failing: BTreeMap<DestHash, ConnectError>,
    made: Vec<(String, DestHash, bool)>,
    writes: Arc<Mutex<Vec<usize>>>,
    next: u8,
}

/// A network of local destinations.
#[derive(Clone, Default)]
pub struct Router(Arc<Mutex<Registry>>);

#[allow(dead_code, reason = "half of it is for tests")]
impl Router {
    fn registry(&self) -> std::sync::MutexGuard<'_, Registry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a local destination.
    #[allow(clippy::unnecessary_wraps, reason = "the router's can fail")]
    pub fn destination(&self, config: DestinationConfig) -> Result<LocalDestination, Error> {
        let mut registry = self.registry();
        registry.next += 1;
        let hash =
            config.keys.as_ref().map_or(DestHash([registry.next; 32]), |keys| keys.destination().dest_hash());
        let (sender, incoming) = mpsc::channel(64);
        registry.listening.insert(hash, sender);
        registry.made.push((config.name, hash, config.publish));
        let incoming = Arc::new(tokio::sync::Mutex::new(incoming));
        Ok(LocalDestination { hash, router: self.clone(), incoming })
    }

    /// Makes connections to `hash` fail.
    pub fn fail(&self, hash: DestHash, error: ConnectError) {
        self.registry().failing.insert(hash, error);
    }

    /// The destinations made so far: name, hash, published.
    pub fn made(&self) -> Vec<(String, DestHash, bool)> {
        self.registry().made.clone()
    }

    /// The sizes of the writes that connecting sides made, in order.
    pub fn writes(&self) -> Vec<usize> {
        let registry = self.registry();
        registry.writes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A destination of this router.
#[derive(Clone)]
pub struct LocalDestination {
    hash: DestHash,
    router: Router,
    incoming: Arc<tokio::sync::Mutex<mpsc::Receiver<Stream>>>,
}

impl LocalDestination {
    /// Its hash.
    pub fn hash(&self) -> DestHash {
        self.hash
    }

    /// Opens a stream.
    pub async fn connect(&self, to: Target, port: u16) -> Result<Stream, ConnectError> {
        let hash = match to {
            Target::Hash(hash) => hash,
            Target::Destination(destination) => destination.dest_hash(),
        };
        let (there, writes) = {
            let registry = self.router.registry();
            if let Some(error) = registry.failing.get(&hash) {
                return Err(error.clone());
            }
            let there = registry.listening.get(&hash).cloned().ok_or(ConnectError::LeaseSetNotFound)?;
            (there, Arc::clone(&registry.writes))
        };
        let (near, far) = tokio::io::duplex(PIPE);
        let dead = Arc::new(AtomicBool::new(false));
        let far = Stream {
            pipe: Some(far),
            dead: Arc::clone(&dead),
            peer: self.hash,
            port,
            writes: Arc::default(),
        };
        there.send(far).await.map_err(|_| ConnectError::LeaseSetNotFound)?;
        Ok(Stream { pipe: Some(near), dead, peer: hash, port, writes })
    }

    /// The next incoming stream; `None` once the destination is closed.
    pub async fn accept(&self) -> Option<Stream> {
        self.incoming.lock().await.recv().await
    }

    /// Receives datagrams, all kinds as one.
    #[allow(clippy::unnecessary_wraps, reason = "the router's can fail")]
    pub fn datagrams(&self, _: Option<DatagramKind>, _: Option<u16>) -> Result<Datagrams, DatagramError> {
        let (sender, arrivals) = mpsc::channel(1024);
        self.router.registry().mail.insert(self.hash, sender);
        Ok(Datagrams { destination: self.clone(), arrivals: tokio::sync::Mutex::new(arrivals) })
    }

    /// Waits until it can be reached.
    #[allow(clippy::unused_async, reason = "the router's is async")]
    pub async fn ready(&self) {}
}

/// Sends and receives datagrams.
pub struct Datagrams {
    destination: LocalDestination,
    arrivals: tokio::sync::Mutex<mpsc::Receiver<Datagram>>,
}

impl Datagrams {
    /// Sends one, or loses it.
    pub fn try_send(
        &self,
        to: &Target,
        kind: DatagramKind,
        ports: Ports,
        payload: &[u8],
    ) -> Result<(), DatagramError> {
        let Target::Hash(to) = to else { return Ok(()) };
        let datagram = Datagram {
            kind,
            from: Some(allium_router::Target::Hash(self.destination.hash)),
            proven: true,
            ports,
            options: allium_wire::Mapping::new(),
            payload: bytes::Bytes::copy_from_slice(payload),
        };
        let there = self.destination.router.registry().mail.get(to).cloned();
        there.map_or(Ok(()), |there| there.try_send(datagram).map_err(|_| DatagramError::Full))
    }

    /// The next one.
    pub async fn recv(&self) -> Option<Datagram> {
        self.arrivals.lock().await.recv().await
    }
}

/// One end of a stream between two destinations.
pub struct Stream {
    pipe: Option<DuplexStream>,
    dead: Arc<AtomicBool>,
    peer: DestHash,
    port: u16,
    writes: Arc<Mutex<Vec<usize>>>,
}

impl Stream {
    /// The other destination.
    pub fn peer(&self) -> DestHash {
        self.peer
    }

    /// The port it was opened to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends it at once, in both directions.
    pub fn reset(&mut self) {
        self.dead.store(true, Ordering::Relaxed);
        self.pipe = None;
    }

    fn pipe(&mut self) -> io::Result<&mut DuplexStream> {
        self.pipe.as_mut().ok_or_else(|| io::ErrorKind::ConnectionReset.into())
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(self.pipe()?).poll_read(cx, buf))?;
        if buf.filled().len() == before && buf.remaining() > 0 && self.dead.load(Ordering::Relaxed) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(self.pipe()?).poll_write(cx, data))?;
        self.writes.lock().unwrap_or_else(PoisonError::into_inner).push(written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.pipe()?).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.pipe()?).poll_shutdown(cx)
    }
}
