//! The keeping side: a node of the store.

mod index;
mod repair;
mod serving;
mod storing;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use allium_crypto::Rng;
use allium_wire::{DestHash, Engine, Now};
use bytes::Bytes;

use crate::book::KnownPeer;
use crate::client::{Client, Event};
use crate::io::{Action, Input, NodeAction, NodeConfig, NodeInput, NodeStats, Record, RequestId};
use crate::place::Place;
use crate::rate::{Buckets, Limit};
use crate::timers::Timers;
use crate::wire::{Datagram, Frame};
use crate::{Key, Stored};

use index::Index;
use repair::Repair;
use serving::Heat;
use storing::Saving;

/// Peers whose rates are remembered.
const MAX_RATES: usize = 4096;
/// Peers that are banned at most.
const MAX_BANS: usize = 1024;
/// The first ban of a peer that sends junk; each later one is twice as long.
const BAN: Duration = Duration::from_mins(10);
/// Blocks that are being fetched to heal or pin.
const MAX_FETCHES: usize = 256;
/// How long after a fetch that failed it is tried again.
const FETCH_AGAIN: Duration = Duration::from_hours(1);

/// What has a deadline.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Timer {
    /// The next part of a sweep.
    Sweep,
    /// Blocks that came lately are offered to the others.
    Spread,
    /// A block that could not be fetched is tried again.
    Fetch(Key),
    /// Old things are forgotten.
    Tidy,
}

/// What a block is read from disk for.
enum Loading {
    /// To answer a get.
    Serve { to: DestHash, id: u64 },
    /// To send it to a node that wants it.
    Push { to: DestHash },
    /// To see whether it is as it was written.
    Check,
}

/// A block that is fetched from the network.
#[derive(Clone, Copy)]
struct Fetch {
    pinned: bool,
    request: Option<RequestId>,
    tries: u8,
}

/// How a peer broke the rules.
struct Ban {
    count: u8,
    until: Instant,
}

/// Keeps blocks for all, answers for them, and sees to it that those whom they belong to have them.
pub struct Node<B> {
    config: NodeConfig,
    own: DestHash,
    place: Place,
    rng: Rng,
    client: Client<B>,
    index: Index,
    repair: Repair,
    heat: Heat,
    /// Blocks being read.
    loading: BTreeMap<u64, (Key, Loading)>,
    /// Blocks being written, and which key is.
    saving: BTreeMap<u64, Saving>,
    saving_keys: BTreeMap<Key, u64>,
    reserved: u64,
    next_token: u64,
    fetches: BTreeMap<Key, Fetch>,
    requests: BTreeMap<RequestId, Key>,
    /// Keys pinned that are not here yet.
    pins: BTreeSet<Key>,
    frames: Buckets,
    datagrams: Buckets,
    bans: BTreeMap<DestHash, Ban>,
    timers: Timers<Timer>,
    actions: VecDeque<NodeAction>,
    stats: NodeStats,
}

impl<B: Stored> Node<B> {
    /// A node at the destination `own` that holds these blocks.
    pub fn new(config: NodeConfig, own: DestHash, records: Vec<Record>, now: Now, mut rng: Rng) -> Self {
        let rate = |(burst, each): (u32, u32), rng: &mut Rng| {
            let limit = Limit { burst, every: Duration::from_secs(1) / each.max(1) };
            Buckets::new(limit, MAX_RATES, rng.hasher())
        };
        let mut node = Self {
            own,
            place: Place::of(&own),
            client: Client::of_node(config.client, own, rng.fork()),
            index: Index::new(config.quota, records),
            repair: Repair::new(),
            heat: Heat::new(config.popular),
            loading: BTreeMap::new(),
            saving: BTreeMap::new(),
            saving_keys: BTreeMap::new(),
            reserved: 0,
            next_token: 0,
            fetches: BTreeMap::new(),
            requests: BTreeMap::new(),
            pins: BTreeSet::new(),
            frames: rate(config.frames, &mut rng),
            datagrams: rate(config.datagrams, &mut rng),
            bans: BTreeMap::new(),
            timers: Timers::new(),
            actions: VecDeque::new(),
            stats: NodeStats::default(),
            config,
            rng,
        };
        node.plan_sweep(now.instant);
        node.timers.set(Timer::Tidy, now.instant + BAN);
        node.shrink();
        node
    }

    /// This node's destination.
    pub fn own(&self) -> DestHash {
        self.own
    }

    /// The nodes that answer, to be written down for the next run's [`NodeInput::Peers`].
    pub fn known_peers(&self, now: Now) -> Vec<KnownPeer> {
        self.client.known_peers(now)
    }

    /// Whether a block is on this node's disk.
    pub fn holds(&self, key: &Key) -> bool {
        self.index.get(key).is_some()
    }

    /// The blocks held.
    pub fn records(&self) -> impl Iterator<Item = Record> {
        self.index.after(None).filter_map(|(key, _)| self.index.record(key))
    }

    /// Counts and sizes.
    pub fn stats(&self) -> NodeStats {
        NodeStats {
            blocks: self.index.len(),
            pinned: self.index.pinned(),
            bytes: self.index.bytes(),
            quota: self.index.quota(),
            client: self.client.stats(),
            ..self.stats
        }
    }

    /// Whether this node is among the `n` closest to a key that it knows.
    fn is_near(&self, now: Instant, key: &[u8; 32], n: usize) -> bool {
        let near = self.client.book.closest(key, n, |peer| peer.is_live(now));
        let last = near.get(n.saturating_sub(1));
        let own = crate::place::distance(&self.place.0, key);
        last.is_none_or(|peer| crate::place::distance(&peer.place.0, key) > own)
    }

    fn token(&mut self) -> u64 {
        self.next_token += 1;
        self.next_token
    }

    fn load(&mut self, key: Key, what: Loading) {
        let token = self.token();
        self.loading.insert(token, (key, what));
        self.actions.push_back(NodeAction::Load { token, key });
    }

    fn send(&mut self, to: DestHash, frame: &Frame) {
        self.actions.push_back(NodeAction::Frame { to, bytes: frame.encode() });
    }

    fn is_banned(&self, now: Instant, node: &DestHash) -> bool {
        self.bans.get(node).is_some_and(|ban| ban.until > now)
    }

    /// A peer broke the rules: it is not listened to for a while.
    fn ban(&mut self, now: Instant, node: DestHash) {
        self.stats.dropped += 1;
        if self.bans.len() >= MAX_BANS && !self.bans.contains_key(&node) {
            let first = self.bans.iter().min_by_key(|(_, ban)| ban.until).map(|(node, _)| *node);
            first.and_then(|node| self.bans.remove(&node));
        }
        let ban = self.bans.entry(node).or_insert(Ban { count: 0, until: now });
        ban.until = now + BAN * 2u32.saturating_pow(ban.count.min(10).into());
        ban.count = ban.count.saturating_add(1);
        self.client.accuse(now, node);
    }

    /// Fetches a block from the network, to hold it again or for the first time.
    fn fetch(&mut self, now: Instant, key: Key, pinned: bool) {
        if pinned {
            self.pins.insert(key);
        }
        if let Some(fetch) = self.fetches.get_mut(&key) {
            fetch.pinned |= pinned;
            return;
        }
        if self.fetches.len() >= MAX_FETCHES {
            // Pins are begun when others are through.
            return;
        }
        self.fetches.insert(key, Fetch { pinned, request: None, tries: 0 });
        self.timers.set(Timer::Fetch(key), now);
    }

    fn fetch_due(&mut self, now: Now, key: Key) {
        let id = RequestId(self.token());
        let Some(fetch) = self.fetches.get_mut(&key) else { return };
        fetch.tries = fetch.tries.saturating_add(1);
        fetch.request = Some(id);
        self.requests.insert(id, key);
        self.client.handle(now, Input::Get { id, key, newest: true });
    }

    fn fetched(&mut self, now: Now, id: RequestId, block: Option<B>) {
        let Some(key) = self.requests.remove(&id) else { return };
        let Some(fetch) = self.fetches.get(&key).copied() else { return };
        if let Some(block) = block {
            self.fetches.remove(&key);
            self.pins.remove(&key);
            self.stats.healed += 1;
            self.keep_fetched(now, &block, fetch.pinned);
        } else if fetch.pinned || fetch.tries < 4 {
            self.timers.set(Timer::Fetch(key), now.instant + FETCH_AGAIN);
        } else {
            self.fetches.remove(&key);
        }
        if self.fetches.len() < MAX_FETCHES {
            let next = self.pins.iter().find(|key| !self.fetches.contains_key(key)).copied();
            if let Some(key) = next {
                self.fetch(now.instant, key, true);
            }
        }
    }

    fn pin(&mut self, now: Instant, key: Key) {
        const MAX_PINS: usize = 1 << 20;
        if self.index.set_pinned(&key, true) {
            self.note(&key);
        } else if self.pins.len() < MAX_PINS {
            self.fetch(now, key, true);
        }
    }

    fn unpin(&mut self, key: Key) {
        self.pins.remove(&key);
        self.fetches.remove(&key);
        self.timers.cancel(Timer::Fetch(key));
        if self.index.set_pinned(&key, false) {
            self.note(&key);
            self.shrink();
        }
    }

    fn note(&mut self, key: &Key) {
        if let Some(record) = self.index.record(key) {
            self.actions.push_back(NodeAction::Note(record));
        }
    }

    fn tidy(&mut self, now: Instant) {
        self.timers.set(Timer::Tidy, now + BAN);
        self.bans.retain(|_, ban| ban.until + BAN * 64 > now);
        self.frames.sweep(now);
        self.datagrams.sweep(now);
        self.heat.forget(now);
        self.repair.forget(now);
    }

    fn run_timer(&mut self, now: Now, timer: Timer) {
        match timer {
            Timer::Sweep => self.sweep(now.instant),
            Timer::Spread => self.spread(now.instant),
            Timer::Fetch(key) => self.fetch_due(now, key),
            Timer::Tidy => self.tidy(now.instant),
        }
    }

    /// Carries out what the client wants, and takes up what it found.
    fn follow_client(&mut self, now: Now) {
        while let Some(action) = self.client.poll(now) {
            match action {
                Action::Datagram { to, bytes } => self.actions.push_back(NodeAction::Datagram { to, bytes }),
                Action::Frame { to, bytes } => self.actions.push_back(NodeAction::Frame { to, bytes }),
                Action::Close(peer) => self.actions.push_back(NodeAction::Close(peer)),
                Action::Got { id, block } => self.fetched(now, id, Some(block)),
                Action::Failed { id, .. } => self.fetched(now, id, None),
                Action::Stored { .. } | Action::Spread { .. } => {}
            }
        }
        for event in self.client.take_events() {
            match event {
                Event::New(node) => self.neighbour(now.instant, node, true),
                Event::Gone(node) => self.neighbour(now.instant, node, false),
                Event::Offered { to, keys, wants } => self.offered(now.instant, to, &keys, wants),
                Event::Pushed { key, settled } => self.pushed(now.instant, key, settled),
            }
        }
    }

    fn receive_datagram(&mut self, now: Now, from: DestHash, bytes: &Bytes) {
        if from == self.own || self.is_banned(now.instant, &from) {
            return;
        }
        match Datagram::decode(bytes) {
            Ok(answer @ (Datagram::Found { .. } | Datagram::Wanted { .. })) => {
                self.client.take_datagram(now.instant, from, answer);
            }
            Ok(_) if !self.datagrams.allow(&from.0, now.instant) => self.stats.dropped += 1,
            Ok(Datagram::Find { id, node, keys }) => self.answer_find(now.instant, from, id, node, &keys),
            Ok(Datagram::Offer { id, wide, items }) => self.answer_offer(now, from, id, wide, &items),
            Err(_) => self.stats.dropped += 1,
        }
    }

    fn receive_frame(&mut self, now: Now, from: DestHash, bytes: &Bytes) {
        if from == self.own || self.is_banned(now.instant, &from) {
            return;
        }
        match Frame::decode(bytes, B::MAX) {
            Ok(Frame::Get { id, key }) => self.answer_get(now, from, id, key),
            Ok(Frame::Put { id, kind, idle, bytes }) => self.answer_put(now, (from, id), kind, idle, &bytes),
            Ok(answer) if self.client.expects(&from, &answer) || self.frames.allow(&from.0, now.instant) => {
                self.client.take_frame(now.instant, from, answer);
            }
            // Now and then an answer comes too late; so many that nobody asked for are a flood.
            Err(allium_wire::Error::Unsupported(_)) => self.stats.dropped += 1,
            Ok(_) | Err(_) => self.ban(now.instant, from),
        }
    }
}

impl<B: Stored> Engine for Node<B> {
    type Input = NodeInput;
    type Action = NodeAction;

    fn handle(&mut self, now: Now, input: NodeInput) {
        match input {
            NodeInput::Datagram { from, bytes } => self.receive_datagram(now, from, &bytes),
            NodeInput::Frame { from, bytes } => self.receive_frame(now, from, &bytes),
            NodeInput::Closed(peer) => self.client.handle(now, Input::Closed(peer)),
            NodeInput::Loaded { token, outcome } => self.loaded(now, token, outcome),
            NodeInput::Saved { token, outcome } => self.saved(now.instant, token, outcome.is_ok()),
            NodeInput::Pin(key) => self.pin(now.instant, key),
            NodeInput::Unpin(key) => self.unpin(key),
            NodeInput::Check(key) => self.check(key),
            NodeInput::Peers(peers) => self.client.add_peers(now.instant, peers),
            NodeInput::Quota(quota) => {
                self.index.set_quota(quota);
                self.shrink();
            }
        }
        self.follow_client(now);
    }

    fn poll(&mut self, now: Now) -> Option<NodeAction> {
        while let Some(timer) = self.timers.due(now.instant) {
            self.run_timer(now, timer);
        }
        self.follow_client(now);
        self.actions.pop_front()
    }

    fn deadline(&self) -> Option<Instant> {
        [self.timers.next(), self.client.deadline()].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests;
