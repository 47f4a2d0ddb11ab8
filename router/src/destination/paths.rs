//! A pool's tunnels, as those who send through them see them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use allium_crypto::Rng;
use allium_tunnel::pool::BuildId;
use allium_tunnel::{Direction, Outbound, Sending};
use allium_wire::i2np::Message;
use allium_wire::tunnel::Target;
use allium_wire::{Date, Now, RouterHash, TunnelId};
use tokio::sync::Notify;

use crate::outbox::{Outbox, lock};
use crate::shared::Shared;
use crate::switch::Batch;

/// An outbound tunnel, with the outbox of its first hop at hand.
pub(crate) struct OutboundPath {
    pub(crate) id: BuildId,
    tunnel: Mutex<Outbound>,
    first: Option<Arc<Outbox>>,
    expires: Instant,
    /// The smoothed round trip of its tests in microseconds; 0 before the first.
    rtt: AtomicU32,
}

impl OutboundPath {
    pub(crate) fn new(shared: &Shared, id: BuildId, tunnel: Outbound) -> Self {
        let first = tunnel.first().map(|first| shared.outbox(&first));
        let expires = tunnel.expires();
        Self { id, tunnel: Mutex::new(tunnel), first, expires, rtt: AtomicU32::new(0) }
    }

    /// Whether it can take more of our own traffic now.
    pub(crate) fn has_room(&self) -> bool {
        self.first.as_ref().is_none_or(|outbox| outbox.has_room())
    }

    /// Waits until it may have room.
    pub(crate) async fn room(&self) {
        if let Some(outbox) = &self.first {
            outbox.room().await;
        }
    }

    /// How long a byte takes, as far as it can be told from here: the tests' round trip, and what waits before it.
    pub(crate) fn slowness(&self) -> f64 {
        let rtt = f64::from(self.rtt.load(Ordering::Relaxed).max(1000)) / 1e6;
        let queued = self.first.as_ref().map_or(0, |outbox| outbox.bytes()) as f64;
        rtt + queued / 4e6
    }

    /// Sends a message through it; false where it can't be sent.
    pub(crate) fn send(&self, shared: &Shared, now: Now, target: Target, message: &Message) -> bool {
        self.send_all(shared, now, &[(target, message)])
    }

    /// Sends messages through it, packed together; false where they can't be sent.
    pub(crate) fn send_all(&self, shared: &Shared, now: Now, messages: &[(Target, &Message)]) -> bool {
        let mut sendings: Vec<Sending> = Vec::with_capacity(messages.len() * 2);
        let wrapped = lock(&self.tunnel).wrap_all(now, messages, &mut sendings);
        if wrapped.is_err() {
            return false;
        }
        if let Some(first) = &self.first {
            let mut messages = sendings.into_iter().map(|sending| sending.message).collect();
            shared.push(first, &mut messages, false);
        } else {
            let mut batch = Batch::new();
            for sending in sendings {
                shared.forward(sending, &mut batch);
            }
            batch.flush(shared);
        }
        true
    }
}

/// An inbound tunnel, as others see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InboundPath {
    pub(crate) id: BuildId,
    pub(crate) gateway: RouterHash,
    pub(crate) tunnel: TunnelId,
    /// The id under which it comes to us.
    pub(crate) receive: TunnelId,
    pub(crate) expires: Date,
    pub(crate) rtt: Option<Duration>,
}

#[derive(Default)]
struct State {
    outbound: Vec<(Arc<OutboundPath>, bool)>,
    inbound: Vec<(InboundPath, bool)>,
}

/// A pool's tunnels that stand. The core changes them; a destination, or the core itself, sends through them.
#[derive(Default)]
pub(crate) struct Paths {
    state: Mutex<State>,
    changed: Notify,
    published: AtomicBool,
    streams: AtomicUsize,
}

impl Paths {
    pub(crate) fn add_outbound(&self, path: OutboundPath) {
        lock(&self.state).outbound.push((Arc::new(path), true));
        self.changed.notify_waiters();
    }

    pub(crate) fn add_inbound(&self, path: InboundPath) {
        lock(&self.state).inbound.push((path, true));
        self.changed.notify_waiters();
    }

    pub(crate) fn retire(&self, direction: Direction, id: BuildId) {
        let mut state = lock(&self.state);
        match direction {
            Direction::Outbound => state.outbound.retain(|(path, _)| path.id != id),
            Direction::Inbound => state.inbound.retain(|(path, _)| path.id != id),
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// Says which tunnels are good now.
    pub(crate) fn update(&self, direction: Direction, usable: &BTreeMap<BuildId, Option<Duration>>) {
        let mut state = lock(&self.state);
        match direction {
            Direction::Outbound => {
                for (path, good) in &mut state.outbound {
                    *good = usable.contains_key(&path.id);
                }
            }
            Direction::Inbound => {
                for (path, good) in &mut state.inbound {
                    *good = usable.contains_key(&path.id);
                }
            }
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// A tunnel's tests take so long on average.
    pub(crate) fn measured(&self, direction: Direction, id: BuildId, rtt: Option<Duration>) {
        let mut state = lock(&self.state);
        match direction {
            Direction::Outbound => {
                if let Some((path, _)) = state.outbound.iter().find(|(path, _)| path.id == id) {
                    let micros = rtt.map_or(0, |rtt| rtt.as_micros().min(u128::from(u32::MAX)) as u32);
                    path.rtt.store(micros, Ordering::Relaxed);
                }
            }
            Direction::Inbound => {
                if let Some((path, _)) = state.inbound.iter_mut().find(|(path, _)| path.id == id) {
                    path.rtt = rtt;
                }
            }
        }
    }

    /// Forgets everything; gives the ids under which inbound tunnels came.
    pub(crate) fn clear(&self) -> Vec<TunnelId> {
        let mut state = lock(&self.state);
        state.outbound.clear();
        state.inbound.drain(..).map(|(path, _)| path.receive).collect()
    }

    /// The good outbound tunnels.
    pub(crate) fn outbound(&self) -> Vec<Arc<OutboundPath>> {
        lock(&self.state).outbound.iter().filter(|(_, good)| *good).map(|(path, _)| path.clone()).collect()
    }

    /// The good inbound tunnels.
    pub(crate) fn inbound(&self) -> Vec<InboundPath> {
        lock(&self.state).inbound.iter().filter(|(_, good)| *good).map(|(path, _)| *path).collect()
    }

    pub(crate) fn outbound_by_id(&self, id: BuildId) -> Option<Arc<OutboundPath>> {
        lock(&self.state).outbound.iter().find(|(path, _)| path.id == id).map(|(path, _)| path.clone())
    }

    pub(crate) fn inbound_by_id(&self, id: BuildId) -> Option<InboundPath> {
        lock(&self.state).inbound.iter().find(|(path, _)| path.id == id).map(|(path, _)| *path)
    }

    pub(crate) fn pick_outbound(&self, rng: &mut Rng) -> Option<Arc<OutboundPath>> {
        rng.choose(&self.outbound()).cloned()
    }

    pub(crate) fn pick_inbound(&self, rng: &mut Rng) -> Option<InboundPath> {
        rng.choose(&self.inbound()).copied()
    }

    /// Waits for a change.
    pub(crate) fn changed(&self) -> impl Future<Output = ()> {
        self.changed.notified()
    }

    pub(crate) fn set_published(&self, published: bool) {
        self.published.store(published, Ordering::Relaxed);
        self.changed.notify_waiters();
    }

    /// Whether tunnels stand both ways, and (for what is published) a floodfill has acknowledged the LeaseSet.
    pub(crate) fn ready(&self, published: bool) -> bool {
        let state = lock(&self.state);
        let stand =
            state.outbound.iter().any(|(_, good)| *good) && state.inbound.iter().any(|(_, good)| *good);
        stand && (!published || self.published.load(Ordering::Relaxed))
    }

    pub(crate) fn set_streams(&self, streams: usize) {
        self.streams.store(streams, Ordering::Relaxed);
    }

    pub(crate) fn streams(&self) -> usize {
        self.streams.load(Ordering::Relaxed)
    }
}

impl OutboundPath {
    /// Whether its hops still know it.
    pub(crate) fn lives(&self, now: Instant) -> bool {
        self.expires > now
    }
}
