//! The asking side: lookups, gets and puts over one destination.

mod asking;
mod carrying;
mod getting;
mod lookup;
mod putting;
mod region;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use allium_crypto::Rng;
use allium_wire::{DestHash, Engine, Now};
use bytes::Bytes;

use crate::book::{Book, KnownPeer};
use crate::io::{Action, ClientStats, Config, Input, RequestId, Why};
use crate::place::Place;
use crate::timers::Timers;
use crate::wire::{Datagram, Frame, Want};
use crate::{Key, Stored};

use asking::{Ask, Purpose};
use carrying::Flight;
use getting::Get;
use lookup::Lookup;
use putting::Put;
use region::Regions;

/// Nodes of the configuration and the last run that are remembered.
const MAX_ANCHORS: usize = 64;
/// Of a node's own neighbours, so many are asked for news more often than other peers.
const NEIGHBOURS: usize = 24;
/// How soon a peer that did not answer is asked again whether it is there.
const SECOND_CHANCE: Duration = Duration::from_mins(2);
/// How often tasks that wait for a peer's window look for another peer.
const STALLED: Duration = Duration::from_secs(1);

/// What has a deadline.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Timer {
    Ask(u64),
    Flight(u64),
    Lookup(u64),
    Get(RequestId),
    Put(RequestId),
    Settle,
    Refresh,
    Doubted(DestHash),
    Stalled,
}

/// What waits for a peer's window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Task {
    Get(RequestId),
    Put(RequestId),
}

/// What a node wants to know of its client beside the client's actions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Event {
    /// A peer answered for the first time, or again after it was gone.
    New(DestHash),
    /// A peer does not answer any more.
    Gone(DestHash),
    /// What became of an offer; no wants if it was not answered.
    Offered { to: DestHash, keys: Vec<Key>, wants: Option<Vec<Want>> },
    /// A block sent by [`Client::push`] for repair arrived, or did not.
    Pushed {
        key: Key,
        /// It is there, or not wanted there; otherwise it may still be.
        settled: bool,
    },
}

/// Finds, gets and puts blocks.
///
/// It learns where nodes are from their answers and reuses that: what a lookup learned of a region of the key space
/// serves all keys of the region for a while, so thousands of blocks cost few lookups.
pub struct Client<B> {
    config: Config,
    /// This destination, if it is a node itself: never asked, and told to others in questions.
    own: Option<DestHash>,
    center: Place,
    rng: Rng,
    pub(crate) book: Book,
    anchors: Vec<DestHash>,
    asks: BTreeMap<u64, Ask>,
    /// Questions that go out together at the end of the present step.
    outbox: BTreeMap<DestHash, Vec<(Key, Purpose)>>,
    flights: BTreeMap<u64, Flight>,
    lookups: BTreeMap<u64, Lookup>,
    next_lookup: u64,
    regions: Regions,
    gets: BTreeMap<RequestId, Get<B>>,
    puts: BTreeMap<RequestId, Put>,
    running_gets: usize,
    running_puts: usize,
    /// Waiting tasks are being begun: those that end at once begin no others themselves.
    starting: bool,
    waiting_gets: VecDeque<RequestId>,
    waiting_puts: VecDeque<RequestId>,
    /// Who waits for which peer's window.
    stalled: BTreeMap<DestHash, VecDeque<Task>>,
    /// Puts that are looked at again later, and those whose blocks are kept for it, the oldest first.
    settling: BTreeSet<(Instant, RequestId)>,
    retained: VecDeque<RequestId>,
    retained_bytes: usize,
    /// What may still be asked for twice: earned by what is got, and by time.
    hedges: f32,
    /// When that was last reckoned.
    reckoned: Option<Instant>,
    /// Questions to strangers under way.
    strangers: usize,
    refreshes: u64,
    timers: Timers<Timer>,
    actions: VecDeque<Action<B>>,
    events: Vec<Event>,
    stats: ClientStats,
}

impl<B: Stored> Client<B> {
    /// A client that knows nobody: give it [`Input::Peers`].
    pub fn new(config: Config, mut rng: Rng) -> Self {
        let center = Place(rng.array());
        Self::at(config, None, center, rng)
    }

    /// The client of a node.
    pub(crate) fn of_node(config: Config, own: DestHash, rng: Rng) -> Self {
        Self::at(config, Some(own), Place::of(&own), rng)
    }

    fn at(config: Config, own: Option<DestHash>, center: Place, rng: Rng) -> Self {
        Self {
            config,
            own,
            center,
            rng,
            book: Book::new(center, config.peers, config.peer_window),
            anchors: Vec::new(),
            asks: BTreeMap::new(),
            outbox: BTreeMap::new(),
            flights: BTreeMap::new(),
            lookups: BTreeMap::new(),
            next_lookup: 0,
            regions: Regions::new(),
            gets: BTreeMap::new(),
            puts: BTreeMap::new(),
            running_gets: 0,
            running_puts: 0,
            starting: false,
            waiting_gets: VecDeque::new(),
            waiting_puts: VecDeque::new(),
            stalled: BTreeMap::new(),
            settling: BTreeSet::new(),
            retained: VecDeque::new(),
            retained_bytes: 0,
            hedges: 16.0,
            reckoned: None,
            strangers: 0,
            refreshes: 0,
            timers: Timers::new(),
            actions: VecDeque::new(),
            events: Vec::new(),
            stats: ClientStats::default(),
        }
    }

    /// The nodes that answer, to be written down for the next run's [`Input::Peers`].
    pub fn known_peers(&self, now: Now) -> Vec<KnownPeer> {
        self.book.known(now)
    }

    /// Counts and sizes.
    pub fn stats(&self) -> ClientStats {
        ClientStats {
            peers: self.book.iter().filter(|peer| peer.proven).count(),
            gets: self.gets.len(),
            puts: self.running_puts + self.waiting_puts.len(),
            settling: self.puts.values().filter(|put| put.is_settling()).count(),
            ..self.stats
        }
    }

    /// How many more puts would begin at once, and not wait with their blocks in memory.
    pub fn room_for_puts(&self) -> usize {
        self.config.puts.saturating_sub(self.running_puts + self.waiting_puts.len())
    }

    /// Whether this peer owes the answer that a frame claims to be.
    pub(crate) fn expects(&self, from: &DestHash, frame: &Frame) -> bool {
        match frame {
            Frame::Get { .. } | Frame::Put { .. } => false,
            Frame::Block { id, .. }
            | Frame::Missing { id, .. }
            | Frame::Stored { id }
            | Frame::Refused { id, .. } => self.flights.get(id).is_some_and(|flight| flight.is_with(from)),
        }
    }

    /// Events since the last call, for the node whose client this is.
    pub(crate) fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// An answer came by datagram.
    pub(crate) fn take_datagram(&mut self, now: Instant, from: DestHash, datagram: Datagram) {
        match datagram {
            Datagram::Found { id, nodes, answers } => self.found(now, from, id, &nodes, &answers),
            Datagram::Wanted { id, wants } => self.wanted(now, from, id, wants),
            Datagram::Find { .. } | Datagram::Offer { .. } => {}
        }
    }

    /// An answer came in a frame.
    pub(crate) fn take_frame(&mut self, now: Instant, from: DestHash, frame: Frame) {
        match frame {
            Frame::Block { id, bytes } => self.block_came(now, from, id, &bytes),
            Frame::Missing { id, busy } => self.block_missing(now, from, id, busy),
            Frame::Stored { id } => self.block_kept(now, from, id, None),
            Frame::Refused { id, why } => self.block_kept(now, from, id, Some(why)),
            Frame::Get { .. } | Frame::Put { .. } => {}
        }
    }

    /// Nodes that may be there. Asks them where others are.
    pub(crate) fn add_peers(&mut self, now: Instant, peers: Vec<DestHash>) {
        for node in peers.into_iter().filter(|node| Some(*node) != self.own) {
            if self.anchors.len() < MAX_ANCHORS && !self.anchors.contains(&node) {
                self.anchors.push(node);
            }
            self.book.add(now, node);
        }
        self.explore(now, Key(self.center.0));
        self.plan_refresh(now);
    }

    fn plan_refresh(&mut self, now: Instant) {
        let wait = self.config.refresh.mul_f64(0.75 + self.rng.unit() / 2.0);
        self.timers.set(Timer::Refresh, now + wait);
    }

    /// Asks one peer for news: mostly the neighbour not heard from for longest, sometimes any peer.
    fn refresh(&mut self, now: Instant) {
        self.plan_refresh(now);
        self.refreshes += 1;
        if !self.book.iter().any(|peer| peer.is_live(now)) {
            self.recall_anchors(now);
            return self.explore(now, Key(self.center.0));
        }
        let neighbours = self.own.is_some() && !self.refreshes.is_multiple_of(3);
        let stalest = if neighbours {
            let near = self.book.closest(&self.center.0, NEIGHBOURS, |peer| peer.is_live(now));
            near.into_iter().min_by_key(|peer| peer.heard).map(|peer| peer.node)
        } else {
            let open = self.book.iter().filter(|peer| !peer.is_shunned(now));
            open.min_by_key(|peer| peer.heard).map(|peer| peer.node)
        };
        if let Some(node) = stalest {
            let key = if neighbours { Key(self.center.0) } else { Key(self.rng.array()) };
            self.ask_soon(node, key, Purpose::News);
        }
    }

    fn recall_anchors(&mut self, now: Instant) {
        for node in self.anchors.clone() {
            self.book.add(now, node);
        }
    }

    /// A peer was heard of that may be a node: asks it, unless many strangers are being asked. Only who answers gets
    /// into the book.
    pub(crate) fn meet(&mut self, node: DestHash) {
        const MOST: usize = 16;
        let known = self.book.get(&node).is_some_and(|peer| peer.proven);
        if known || Some(node) == self.own || self.strangers >= MOST || self.is_asked(&node) {
            return;
        }
        self.strangers += 1;
        self.ask_soon(node, Key(self.center.0), Purpose::Meet);
    }

    /// A node that asks us and did not answer lately is there after all: asks it.
    pub(crate) fn heard_of(&mut self, now: Instant, node: DestHash) {
        match self.book.get(&node) {
            Some(peer) if peer.is_live(now) || peer.is_shunned(now) || self.is_asked(&node) => {}
            Some(peer) if peer.proven => self.ask_soon(node, Key(self.center.0), Purpose::News),
            _ => self.meet(node),
        }
    }

    fn cancel(&mut self, now: Instant, id: RequestId) {
        if self.gets.contains_key(&id) {
            self.end_get(now, id, None);
        }
        self.drop_put(now, id);
    }

    fn fail(&mut self, id: RequestId, why: Why) {
        self.actions.push_back(Action::Failed { id, why });
    }

    fn stall(&mut self, now: Instant, node: DestHash, task: Task) {
        let queue = self.stalled.entry(node).or_default();
        if !queue.contains(&task) {
            queue.push_back(task);
        }
        self.timers.no_later(Timer::Stalled, now + STALLED);
    }

    fn drive(&mut self, now: Instant, task: Task) {
        match task {
            Task::Get(id) => self.drive_get(now, id),
            Task::Put(id) => self.drive_put(now, id),
        }
    }

    /// A peer's window has room: the first task that waits for it goes on.
    fn unstall(&mut self, now: Instant, node: &DestHash) {
        let Some(queue) = self.stalled.get_mut(node) else { return };
        let task = queue.pop_front();
        if queue.is_empty() {
            self.stalled.remove(node);
        }
        if let Some(task) = task {
            self.drive(now, task);
        }
    }

    fn unstall_all(&mut self, now: Instant) {
        for task in std::mem::take(&mut self.stalled).into_values().flatten() {
            self.drive(now, task);
        }
    }

    fn run_timer(&mut self, now: Instant, timer: Timer) {
        match timer {
            Timer::Ask(id) => self.ask_due(now, id),
            Timer::Flight(id) => self.flight_due(now, id),
            Timer::Lookup(id) => self.finish_lookup(now, id),
            Timer::Get(id) => self.get_due(now, id),
            Timer::Put(id) => self.put_due(now, id),
            Timer::Settle => self.settle(now),
            Timer::Refresh => self.refresh(now),
            Timer::Doubted(node) => {
                let doubted = self.book.get(&node).is_some_and(|peer| peer.fails > 0 || peer.doubted);
                if doubted && !self.is_asked(&node) {
                    let purpose = if self.owes(&node) { Purpose::Owing } else { Purpose::News };
                    self.ask_soon(node, Key(self.center.0), purpose);
                }
            }
            Timer::Stalled => self.unstall_all(now),
        }
    }

    /// Takes an input that comes from the network; answers only.
    fn receive_datagram(&mut self, now: Instant, from: DestHash, bytes: &Bytes) {
        if let Ok(datagram) = Datagram::decode(bytes) {
            self.take_datagram(now, from, datagram);
        }
    }

    fn receive_frame(&mut self, now: Instant, from: DestHash, bytes: &Bytes) {
        match Frame::decode(bytes, B::MAX) {
            Ok(frame) => self.take_frame(now, from, frame),
            Err(allium_wire::Error::Unsupported(_)) => {}
            Err(_) => self.accuse(now, from),
        }
    }

    /// A peer sent what no honest one sends.
    pub(crate) fn accuse(&mut self, now: Instant, node: DestHash) {
        self.stats.junk += 1;
        self.book.shun(now, &node);
        self.actions.push_back(Action::Close(node));
        self.closed(now, node);
    }
}

impl<B: Stored> Engine for Client<B> {
    type Input = Input<B>;
    type Action = Action<B>;

    fn handle(&mut self, now: Now, input: Input<B>) {
        let now = now.instant;
        match input {
            Input::Datagram { from, bytes } => self.receive_datagram(now, from, &bytes),
            Input::Frame { from, bytes } => self.receive_frame(now, from, &bytes),
            Input::Closed(peer) => self.closed(now, peer),
            Input::Get { id, key, newest } => self.get(now, id, key, newest),
            Input::Put { id, block } => self.put(now, id, &block),
            Input::Count { id, key } => self.count(now, id, key),
            Input::Cancel(id) => self.cancel(now, id),
            Input::Peers(peers) => self.add_peers(now, peers),
        }
        self.send_questions(now);
    }

    fn poll(&mut self, now: Now) -> Option<Action<B>> {
        while let Some(timer) = self.timers.due(now.instant) {
            self.run_timer(now.instant, timer);
        }
        self.send_questions(now.instant);
        self.actions.pop_front()
    }

    fn deadline(&self) -> Option<Instant> {
        self.timers.next()
    }
}

#[cfg(test)]
mod tests;
