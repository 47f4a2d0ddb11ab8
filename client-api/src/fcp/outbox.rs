//! What is on its way to a client.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::{Notify, mpsc};

use super::held::{Held, Reader};
use super::wire::Message;

/// Above so many bytes that wait, news of progress is left out.
const BUSY: usize = 64 * 1024;
/// Above so many bytes that wait, no more is taken from the client, nor told it of what others began.
const FULL: usize = 1 << 20;

/// Where messages to one client are put. Cheap to clone.
#[derive(Clone)]
pub(super) struct Outbox {
    queue: mpsc::UnboundedSender<Item>,
    waiting: Arc<Waiting>,
}

/// The other end, which carries them to the client.
pub(super) struct Carrier {
    queue: mpsc::UnboundedReceiver<Item>,
    waiting: Arc<Waiting>,
}

#[derive(Default)]
struct Waiting {
    bytes: AtomicUsize,
    fewer: Notify,
}

struct Item {
    message: Bytes,
    data: Option<Arc<Held>>,
}

/// A new pair.
pub(super) fn outbox() -> (Outbox, Carrier) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let waiting = Arc::new(Waiting::default());
    (Outbox { queue: sender, waiting: Arc::clone(&waiting) }, Carrier { queue: receiver, waiting })
}

impl Outbox {
    fn put(&self, message: &Message, data: Option<Arc<Held>>) {
        let mut bytes = BytesMut::new();
        message.encode(data.as_ref().map(|held| held.length()), &mut bytes);
        let length = bytes.len();
        self.waiting.bytes.fetch_add(length, Ordering::Relaxed);
        // A client that is gone needs no answer.
        let _ = self.queue.send(Item { message: bytes.freeze(), data });
    }

    /// Sends a message.
    pub(super) fn send(&self, message: &Message) {
        self.put(message, None);
    }

    /// Sends a message with data behind it.
    pub(super) fn send_with(&self, message: &Message, data: Arc<Held>) {
        self.put(message, Some(data));
    }

    /// Whether news of progress would only make a slow client's queue longer.
    pub(super) fn busy(&self) -> bool {
        self.waiting.bytes.load(Ordering::Relaxed) > BUSY
    }

    /// Whether the client does not take what it is sent.
    pub(super) fn full(&self) -> bool {
        self.waiting.bytes.load(Ordering::Relaxed) > FULL
    }

    /// Waits until the client has taken some of what it was sent.
    pub(super) async fn room(&self) {
        while self.full() {
            let fewer = self.waiting.fewer.notified();
            if !self.full() {
                return;
            }
            fewer.await;
        }
    }
}

impl Carrier {
    /// Carries messages until the last outbox is gone, or the client.
    pub(super) async fn carry(mut self, mut client: impl AsyncWrite + Unpin) -> io::Result<()> {
        while let Some(item) = self.queue.recv().await {
            client.write_all(&item.message).await?;
            self.waiting.bytes.fetch_sub(item.message.len(), Ordering::Relaxed);
            self.waiting.fewer.notify_waiters();
            if let Some(held) = item.data {
                let mut reader = Reader::new(held);
                while let Some(bytes) = reader.next().await? {
                    client.write_all(&bytes).await?;
                }
            }
            if self.queue.is_empty() {
                client.flush().await?;
            }
        }
        client.shutdown().await
    }
}
