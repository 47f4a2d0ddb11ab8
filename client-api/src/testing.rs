//! What tests of several modules need.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::{collections::BTreeMap, io};

use allium_wire::DestHash;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;

use crate::router::{
    BoxFuture, Connection, DestinationConfig, Length, Listener, LocalDestination, Net, PoolConfig, Quantity,
    Router,
};

/// A destination's configuration.
pub(crate) fn config(name: &str) -> DestinationConfig {
    let pool = PoolConfig { length: Length(3), quantity: Quantity(3) };
    DestinationConfig { name: name.into(), keys: None, inbound: pool, outbound: pool, publish: false }
}

/// A local connection: the client's end and the server's.
pub(crate) fn connection(room: usize) -> (DuplexStream, Connection) {
    let (ours, theirs) = tokio::io::duplex(room);
    (ours, server_end(theirs))
}

fn server_end(pipe: DuplexStream) -> Connection {
    let (read, write) = tokio::io::split(pipe);
    let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 50000));
    Connection { read: Box::new(read), write: Box::new(write), peer }
}

/// A router with a destination that sends back whatever it gets, and one to connect from.
pub(crate) fn router_with_echo() -> (Router, DestHash, LocalDestination) {
    let router = Router::default();
    let echo = router.destination(config("echo")).unwrap();
    let client = router.destination(config("client")).unwrap();
    let hash = echo.hash();
    tokio::spawn(async move {
        while let Some(stream) = echo.accept().await {
            tokio::spawn(send_back(stream));
        }
    });
    (router, hash, client)
}

/// Sends back whatever comes until it ends.
pub(crate) async fn send_back(pipe: impl AsyncRead + AsyncWrite) {
    let (mut read, mut write) = tokio::io::split(pipe);
    let _ = tokio::io::copy(&mut read, &mut write).await;
    let _ = write.shutdown().await;
}

/// A machine whose ports are all in memory.
#[derive(Clone, Default)]
pub(crate) struct MemoryNet(Arc<Mutex<BTreeMap<SocketAddr, mpsc::Sender<Connection>>>>);

struct MemoryListener(mpsc::Receiver<Connection>, SocketAddr);

impl Listener for MemoryListener {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Connection>> {
        Box::pin(async { self.0.recv().await.ok_or_else(|| io::ErrorKind::BrokenPipe.into()) })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.1)
    }
}

impl MemoryNet {
    /// Connects as a local program would.
    pub(crate) async fn dial(&self, to: SocketAddr) -> io::Result<DuplexStream> {
        let listener = self.0.lock().unwrap().get(&to).cloned().ok_or(io::ErrorKind::ConnectionRefused)?;
        let (ours, theirs) = connection(64 * 1024);
        listener.send(theirs).await.map_err(|_| io::ErrorKind::ConnectionRefused)?;
        Ok(ours)
    }
}

impl Net for MemoryNet {
    fn connect(
        &self,
        _from: Option<std::net::IpAddr>,
        to: SocketAddr,
    ) -> BoxFuture<'_, io::Result<Connection>> {
        Box::pin(async move { Ok(server_end(self.dial(to).await?)) })
    }

    fn listen(&self, at: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let (sender, receiver) = mpsc::channel(16);
            let mut ports = self.0.lock().unwrap();
            if ports.get(&at).is_some_and(|port| !port.is_closed()) {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            ports.insert(at, sender);
            Ok(Box::new(MemoryListener(receiver, at)) as Box<dyn Listener>)
        })
    }
}
