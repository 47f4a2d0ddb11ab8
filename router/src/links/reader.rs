//! The reading task of a link: opens frames, and hands each message to the switch, inline.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use allium_link::Offence;
use allium_link::ntcp2::{Error, Event, Farewell, Reason, Receiver};
use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};
use tracing::debug;

use super::Link;
use crate::core::Input;
use crate::outbox::lock;
use crate::shared::Shared;
use crate::switch::{Batch, Source};

/// How much is read at once.
const READ: usize = 32 << 10;

/// Why reading ended.
enum End {
    /// The connection closed, or the link is to.
    Closed,
    /// The peer said so.
    Terminated(Reason),
    /// The peer broke the rules.
    Broken(Error),
}

/// Reads until the link ends, and leaves what to say last with the link.
pub(super) async fn run(
    shared: &Arc<Shared>,
    link: &Link,
    read: Box<dyn AsyncRead + Send + Unpin>,
    receiver: Receiver,
) {
    let end = tokio::select! {
        biased;
        () = link.close.cancelled() => End::Closed,
        end = frames(shared, link, read, receiver) => end,
    };
    match end {
        End::Closed => {}
        End::Terminated(reason) => {
            debug!("{} ended the link: {reason}", link.peer);
            *lock(&link.last_words) = Some(Reason::TerminationReceived);
            if let Some(wait) = reason.hold_off() {
                lock(&shared.links.backoff).hold_off(link.peer, shared.clock.now().instant, wait);
            }
        }
        End::Broken(error) => {
            debug!("ending the link to {}: {error}", link.peer);
            shared.counters.malformed.one();
            if let Farewell::Terminate(reason) = error.farewell() {
                *lock(&link.last_words) = Some(reason);
            }
            let offence = error.offence().unwrap_or(Offence::Protocol);
            lock(&shared.links.bans).router_offended(link.peer, shared.clock.now().instant, offence);
        }
    }
}

async fn frames(
    shared: &Arc<Shared>,
    link: &Link,
    mut read: Box<dyn AsyncRead + Send + Unpin>,
    mut receiver: Receiver,
) -> End {
    let mut buffer = BytesMut::new();
    let mut batch = Batch::new();
    loop {
        while buffer.len() < 2 {
            if !fill(shared, &mut read, &mut buffer).await {
                return End::Closed;
            }
        }
        let length = match receiver.length([buffer[0], buffer[1]]) {
            Ok(length) => length,
            Err(error) => return End::Broken(error),
        };
        buffer.advance(2);
        if buffer.len() < length {
            batch.flush(shared);
            buffer.reserve(length - buffer.len());
            let whole = async {
                while buffer.len() < length {
                    if !fill(shared, &mut read, &mut buffer).await {
                        return false;
                    }
                }
                true
            };
            if tokio::time::timeout(shared.links.policy.frame, whole).await != Ok(true) {
                return End::Closed;
            }
        }
        let frame = match receiver.open(buffer.split_to(length)) {
            Ok(frame) => frame,
            Err(error) => return End::Broken(error),
        };
        link.received_frames.store(receiver.frames(), Ordering::Relaxed);
        lock(&link.activity).received = shared.clock.now().instant;
        for event in frame {
            match event {
                Ok(Event::I2np(message)) => shared.deliver(Source::Link(link.peer), message, &mut batch),
                Ok(Event::RouterInfo { info, flood }) => {
                    shared.tell_core(Input::RouterInfoBlock { from: link.peer, info, flood });
                }
                Ok(Event::Termination { reason, .. }) => {
                    batch.flush(shared);
                    return End::Terminated(reason);
                }
                Ok(Event::DateTime(_) | Event::Options(_)) => {}
                Err(error) => return End::Broken(error),
            }
        }
        if buffer.len() < 2 {
            batch.flush(shared);
        }
    }
}

/// Reads what there is; false at the end of the connection.
async fn fill(shared: &Shared, read: &mut (dyn AsyncRead + Send + Unpin), buffer: &mut BytesMut) -> bool {
    if buffer.capacity() - buffer.len() < READ / 4 {
        buffer.reserve(READ);
    }
    match read.read_buf(buffer).await {
        Ok(0) | Err(_) => false,
        Ok(n) => {
            shared.counters.bytes_received.add(n as u64);
            true
        }
    }
}
