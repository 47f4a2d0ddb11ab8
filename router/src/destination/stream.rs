//! A stream's handle.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use allium_stream::{ConnectionId, Error, Host, Reason};
use allium_wire::DestHash;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Inbox;
use crate::clock::Clock;
use crate::outbox::lock;
use crate::shared::Shared;

/// All streams of a destination, and who waits for them.
pub(super) struct Streams {
    pub(super) host: Host,
    pub(super) readers: BTreeMap<ConnectionId, Waker>,
    pub(super) writers: BTreeMap<ConnectionId, Waker>,
}

impl Streams {
    /// Wakes whoever waits for this stream.
    pub(super) fn wake(&mut self, id: ConnectionId) {
        self.readers.remove(&id).into_iter().chain(self.writers.remove(&id)).for_each(Waker::wake);
    }
}

/// A stream to a destination. Dropping it closes it: what was written still arrives.
pub struct Stream {
    streams: Arc<Mutex<Streams>>,
    inbox: Arc<Inbox>,
    shared: Arc<Shared>,
    id: ConnectionId,
    peer: DestHash,
    port: u16,
}

impl Stream {
    pub(super) fn new(
        streams: Arc<Mutex<Streams>>,
        inbox: Arc<Inbox>,
        shared: Arc<Shared>,
        id: ConnectionId,
        peer: DestHash,
        port: u16,
    ) -> Self {
        Self { streams, inbox, shared, id, peer, port }
    }

    /// The destination at the other end.
    pub fn peer(&self) -> DestHash {
        self.peer
    }

    /// The port that the stream was opened to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Breaks the stream off: the peer is told, what was not sent yet is not sent.
    pub fn reset(&mut self) {
        let clock: &Clock = &self.shared.clock;
        lock(&self.streams).host.reset(clock.now(), self.id);
        self.inbox.wake();
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut streams = lock(&self.streams);
        streams.host.close(self.id);
        streams.readers.remove(&self.id);
        streams.writers.remove(&self.id);
        drop(streams);
        self.inbox.wake();
    }
}

fn failed(error: Error) -> io::Error {
    let kind = match error {
        Error::Over(Reason::TimedOut) => io::ErrorKind::TimedOut,
        Error::Over(Reason::Refused) => io::ErrorKind::ConnectionRefused,
        Error::Over(Reason::Reset) => io::ErrorKind::ConnectionReset,
        Error::Over(Reason::Local) | Error::Unknown => io::ErrorKind::ConnectionAborted,
        Error::Over(Reason::Finished) | Error::ShutDown => io::ErrorKind::BrokenPipe,
        Error::TooMany => io::ErrorKind::QuotaExceeded,
    };
    io::Error::new(kind, error)
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut streams = lock(&self.streams);
        let before = buf.remaining();
        while buf.remaining() > 0 {
            match streams.host.read_chunk(self.id, buf.remaining()) {
                Ok(Some(chunk)) if chunk.is_empty() => break,
                Ok(Some(chunk)) => buf.put_slice(&chunk),
                // What was read before is handed out first.
                Ok(None) | Err(_) if buf.remaining() < before => break,
                Ok(None) => {
                    streams.readers.insert(self.id, cx.waker().clone());
                    return Poll::Pending;
                }
                Err(error) => return Poll::Ready(Err(failed(error))),
            }
        }
        let news = streams.host.is_touched();
        drop(streams);
        if news {
            self.inbox.wake();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        if data.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let mut streams = lock(&self.streams);
        match streams.host.write(self.id, data) {
            Ok(0) => {
                streams.writers.insert(self.id, cx.waker().clone());
                Poll::Pending
            }
            Ok(n) => {
                drop(streams);
                self.inbox.wake();
                Poll::Ready(Ok(n))
            }
            Err(error) => Poll::Ready(Err(failed(error))),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = lock(&self.streams).host.shutdown(self.id);
        self.inbox.wake();
        Poll::Ready(shut.map_err(failed))
    }
}
