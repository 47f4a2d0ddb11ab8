//! Carrying bytes both ways between a local connection and a stream, and noticing when nothing moves any more.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_util::sync::CancellationToken;

/// The buffer of each direction.
const BUFFER: usize = 64 * 1024;
/// A connection on which nothing moved for this long is given up.
const IDLE: Duration = Duration::from_hours(1);
/// The same for one that is finished in one direction.
const HALF_IDLE: Duration = Duration::from_mins(5);
/// How often it is looked whether something moved.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// How carrying bytes came to its end.
#[derive(Debug)]
pub(crate) enum Ended {
    /// Both sides finished.
    Finished,
    /// One side broke off.
    Failed(io::Error),
    /// Nothing moved for too long.
    Idle,
    /// The router is stopping.
    Stopped,
}

/// Carries bytes both ways until both sides have finished; `early` is what the local side has sent already. The end
/// of one direction is passed on while the other direction goes on.
pub(crate) async fn bridge<L, R>(
    early: &[u8],
    local: &mut L,
    remote: &mut R,
    stop: &CancellationToken,
) -> Ended
where
    L: AsyncRead + AsyncWrite + Unpin + ?Sized,
    R: AsyncRead + AsyncWrite + Unpin + ?Sized,
{
    let gauge = Gauge::default();
    let mut local = Watched::new(local, gauge.clone());
    let carried = async {
        if !early.is_empty() {
            remote.write_all(early).await?;
        }
        tokio::io::copy_bidirectional_with_sizes(&mut local, remote, BUFFER, BUFFER).await
    };
    tokio::select! {
        biased;
        ended = carried => match ended {
            Ok(_) => Ended::Finished,
            Err(error) => Ended::Failed(error),
        },
        () = stop.cancelled() => Ended::Stopped,
        () = gauge.idle(IDLE, HALF_IDLE) => Ended::Idle,
    }
}

/// Counts what moves on a connection.
#[derive(Clone, Default)]
pub(crate) struct Gauge(Arc<Moves>);

#[derive(Default)]
struct Moves {
    count: AtomicU64,
    half: AtomicBool,
}

impl Gauge {
    fn moved(&self) {
        self.0.count.fetch_add(1, Ordering::Relaxed);
    }

    fn half_closed(&self) {
        self.0.half.store(true, Ordering::Relaxed);
    }

    /// Returns once nothing has moved for `open`, or for `half` where one direction has ended.
    pub(crate) async fn idle(&self, open: Duration, half: Duration) {
        let mut seen = self.0.count.load(Ordering::Relaxed);
        let mut quiet = Duration::ZERO;
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let count = self.0.count.load(Ordering::Relaxed);
            quiet = if count == seen { quiet + LOOK_EVERY } else { Duration::ZERO };
            seen = count;
            if quiet >= if self.0.half.load(Ordering::Relaxed) { half } else { open } {
                return;
            }
        }
    }
}

/// A connection whose moves are counted.
pub(crate) struct Watched<T> {
    inner: T,
    gauge: Gauge,
}

impl<T> Watched<T> {
    /// Counts the moves of `inner` on `gauge`.
    pub(crate) fn new(inner: T, gauge: Gauge) -> Self {
        Self { inner, gauge }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.remaining();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        if buf.remaining() < before {
            self.gauge.moved();
        } else if before > 0 {
            self.gauge.half_closed();
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write(cx, data))?;
        self.gauge.moved();
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.gauge.half_closed();
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
