//! The writing task of a link: gathers what waits into frames, and writes them at once.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use allium_link::ntcp2::{Error, Reason, Sender};
use allium_wire::RouterHash;
use allium_wire::i2np::Message;
use tokio::io::AsyncWriteExt;
use tokio::sync::Notify;
use tracing::debug;

use super::backlog::{Backlog, LASTING};
use super::{Link, WRITE_TIMEOUT};
use crate::clock::Clock;
use crate::net::WriteHalf;
use crate::outbox::{Outbox, lock};
use crate::shared::Shared;

/// How many bytes are gathered for one write.
const WRITE: usize = 48 << 10;

/// Writes until the link is to close, then says why.
pub(super) async fn run(
    shared: Arc<Shared>,
    link: Arc<Link>,
    (outbox, filled): (Arc<Outbox>, Arc<Notify>),
    mut write: Box<dyn WriteHalf>,
    mut sender: Sender,
) {
    let mut out = Vec::new();
    let mut queue = VecDeque::new();
    let mut backlog = Backlog::default();
    while next(&shared, &link, (&outbox, &filled), &mut queue).await {
        if seal(&shared, &mut sender, &mut queue, &mut out).is_err() {
            break;
        }
        let sent = out.len() as u64;
        let waiting = || outbox.bytes();
        if !write_out(&shared.clock, &link.peer, waiting, &mut backlog, &mut *write, &out).await {
            debug!("the link to {} takes nothing any more", link.peer);
            link.close.cancel();
            return;
        }
        out.clear();
        if out.capacity() > 2 * WRITE {
            out.shrink_to(WRITE);
        }
        shared.counters.bytes_sent.add(sent);
        lock(&link.activity).sent = shared.clock.now().instant;
    }
    let reason = lock(&link.last_words).take();
    let reason = reason.unwrap_or(if shared.stop.is_cancelled() { Reason::Shutdown } else { Reason::Normal });
    let received = link.received_frames.load(Ordering::Relaxed);
    out.clear();
    if sender.terminate(&mut out, reason, received).is_ok() {
        let farewell = async {
            write.write_all(&out).await?;
            write.shutdown().await
        };
        let _ = tokio::time::timeout(shared.links.policy.farewell, farewell).await;
    }
    link.close.cancel();
}

/// Writes all of `out`, and has the connection look for more bandwidth where that and what is `waiting` beside it take too
/// long. False where it takes nothing any more.
async fn write_out(
    clock: &Clock,
    peer: &RouterHash,
    waiting: impl Fn() -> usize,
    backlog: &mut Backlog,
    write: &mut dyn WriteHalf,
    mut out: &[u8],
) -> bool {
    let mut progress = clock.now().instant;
    if backlog.writes(progress, out.len()) {
        write.hurry();
    }
    while !out.is_empty() {
        let written = match tokio::time::timeout(LASTING, write.write(out)).await {
            Ok(Ok(0) | Err(_)) => return false,
            Ok(Ok(written)) => written,
            Err(_) => 0,
        };
        out = out.get(written..).unwrap_or_default();
        let now = clock.now().instant;
        if written > 0 {
            progress = now;
        } else if now.saturating_duration_since(progress) >= WRITE_TIMEOUT {
            return false;
        }
        let waiting = out.len() + waiting();
        if backlog.wrote(now, written as u64, waiting) {
            debug!("{waiting} bytes wait for {peer}: its connection looks for more bandwidth");
            write.hurry();
        }
    }
    true
}

/// Waits until there is something to write, and takes it; false when the link is to close.
async fn next(
    shared: &Shared,
    link: &Link,
    (outbox, filled): (&Outbox, &Notify),
    queue: &mut VecDeque<Message>,
) -> bool {
    loop {
        if link.close.is_cancelled() {
            return false;
        }
        let now = shared.clock.now().instant;
        let ours = outbox.is_link(link.number);
        if ours {
            let stale = outbox.take(now, WRITE, queue);
            shared.counters.dropped_stale.add(stale as u64);
            if !queue.is_empty() {
                return true;
            }
            if stale > 0 {
                continue;
            }
        }
        let idle_at = shared.links.policy.idle_at(*lock(&link.activity), shared.links.up());
        if idle_at <= now {
            *lock(&link.last_words) = Some(Reason::IdleTimeout);
            return false;
        }
        tokio::select! {
            biased;
            () = link.close.cancelled() => return false,
            () = filled.notified() => {}
            () = Clock::sleep_until(Some(idle_at)) => {}
        }
    }
}

fn seal(
    shared: &Shared,
    sender: &mut Sender,
    queue: &mut VecDeque<Message>,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    while !queue.is_empty() {
        match sender.seal(out, shared.clock.now(), queue.iter()) {
            Ok(packed) => drop(queue.drain(..packed.max(1))),
            Err(Error::Oversize(_)) => {
                shared.counters.malformed.one();
                queue.pop_front();
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
