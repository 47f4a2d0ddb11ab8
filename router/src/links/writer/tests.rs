use std::io;
use std::pin::Pin;
use std::sync::atomic::AtomicUsize;
use std::task::{Context, Poll};

use tokio::io::{AsyncReadExt, AsyncWrite, DuplexStream};

use std::time::Duration;

use super::*;

/// A connection that takes what its other end has read, and counts how often it is to hurry.
struct Narrow(DuplexStream, Arc<AtomicUsize>);

impl AsyncWrite for Narrow {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl WriteHalf for Narrow {
    fn hurry(&self) {
        self.1.fetch_add(1, Ordering::Relaxed);
    }
}

/// Writes 48 KiB to a connection of which 1 KiB is read every so often; whether that went well, how often it was to
/// hurry, and when first.
async fn write_slowly(pause: Duration, reads: usize) -> (bool, usize, Option<Duration>) {
    let (near, mut far) = tokio::io::duplex(1024);
    let hurried = Arc::new(AtomicUsize::new(0));
    let seen = hurried.clone();
    let begin = tokio::time::Instant::now();
    let reader = tokio::spawn(async move {
        let (mut bytes, mut first) = ([0; 1024], None);
        for _ in 0..reads {
            tokio::time::sleep(pause).await;
            if seen.load(Ordering::Relaxed) > 0 {
                first.get_or_insert(begin.elapsed());
            }
            if far.read_exact(&mut bytes).await.is_err() {
                break;
            }
        }
        tokio::time::sleep(2 * WRITE_TIMEOUT).await;
        first
    });
    let (clock, mut backlog) = (Clock::system(), Backlog::default());
    let peer = RouterHash([7; 32]);
    let mut narrow = Narrow(near, hurried.clone());
    let done = write_out(&clock, &peer, || 0, &mut backlog, &mut narrow, &vec![1; 48 << 10]).await;
    (done, hurried.load(Ordering::Relaxed), reader.await.ok().flatten())
}

#[tokio::test(start_paused = true)]
async fn a_slow_connection_looks_for_bandwidth_while_it_is_written_to() {
    let (done, hurried, first) = write_slowly(Duration::from_millis(30), 48).await;
    assert!(done && hurried > 0);
    assert!(first.is_some_and(|first| first < Duration::from_millis(300)), "{first:?}");
}

#[tokio::test(start_paused = true)]
async fn a_fast_connection_does_not() {
    assert_eq!(write_slowly(Duration::from_millis(1), 48).await, (true, 0, None));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_takes_nothing_is_given_up() {
    assert!(!write_slowly(Duration::from_millis(1), 4).await.0);
}
