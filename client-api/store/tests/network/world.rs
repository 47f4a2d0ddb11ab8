//! A network of nodes and clients in virtual time: delays, loss, crashes; no two runs of one seed differ.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::{Duration, Instant};

use allium_crypto::{HashMap, Rng};
use allium_store::wire::{Datagram, Frame};
use allium_store::{
    Action, Client, Config, DiskError, Input, Key, Node, NodeAction, NodeConfig, NodeInput, Record,
    RequestId, Stored, Why,
};
use allium_wire::{Date, DestHash, Engine, Now};
use bytes::Bytes;

use crate::liar::Liar;
use crate::toy::Toy;

/// Bytes that a repliable datagram carries besides its payload: destination and signature.
const DATAGRAM_OVERHEAD: u64 = 391 + 64;
/// Bytes that a frame costs besides its own, its length and its share of packets' heads.
const FRAME_OVERHEAD: u64 = 40;
/// After this time a channel to somebody who is gone is given up.
const CHANNEL: Duration = Duration::from_secs(15);
/// What a disk needs.
const DISK: Duration = Duration::from_millis(10);

/// How the network behaves.
#[derive(Clone, Copy)]
pub(crate) struct Weather {
    pub(crate) delay: Duration,
    /// Each message takes the delay, give or take up to this.
    pub(crate) jitter: Duration,
    /// Of datagrams.
    pub(crate) loss: f64,
}

impl Weather {
    pub(crate) const ROUGH: Self =
        Self { delay: Duration::from_millis(1000), jitter: Duration::from_millis(300), loss: 0.05 };
}

/// One participant.
pub(crate) type Id = usize;

enum Engines {
    Node(Box<Node<Toy>>, BTreeMap<Key, Bytes>),
    Client(Box<Client<Toy>>),
    Gone,
}

struct Actor {
    hash: DestHash,
    engine: Engines,
    /// When it will look at its timers; others are outdated.
    wakes: Option<Duration>,
    liar: Option<Liar>,
}

enum What {
    Datagram {
        from: DestHash,
        bytes: Bytes,
    },
    Frame {
        from: DestHash,
        bytes: Bytes,
    },
    Closed(DestHash),
    Loaded(u64, Result<Bytes, DiskError>),
    Saved(u64),
    Wake,
    /// A liar does what it does by itself.
    Mischief,
}

/// When something happens (nanoseconds), its number, and whom to.
type Event = (u64, u64, Id);

/// What became of a client's task.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    Got(Toy),
    Stored,
    Spread(usize),
    #[expect(dead_code, reason = "it is printed")]
    Failed(Why),
}

/// What was sent.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Traffic {
    pub(crate) datagrams: u64,
    pub(crate) frames: u64,
    pub(crate) blocks: u64,
    /// As real blocks and datagrams would have.
    pub(crate) bytes: u64,
}

pub(crate) struct World {
    pub(crate) rng: Rng,
    weather: Weather,
    pub(crate) time: Duration,
    begin: Instant,
    actors: Vec<Actor>,
    by_hash: BTreeMap<DestHash, Id>,
    events: BinaryHeap<Reverse<Event>>,
    /// What happens, by number; a wake if it is not there.
    whats: HashMap<u64, What>,
    number: u64,
    channels: BTreeMap<(Id, Id), Duration>,
    /// (client, request, when, what).
    pub(crate) outcomes: Vec<(Id, RequestId, Duration, Outcome)>,
    pub(crate) traffic: Traffic,
    pub(crate) steps: u64,
    next_request: u64,
    /// Mixes all events in: equal for equal runs.
    pub(crate) trace: u64,
}

impl World {
    pub(crate) fn new(seed: u64, weather: Weather) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_be_bytes());
        #[expect(clippy::disallowed_methods, reason = "some instant to count from")]
        let begin = Instant::now();
        Self {
            rng: Rng::from_seed(bytes),
            weather,
            time: Duration::ZERO,
            begin,
            actors: Vec::new(),
            by_hash: BTreeMap::new(),
            events: BinaryHeap::new(),
            whats: HashMap::with_hasher(Rng::from_seed(bytes).hasher()),
            number: 0,
            channels: BTreeMap::new(),
            outcomes: Vec::new(),
            traffic: Traffic::default(),
            steps: 0,
            next_request: 0,
            trace: 0,
        }
    }

    pub(crate) fn since(&self, begin: Duration) -> Duration {
        self.time.saturating_sub(begin)
    }

    pub(crate) fn now(&self) -> Now {
        Now { instant: self.begin + self.time, date: Date::from_seconds(1_795_392_000) + self.time }
    }

    fn add(&mut self, hash: DestHash, engine: Engines, liar: Option<Liar>) -> Id {
        let id = self.actors.len();
        self.actors.push(Actor { hash, engine, wakes: None, liar });
        self.by_hash.insert(hash, id);
        id
    }

    pub(crate) fn add_node(&mut self, config: NodeConfig, liar: Option<Liar>, peers: Vec<DestHash>) -> Id {
        let hash = DestHash(self.rng.array());
        let node = Node::new(config, hash, Vec::new(), self.now(), self.rng.fork());
        let id = self.add(hash, Engines::Node(Box::new(node), BTreeMap::new()), liar);
        self.tell_node(id, NodeInput::Peers(peers));
        if liar == Some(Liar::Flood) {
            self.at(self.time + Duration::from_secs(60), id, What::Mischief);
        }
        id
    }

    /// A client at a new destination.
    pub(crate) fn add_client(&mut self, config: Config, peers: Vec<DestHash>) -> Id {
        let hash = DestHash(self.rng.array());
        let client = Client::new(config, self.rng.fork());
        let id = self.add(hash, Engines::Client(Box::new(client)), None);
        self.tell_client(id, Input::Peers(peers));
        id
    }

    /// Ends a participant without a word.
    pub(crate) fn crash(&mut self, id: Id) {
        self.actors[id].engine = Engines::Gone;
        self.by_hash.remove(&self.actors[id].hash);
        self.channels.retain(|(a, b), _| *a != id && *b != id);
    }

    /// Ends a node and starts it again with what is on its disk.
    pub(crate) fn restart(&mut self, id: Id, config: NodeConfig) {
        let (now, rng) = (self.now(), self.rng.fork());
        let hash = self.actors[id].hash;
        let Engines::Node(node, disk) = &mut self.actors[id].engine else { panic!("no node") };
        let disk = std::mem::take(disk);
        let records = disk.iter().map(|(key, bytes)| {
            let version = Toy::decode(bytes).expect("a block").version();
            Record { key: *key, size: bytes.len() as u32, version, wanted: now.date, pinned: false }
        });
        let peers = node.known_peers(now).into_iter().map(|peer| peer.node).collect();
        let node = Node::new(config, hash, records.collect(), now, rng);
        self.actors[id].engine = Engines::Node(Box::new(node), disk);
        self.actors[id].wakes = None;
        self.tell_node(id, NodeInput::Peers(peers));
    }

    pub(crate) fn nodes(&self) -> Vec<Id> {
        let nodes =
            self.actors.iter().enumerate().filter(|(_, actor)| matches!(actor.engine, Engines::Node(..)));
        nodes.map(|(id, _)| id).collect()
    }

    pub(crate) fn node(&self, id: Id) -> &Node<Toy> {
        match &self.actors[id].engine {
            Engines::Node(node, _) => node,
            _ => panic!("no node"),
        }
    }

    pub(crate) fn disk(&mut self, id: Id) -> &mut BTreeMap<Key, Bytes> {
        match &mut self.actors[id].engine {
            Engines::Node(_, disk) => disk,
            _ => panic!("no node"),
        }
    }

    pub(crate) fn client(&self, id: Id) -> &Client<Toy> {
        match &self.actors[id].engine {
            Engines::Client(client) => client,
            _ => panic!("no client"),
        }
    }

    /// Honest nodes that have a block on disk.
    pub(crate) fn holders(&self, key: &Key) -> usize {
        let honest = self.actors.iter().filter(|actor| actor.liar.is_none());
        honest
            .filter(|actor| matches!(&actor.engine, Engines::Node(_, disk) if disk.contains_key(key)))
            .count()
    }

    /// Some nodes, as one who joins knows them from the last run or its configuration.
    pub(crate) fn some_nodes(&mut self, count: usize) -> Vec<DestHash> {
        let mut nodes = self.nodes();
        self.rng.shuffle(&mut nodes);
        nodes.truncate(count);
        nodes.into_iter().map(|id| self.actors[id].hash).collect()
    }

    pub(crate) fn get(&mut self, client: Id, key: Key, newest: bool) -> RequestId {
        self.next_request += 1;
        let id = RequestId(self.next_request);
        self.tell_client(client, Input::Get { id, key, newest });
        id
    }

    pub(crate) fn put(&mut self, client: Id, block: Toy) -> RequestId {
        self.next_request += 1;
        let id = RequestId(self.next_request);
        self.tell_client(client, Input::Put { id, block });
        id
    }

    pub(crate) fn tell_client(&mut self, id: Id, input: Input<Toy>) {
        let now = self.now();
        if let Engines::Client(client) = &mut self.actors[id].engine {
            client.handle(now, input);
        }
        self.drain(id);
    }

    pub(crate) fn tell_node(&mut self, id: Id, input: NodeInput) {
        let now = self.now();
        if let Engines::Node(node, _) = &mut self.actors[id].engine {
            node.handle(now, input);
        }
        self.drain(id);
    }

    fn at(&mut self, at: Duration, to: Id, what: What) {
        self.number += 1;
        self.events.push(Reverse((at.as_nanos() as u64, self.number, to)));
        if !matches!(what, What::Wake) {
            self.whats.insert(self.number, what);
        }
    }

    fn way(&mut self) -> Duration {
        let jitter = self.weather.jitter.mul_f64(self.rng.unit() * 2.0);
        (self.weather.delay + jitter).saturating_sub(self.weather.jitter)
    }

    /// Carries out what an engine wants.
    fn drain(&mut self, id: Id) {
        let now = self.now();
        loop {
            match &mut self.actors[id].engine {
                Engines::Node(node, _) => match node.poll(now) {
                    Some(action) => self.node_action(id, action),
                    None => break,
                },
                Engines::Client(client) => match client.poll(now) {
                    Some(action) => self.client_action(id, action),
                    None => break,
                },
                Engines::Gone => return,
            }
        }
        let actor = &mut self.actors[id];
        let deadline = match &actor.engine {
            Engines::Node(node, _) => node.deadline(),
            Engines::Client(client) => client.deadline(),
            Engines::Gone => None,
        };
        let wakes = deadline.map(|at| at.saturating_duration_since(self.begin).max(self.time));
        if let Some(at) = wakes.filter(|at| actor.wakes.is_none_or(|before| *at < before)) {
            actor.wakes = Some(at);
            self.at(at, id, What::Wake);
        }
    }

    fn node_action(&mut self, id: Id, action: NodeAction) {
        let liar = self.actors[id].liar;
        let action = match liar {
            Some(liar) => match liar.twist(&mut self.rng, action) {
                Some(action) => action,
                None => return,
            },
            None => action,
        };
        match action {
            NodeAction::Datagram { to, bytes } => self.datagram(id, to, bytes),
            NodeAction::Frame { to, bytes } => self.frame(id, to, bytes),
            NodeAction::Load { token, key } => {
                let bytes = self.disk(id).get(&key).cloned().filter(|bytes| Toy::decode(bytes).is_ok());
                self.at(self.time + DISK, id, What::Loaded(token, bytes.ok_or(DiskError::Damaged)));
            }
            NodeAction::Save { token, record, bytes } => {
                self.disk(id).insert(record.key, bytes);
                self.at(self.time + DISK, id, What::Saved(token));
            }
            NodeAction::Delete(key) => {
                self.disk(id).remove(&key);
            }
            NodeAction::Close(_) | NodeAction::Note(_) => {}
        }
    }

    fn client_action(&mut self, id: Id, action: Action<Toy>) {
        let mut came = |request, outcome| self.outcomes.push((id, request, self.time, outcome));
        match action {
            Action::Datagram { to, bytes } => self.datagram(id, to, bytes),
            Action::Frame { to, bytes } => self.frame(id, to, bytes),
            Action::Got { id, block } => came(id, Outcome::Got(block)),
            Action::Stored { id, .. } => came(id, Outcome::Stored),
            Action::Spread { id, holders } => came(id, Outcome::Spread(holders)),
            Action::Failed { id, why } => came(id, Outcome::Failed(why)),
            Action::Close(_) => {}
        }
    }

    fn datagram(&mut self, from: Id, to: DestHash, bytes: Bytes) {
        assert!(bytes.len() <= allium_store::wire::MAX_DATAGRAM);
        self.traffic.datagrams += 1;
        self.traffic.bytes += bytes.len() as u64 + DATAGRAM_OVERHEAD;
        if self.rng.chance(self.weather.loss) {
            return;
        }
        let at = self.time + self.way();
        if let Some(to) = self.by_hash.get(&to).copied() {
            let from = self.actors[from].hash;
            self.at(at, to, What::Datagram { from, bytes });
        }
    }

    fn frame(&mut self, from: Id, to: DestHash, bytes: Bytes) {
        let block = match Frame::decode(&bytes, Toy::MAX) {
            Ok(Frame::Block { bytes, .. } | Frame::Put { bytes, .. }) => Toy::real_size(&bytes),
            _ => 0,
        };
        self.traffic.frames += 1;
        self.traffic.blocks += u64::from(block > 0);
        self.traffic.bytes += block + FRAME_OVERHEAD;
        let Some(other) = self.by_hash.get(&to).copied() else {
            return self.at(self.time + CHANNEL, from, What::Closed(to));
        };
        let at = self.time + self.way();
        let last = self.channels.entry((from, other)).or_default();
        let at = at.max(*last);
        *last = at;
        let from = self.actors[from].hash;
        self.at(at, other, What::Frame { from, bytes });
    }

    /// Junk to some nodes, again and again.
    fn mischief(&mut self, id: Id) {
        for to in self.some_nodes(5) {
            for _ in 0..10 {
                let (request, junk) = (self.rng.u64(), Bytes::copy_from_slice(&self.rng.array::<40>()));
                let kind = allium_store::wire::PutKind::Fresh;
                let frame = Frame::Put { id: request, kind, idle: 0, bytes: junk };
                self.frame(id, to, frame.encode());
                let datagram =
                    Datagram::Find { id: request, node: true, keys: vec![Key(self.rng.array()); 64] };
                self.datagram(id, to, datagram.encode());
            }
        }
        self.at(self.time + Duration::from_secs(120), id, What::Mischief);
    }

    /// Runs until that time, or until `done`.
    pub(crate) fn run(&mut self, until: Duration, done: impl Fn(&Self) -> bool) -> bool {
        while !done(self) {
            let Some(Reverse((at, number, to))) = self.events.peek().copied() else { break };
            if Duration::from_nanos(at) > until {
                break;
            }
            self.events.pop();
            self.time = Duration::from_nanos(at);
            self.steps += 1;
            self.trace = (self.trace ^ at ^ (to as u64) << 48).wrapping_mul(0x0100_0000_01b3);
            let what = self.whats.remove(&number).unwrap_or(What::Wake);
            self.deliver(to, what);
        }
        let done = done(self);
        if !done {
            self.time = self.time.max(until);
        }
        done
    }

    pub(crate) fn run_for(&mut self, time: Duration) {
        self.run(self.time + time, |_| false);
    }

    fn deliver(&mut self, id: Id, what: What) {
        if matches!(self.actors[id].engine, Engines::Gone) {
            return;
        }
        if matches!(what, What::Wake) && self.actors[id].wakes != Some(self.time) {
            return; // an earlier time was set since, and has come
        }
        match &self.actors[id].engine {
            Engines::Node(..) => {
                let input = match what {
                    What::Datagram { from, bytes } => NodeInput::Datagram { from, bytes },
                    What::Frame { from, bytes } => {
                        if let Some((to, answer)) =
                            self.actors[id].liar.and_then(|liar| liar.answer(from, &bytes))
                        {
                            return self.frame(id, to, answer);
                        }
                        NodeInput::Frame { from, bytes }
                    }
                    What::Closed(peer) => NodeInput::Closed(peer),
                    What::Loaded(token, outcome) => NodeInput::Loaded { token, outcome },
                    What::Saved(token) => NodeInput::Saved { token, outcome: Ok(()) },
                    What::Wake => {
                        self.actors[id].wakes = None;
                        return self.drain(id);
                    }
                    What::Mischief => return self.mischief(id),
                };
                self.tell_node(id, input);
            }
            _ => match what {
                What::Datagram { from, bytes } => self.tell_client(id, Input::Datagram { from, bytes }),
                What::Frame { from, bytes } => self.tell_client(id, Input::Frame { from, bytes }),
                What::Closed(peer) => self.tell_client(id, Input::Closed(peer)),
                _ => {
                    self.actors[id].wakes = None;
                    self.drain(id);
                }
            },
        }
    }
}
