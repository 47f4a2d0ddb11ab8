//! What all tasks of a router share.

use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use allium_crypto::{HashMap, HashSet, Rng};
use allium_garlic::router::{Inbox, OneTimeTags};
use allium_wire::i2np::Message;
use allium_wire::{RouterHash, RouterInfo, RouterKeys};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::config::Config;
use crate::core::Input;
use crate::counters::Counters;
use crate::links::Links;
use crate::net::Net;
use crate::outbox::{Outbox, Pushed, lock};
use crate::store::Store;
use crate::switch::Tunnels;
use crate::transit::Request;

/// A router's common ground: identity, clock, net, tables, and the ways to its tasks.
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    pub(crate) net: Arc<dyn Net>,
    pub(crate) store: Option<Store>,
    pub(crate) config: Config,
    pub(crate) keys: RouterKeys,
    pub(crate) hash: RouterHash,
    /// Addresses that others may dial.
    pub(crate) published: Vec<SocketAddr>,
    pub(crate) links: Links,
    pub(crate) tunnels: Tunnels,
    pub(crate) garlic: Inbox,
    pub(crate) one_time: Mutex<OneTimeTags>,
    /// Ids of the messages that will bring back our own inbound builds.
    pub(crate) awaited: Mutex<HashSet<u32>>,
    pub(crate) core: mpsc::Sender<Input>,
    pub(crate) transit: mpsc::Sender<Request>,
    pub(crate) counters: Counters,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
    pub(crate) outboxes: RwLock<HashMap<RouterHash, Arc<Outbox>>>,
    pub(crate) info: RwLock<RouterInfo>,
    pub(crate) next_client: AtomicU64,
    pub(crate) rng: Mutex<Rng>,
}

impl Shared {
    /// Randomness for a new task.
    pub(crate) fn fork_rng(&self) -> Rng {
        lock(&self.rng).fork()
    }

    /// Our RouterInfo as it is published now.
    pub(crate) fn info(&self) -> RouterInfo {
        self.info.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_info(&self, info: RouterInfo) {
        *self.info.write().unwrap_or_else(PoisonError::into_inner) = info;
    }

    /// The queue of messages for a peer, made where there is none yet.
    pub(crate) fn outbox(&self, peer: &RouterHash) -> Arc<Outbox> {
        if let Some(outbox) = self.outboxes.read().unwrap_or_else(PoisonError::into_inner).get(peer) {
            return outbox.clone();
        }
        let mut outboxes = self.outboxes.write().unwrap_or_else(PoisonError::into_inner);
        outboxes.entry(*peer).or_insert_with(|| Arc::new(Outbox::new(*peer))).clone()
    }

    /// Whether a link to a peer stands.
    pub(crate) fn connected(&self, peer: &RouterHash) -> bool {
        let outboxes = self.outboxes.read().unwrap_or_else(PoisonError::into_inner);
        outboxes.get(peer).is_some_and(|outbox| outbox.connected())
    }

    /// Forgets the outboxes that nobody uses: no link, nothing queued, no tunnel that leads there.
    pub(crate) fn sweep_outboxes(&self) {
        let mut outboxes = self.outboxes.write().unwrap_or_else(PoisonError::into_inner);
        outboxes.retain(|_, outbox| Arc::strong_count(outbox) > 1 || !outbox.is_idle());
    }

    /// Drops what waits for a peer that can't be reached.
    pub(crate) fn dial_failed(&self, peer: &RouterHash) {
        let dropped = self.outbox(peer).dial_failed();
        self.counters.dropped_stale.add(dropped as u64);
    }

    /// Queues messages for a peer.
    pub(crate) fn push(&self, outbox: &Outbox, messages: &mut Vec<Message>, transit: bool) {
        let (pushed, dropped) = outbox.push(self.clock.now().instant, messages, transit);
        if dropped > 0 {
            self.counters.dropped_full.add(dropped as u64);
        }
        if pushed == Pushed::Dial && !self.tell_core(Input::Dial(outbox.peer())) {
            self.dial_failed(&outbox.peer());
        }
    }

    /// Queues one message of our own for a peer.
    pub(crate) fn send(&self, to: &RouterHash, message: Message) {
        self.push(&self.outbox(to), &mut vec![message], false);
    }

    /// Tells the core something that it can do without when it is flooded: what finds no room is counted and
    /// dropped. False then.
    pub(crate) fn tell_core(&self, input: Input) -> bool {
        let told = self.core.try_send(input).is_ok();
        if !told {
            self.counters.dropped_inbox.one();
        }
        told
    }
}
