//! A peer's send queue: the only queue on the way of a transit message.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use allium_wire::RouterHash;
use allium_wire::i2np::Message;
use tokio::sync::Notify;

/// Above this many queued bytes a transit message is dropped.
const TRANSIT_BYTES: usize = 3 << 20;
/// Above this many queued bytes anything is dropped.
const ALL_BYTES: usize = 6 << 20;
/// Below this many queued bytes the router's own streams may send more.
const OWN_BYTES: usize = 512 << 10;
/// A message that waited longer is of no use to anyone.
const MAX_AGE: Duration = Duration::from_secs(10);

/// Locks a mutex whose holder cannot have left it half changed.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What an outbox's peer is connected by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    Down,
    Dialling,
    Up(u64),
}

struct Queued {
    message: Message,
    at: Instant,
}

struct State {
    queue: VecDeque<Queued>,
    link: Link,
    /// Wakes the writer of the link that is up. Each has its own: where two links stand, only the newer one writes.
    writer: Option<Arc<Notify>>,
}

/// The messages that wait for one peer. Survives reconnects.
pub(crate) struct Outbox {
    peer: RouterHash,
    state: Mutex<State>,
    bytes: AtomicUsize,
    room: Notify,
}

/// What became of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// Queued for a connected (or connecting) peer.
    Queued,
    /// Queued; somebody must dial the peer now.
    Dial,
}

impl Outbox {
    /// An empty queue for `peer`, who is not connected.
    pub(crate) fn new(peer: RouterHash) -> Self {
        Self {
            peer,
            state: Mutex::new(State { queue: VecDeque::new(), link: Link::Down, writer: None }),
            bytes: AtomicUsize::new(0),
            room: Notify::new(),
        }
    }

    /// Whose queue it is.
    pub(crate) fn peer(&self) -> RouterHash {
        self.peer
    }

    /// Bytes that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whether a link is up.
    pub(crate) fn connected(&self) -> bool {
        matches!(lock(&self.state).link, Link::Up(_))
    }

    /// Whether there is neither a link nor anything queued.
    pub(crate) fn is_idle(&self) -> bool {
        let state = lock(&self.state);
        state.link == Link::Down && state.queue.is_empty()
    }

    /// Whether the router's own streams may send more this way now.
    pub(crate) fn has_room(&self) -> bool {
        self.bytes() < OWN_BYTES
    }

    /// Waits until [`Self::has_room`] may have become true.
    pub(crate) async fn room(&self) {
        let waiting = self.room.notified();
        if !self.has_room() {
            waiting.await;
        }
    }

    /// Queues `messages`, emptying the vector, and gives how many found no room and were dropped.
    pub(crate) fn push(&self, now: Instant, messages: &mut Vec<Message>, transit: bool) -> (Pushed, usize) {
        let limit = if transit { TRANSIT_BYTES } else { ALL_BYTES };
        let mut dropped = 0;
        let mut added = 0;
        let queued = self.bytes();
        let mut state = lock(&self.state);
        for message in messages.drain(..) {
            let size = message.body.len() + 64;
            if queued + added + size > limit {
                dropped += 1;
                continue;
            }
            added += size;
            state.queue.push_back(Queued { message, at: now });
        }
        let outcome = if state.link == Link::Down && !state.queue.is_empty() {
            state.link = Link::Dialling;
            Pushed::Dial
        } else {
            Pushed::Queued
        };
        self.bytes.fetch_add(added, Ordering::Relaxed);
        if added > 0
            && let Some(writer) = &state.writer
        {
            writer.notify_one();
        }
        (outcome, dropped)
    }

    /// Moves up to `bytes` bytes of messages to the end of `into`; gives how many were dropped for their age.
    pub(crate) fn take(&self, now: Instant, bytes: usize, into: &mut VecDeque<Message>) -> usize {
        let mut taken = 0;
        let mut stale = 0;
        let mut state = lock(&self.state);
        while taken < bytes {
            let Some(queued) = state.queue.pop_front() else { break };
            taken += queued.message.body.len() + 64;
            if now.saturating_duration_since(queued.at) > MAX_AGE {
                stale += 1;
            } else {
                into.push_back(queued.message);
            }
        }
        if state.queue.is_empty() && state.queue.capacity() > 64 {
            state.queue.shrink_to(16);
        }
        drop(state);
        if taken > 0 {
            let before = self.bytes.fetch_sub(taken, Ordering::Relaxed);
            if before >= OWN_BYTES && before - taken < OWN_BYTES {
                self.room.notify_waiters();
            }
        }
        stale
    }

    /// Marks the peer connected by link number `link`: its writer alone drains the queue from now on.
    ///
    /// The result wakes that writer when something was pushed.
    pub(crate) fn link_up(&self, link: u64) -> Arc<Notify> {
        let writer = Arc::new(Notify::new());
        let mut state = lock(&self.state);
        state.link = Link::Up(link);
        state.writer = Some(writer.clone());
        writer
    }

    /// Whether link number `link` is still the one that drains this queue.
    pub(crate) fn is_link(&self, link: u64) -> bool {
        lock(&self.state).link == Link::Up(link)
    }

    /// Marks link number `link` gone. What is queued stays; true when someone must dial for it.
    pub(crate) fn link_down(&self, link: u64) -> bool {
        let mut state = lock(&self.state);
        if state.link != Link::Up(link) {
            return false;
        }
        state.writer = None;
        let again = !state.queue.is_empty();
        state.link = if again { Link::Dialling } else { Link::Down };
        again
    }

    /// A dial failed: everything that waited is dropped, and their number given.
    pub(crate) fn dial_failed(&self) -> usize {
        let mut state = lock(&self.state);
        if let Link::Up(_) = state.link {
            return 0;
        }
        state.link = Link::Down;
        let dropped = state.queue.len();
        state.queue = VecDeque::new();
        self.bytes.store(0, Ordering::Relaxed);
        drop(state);
        self.room.notify_waiters();
        dropped
    }
}
