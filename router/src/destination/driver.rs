//! The task of a local destination: opens what comes, seals what goes, and keeps its LeaseSet up to date.

mod datagrams;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use allium_crypto::Rng;
use allium_crypto::hash::hkdf_one;
use allium_crypto::x25519::StaticSecret;
use allium_garlic::{Content, Limits, PeerKey, Sessions};
use allium_netdb::{ClientId, LeaseSetRecord, Why};
use allium_stream::{Config, Event, Host, Transmit};
use allium_wire::garlic::{Clove, Delivery};
use allium_wire::i2np::{self, DatabaseStore, Kind, Message, StoreData};
use allium_wire::payload::{self, Protocol};
use allium_wire::tunnel::Target as TunnelTarget;
use allium_wire::{DestHash, DestinationKeys, Lease, LeaseSet, LeaseSet2, Now, lease_set_type};
use bytes::{Bytes, BytesMut};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::datagrams::Ports;
use super::mail::Mail;
use super::peers::{Peers, Silence, Waiting};
use super::stream::{Stream, Streams};
use super::{Command, ConnectError, Inbox, OutboundPath, Paths, Target};
use crate::clock::Clock;
use crate::core::Input;
use crate::outbox::lock;
use crate::shared::Shared;

/// Leases end so long before their tunnels do, so that nothing is on its way when they end.
const LEASE_MARGIN: Duration = Duration::from_secs(20);
/// How long a destination's messages are good for.
const MESSAGE_LIFE: Duration = Duration::from_secs(60);
/// How many packets are sealed before what came in is looked at.
const BURST: usize = 64;
/// How many sealed messages go into one call of the tunnel.
const PACK: usize = 16;
/// LeaseSets are made at most this often.
const LEASE_SET_EVERY: Duration = Duration::from_secs(1);
const SWEEP: Duration = Duration::from_secs(30);
/// How often streams are traced, where they are.
const TRACE: Duration = Duration::from_millis(500);
const WAIT_FOR_TUNNELS: Duration = Duration::from_secs(30);

/// What a destination is opened with.
pub(super) struct Opening {
    pub(super) id: ClientId,
    pub(super) keys: DestinationKeys,
    pub(super) publish: bool,
    pub(super) inbox: Arc<Inbox>,
    pub(super) paths: Arc<Paths>,
    pub(super) accepted: mpsc::Sender<Stream>,
    pub(super) mail: Arc<Mail>,
}

type Answer = (DestHash, Result<LeaseSet, Why>);
/// Sealed messages that wait for one of our tunnels, each with where it is to go from there.
type Outgoing = (Arc<OutboundPath>, Vec<(TunnelTarget, Message)>);

/// Which way a message is to take; with the hint that those have in common which should take one.
#[derive(Clone, Copy)]
enum Turn {
    /// Any.
    Any(u64),
    /// That of the first packet of its connection.
    Early(u64),
    /// Another than the last, where what it repeats was lost.
    Again(u64),
}

/// A destination's task.
pub(super) struct Driver {
    shared: Arc<Shared>,
    opening: Opening,
    hash: DestHash,
    requests: mpsc::Receiver<Command>,
    streams: Arc<Mutex<Streams>>,
    sessions: Sessions,
    peers: Peers,
    answers: (mpsc::Sender<Answer>, mpsc::Receiver<Answer>),
    lease_set: Option<LeaseSet2>,
    /// The number of our LeaseSet, for peers to confirm.
    version: u64,
    lease_set_due: Option<Instant>,
    /// Callers that wait for tunnels, and until when.
    waiting: Vec<(Waiting, Instant)>,
    sealed: VecDeque<BytesMut>,
    outgoing: Vec<Outgoing>,
    sweep: Instant,
    rng: Rng,
}

impl Driver {
    pub(super) fn new(
        shared: Arc<Shared>,
        opening: Opening,
        requests: mpsc::Receiver<Command>,
        mut rng: Rng,
    ) -> Self {
        let keys = &opening.keys;
        let mut config = Config { accept: opening.publish, ..Config::default() };
        config.accept_unbound = false;
        let host = Host::new(keys.destination().clone(), keys.signing().clone(), config, rng.fork());
        // The same key after every start: peers that have the old LeaseSet can still be understood.
        let secret = hkdf_one(&keys.signing().seed(), &[], b"allium lease set key");
        let sessions = Sessions::new(StaticSecret::from_bytes(secret), Limits::default(), rng.fork());
        let streams = Streams {
            host,
            readers: std::collections::BTreeMap::new(),
            writers: std::collections::BTreeMap::new(),
        };
        Self {
            hash: keys.destination().dest_hash(),
            sweep: shared.clock.now().instant + SWEEP,
            shared,
            opening,
            requests,
            streams: Arc::new(Mutex::new(streams)),
            sessions,
            peers: Peers::default(),
            answers: mpsc::channel(256),
            lease_set: None,
            version: 0,
            lease_set_due: None,
            waiting: Vec::new(),
            sealed: VecDeque::new(),
            outgoing: Vec::new(),
            rng,
        }
    }

    /// Runs until the destination or the router is closed.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        loop {
            let inbox = self.opening.inbox.clone();
            let paths = self.opening.paths.clone();
            let changed = paths.changed();
            let now = self.shared.clock.now();
            self.receive(now);
            self.tend_lease_set(now);
            let blocked = self.transmit(now).await;
            self.housekeeping(now);
            let deadline = self.deadline();
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                command = self.requests.recv() => match command {
                    Some(Command::Connect { to, port, answer }) => {
                        let now = self.shared.clock.now();
                        self.connect(now, Waiting { to, port, answer });
                    }
                    None => break,
                },
                Some((hash, found)) = self.answers.1.recv() => {
                    let now = self.shared.clock.now();
                    self.lease_set_answer(now, hash, found);
                }
                () = inbox.wake.notified() => {}
                () = changed => self.paths_changed(),
                () = blocked_room(blocked.as_ref()) => {}
                () = Clock::sleep_until(deadline), if blocked.is_none() => {}
            }
        }
        self.close();
    }

    fn close(&mut self) {
        let mut streams = lock(&self.streams);
        let now = self.shared.clock.now();
        let ids: Vec<_> = streams.host.connections().collect();
        for id in ids {
            streams.host.reset(now, id);
            streams.wake(id);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let host = lock(&self.streams).host.deadline();
        let waiting = self.waiting.iter().map(|(_, until)| *until).min();
        let datagrams = self.opening.mail.deadline();
        [host, self.sessions.deadline(), self.lease_set_due, waiting, datagrams, Some(self.sweep)]
            .into_iter()
            .flatten()
            .min()
    }

    fn housekeeping(&mut self, now: Now) {
        self.sessions.expire(now);
        while self.sessions.poll().is_some() {}
        self.retry_waiting(now);
        self.give_up_datagrams(now);
        if self.sweep <= now.instant {
            self.sweep = now.instant + if tracing::enabled!(tracing::Level::TRACE) { TRACE } else { SWEEP };
            self.trace_streams();
            self.peers.sweep(now.instant);
        }
    }

    /// Writes the state of every stream to the log, at trace level.
    fn trace_streams(&self) {
        let streams = lock(&self.streams);
        for id in streams.host.connections() {
            if let Some(stats) = streams.host.stats(id) {
                tracing::trace!("stream {:x}: {stats:?}", id.0);
            }
        }
    }

    /// Opens everything that came.
    fn receive(&mut self, now: Now) {
        self.opening.inbox.take(&mut self.sealed);
        while let Some(sealed) = self.sealed.pop_front() {
            let Ok(opened) = self.sessions.open(now, sealed) else {
                self.shared.counters.unopened.one();
                continue;
            };
            // A LeaseSet among the cloves says who a new session is with.
            let mut hint = opened.hash;
            for clove in &opened.cloves {
                if clove.message.kind == Kind::DatabaseStore {
                    hint = self.lease_set_clove(now, &clove.message.body, opened.from).or(hint);
                }
            }
            if let Some(peer) = hint.and_then(|hash| self.peers.get(&hash)) {
                peer.hear(now.instant);
            }
            for clove in opened.cloves {
                if clove.message.kind == Kind::Data {
                    self.data(now, hint, clove.message.body);
                }
            }
        }
        self.events(now);
    }

    /// Takes a LeaseSet that a peer sent with its message: whose it is, where it is the sender's own.
    fn lease_set_clove(
        &mut self,
        now: Now,
        body: &[u8],
        from: Option<allium_crypto::x25519::PublicKey>,
    ) -> Option<DestHash> {
        let StoreData::LeaseSet(kind, bytes) = DatabaseStore::decode(body).ok()?.data else { return None };
        let set = LeaseSet::decode_verified(kind, bytes).ok()?;
        let (hash, key) = (set.hash(), set.x25519()?);
        if from != Some(key) || set.expires() <= now.date || hash == self.hash {
            return None; // only its owner hands a LeaseSet out, and only its own key proves the owner
        }
        self.sessions.bind(now, &PeerKey { hash, key });
        self.learn(now, set);
        Some(hash)
    }

    fn data(&mut self, now: Now, from: Option<DestHash>, body: BytesMut) {
        let unwrapped = i2np::data_payload(body).and_then(|data| payload::unwrap(data.freeze()));
        let Ok(unwrapped) = unwrapped else {
            self.shared.counters.malformed.one();
            return;
        };
        if unwrapped.protocol == Protocol::Streaming {
            let mut streams = lock(&self.streams);
            streams.host.handle_packet(now, from, unwrapped.from_port, unwrapped.to_port, unwrapped.data);
        } else {
            self.opening.mail.deliver(from, unwrapped);
        }
    }

    /// Passes on what happened to streams.
    fn events(&mut self, now: Now) {
        let mut incoming = Vec::new();
        {
            let mut streams = lock(&self.streams);
            while let Some(event) = streams.host.poll_event() {
                match event {
                    Event::Incoming { id, peer, to_port, .. } => incoming.push((id, peer, to_port)),
                    Event::Readable(id) | Event::Connected(id) => {
                        streams.readers.remove(&id).into_iter().for_each(std::task::Waker::wake);
                    }
                    Event::Writable(id) => {
                        streams.writers.remove(&id).into_iter().for_each(std::task::Waker::wake);
                    }
                    Event::Closed(id, _) => streams.wake(id),
                    Event::Pong { .. } => {}
                }
            }
            self.opening.paths.set_streams(streams.host.host_stats().connections);
        }
        for (id, peer, port) in incoming {
            let hash = peer.dest_hash();
            self.peers.entry(hash, now.instant);
            let stream = self.stream(id, hash, port);
            if self.opening.accepted.try_send(stream).is_err() {
                lock(&self.streams).host.reset(now, id); // nobody accepts
            }
        }
    }

    fn stream(&self, id: allium_stream::ConnectionId, peer: DestHash, port: u16) -> Stream {
        Stream::new(self.streams.clone(), self.opening.inbox.clone(), self.shared.clone(), id, peer, port)
    }

    /// Sends what streams, sessions and senders of datagrams have to send. Gives the tunnel to wait for where there is
    /// more and no room.
    async fn transmit(&mut self, now: Now) -> Option<Arc<OutboundPath>> {
        let mut out = BytesMut::new();
        while let Some(to) = self.sessions.poll_transmit(now, &mut out) {
            let message = self.garlic(now, std::mem::take(&mut out));
            self.queue(now, to.hash, message, Turn::Any(u64::MAX));
        }
        loop {
            let paths = self.opening.paths.outbound();
            let Some(any) = paths.first() else { break };
            if !paths.iter().any(|path| path.has_room()) {
                self.flush(now);
                return Some(any.clone());
            }
            let mut sent = 0;
            while sent < BURST {
                let Some(transmit) = lock(&self.streams).host.poll_transmit(now) else { break };
                self.packet(now, transmit);
                sent += 1;
            }
            let more = self.post(now);
            self.flush(now);
            if sent < BURST && !more {
                break;
            }
            tokio::task::yield_now().await;
            self.receive(now);
        }
        self.events(now);
        None
    }

    /// Seals a streaming packet, and queues it for a tunnel.
    fn packet(&mut self, now: Now, transmit: Transmit) {
        let peer = self.peers.entry(transmit.to, now.instant);
        let silence = if transmit.asks {
            peer.ask(now.instant, transmit.is_retransmit || transmit.first)
        } else {
            Silence::default()
        };
        let (Some(key), true) = (peer.key, peer.reachable(now.date)) else {
            let to = transmit.to;
            peer.wait(transmit);
            self.look_for(to);
            return;
        };
        if silence.doubt {
            self.shared.tell_core(Input::Unanswered(self.opening.id));
        }
        if silence.refresh {
            self.sessions.restart(&key);
            self.look_for(key.hash);
        }
        let ports = Ports { from: transmit.from_port, to: transmit.to_port };
        let Some(message) = self.seal(now, &key, (Protocol::Streaming, ports), &transmit.packet) else {
            self.shared.counters.malformed.one();
            return;
        };
        let turn = match transmit {
            Transmit { is_retransmit: true, path_hint, .. } => Turn::Again(path_hint),
            Transmit { early: true, path_hint, .. } => Turn::Early(path_hint),
            Transmit { path_hint, .. } => Turn::Any(path_hint),
        };
        self.queue(now, key.hash, message, turn);
    }

    fn seal(
        &mut self,
        now: Now,
        key: &PeerKey,
        (protocol, ports): (Protocol, Ports),
        packet: &[u8],
    ) -> Option<Message> {
        let expires = now.date + MESSAGE_LIFE;
        let length = payload::OVERHEAD + packet.len();
        let mut body = Vec::with_capacity(4 + length);
        body.extend_from_slice(&(length as u32).to_be_bytes());
        payload::wrap_into(&mut body, protocol, ports.from, ports.to, packet).ok()?;
        let data = Message::new(Kind::Data, self.rng.u32(), expires, BytesMut::from(Bytes::from(body)));
        let data = Clove { delivery: Delivery::Destination(key.hash), message: data };
        let mut out = BytesMut::with_capacity(length + 128);
        let bundle =
            self.lease_set.as_ref().filter(|_| self.sessions.needs_lease_set(now, key, self.version));
        if let Some(set) = bundle {
            let data_of_set = StoreData::LeaseSet(lease_set_type::LEASE_SET_2, set.bytes().clone());
            let store = DatabaseStore { key: self.hash.0, reply: None, data: data_of_set };
            let store = store.into_message(self.rng.u32(), expires);
            let cloves = [Clove { delivery: Delivery::Local, message: store }, data];
            let content = Content { cloves: &cloves, confirm: Some(self.version) };
            self.sessions.seal(now, key, &content, &mut out).ok()?;
        } else {
            let content = Content { cloves: &[data], confirm: None };
            self.sessions.seal(now, key, &content, &mut out).ok()?;
        }
        Some(self.garlic(now, out))
    }

    fn garlic(&mut self, now: Now, body: BytesMut) -> Message {
        Message::new(Kind::Garlic, self.rng.u32(), now.date + MESSAGE_LIFE, body)
    }

    /// Queues a sealed message for one of our tunnels, to one of theirs; false where there is no such way.
    fn queue(&mut self, now: Now, to: DestHash, message: Message, turn: Turn) -> bool {
        let paths = self.opening.paths.outbound();
        let Some(peer) = self.peers.get(&to) else { return false };
        let way = match turn {
            Turn::Early(hint) => peer.early_way(now, &paths, hint, &mut self.rng),
            Turn::Any(hint) => peer.way(now, &paths, false, hint, &mut self.rng),
            Turn::Again(hint) => peer.way(now, &paths, true, hint, &mut self.rng),
        };
        let Some((out, target)) = way else {
            self.shared.counters.dropped_full.one();
            return false;
        };
        match self.outgoing.iter_mut().find(|(path, _)| Arc::ptr_eq(path, &out)) {
            Some((_, messages)) => messages.push((target, message)),
            None => self.outgoing.push((out, vec![(target, message)])),
        }
        true
    }

    /// Gives the tunnels what was queued for them.
    fn flush(&mut self, now: Now) {
        for (path, messages) in self.outgoing.drain(..) {
            for pack in messages.chunks(PACK) {
                let pack: Vec<(TunnelTarget, &Message)> =
                    pack.iter().map(|(target, m)| (*target, m)).collect();
                if !path.send_all(&self.shared, now, &pack) {
                    self.shared.counters.dropped_full.add(pack.len() as u64);
                }
            }
        }
    }

    /// Opens a stream, once there are tunnels and a LeaseSet.
    fn connect(&mut self, now: Now, waiting: Waiting) {
        let hash = waiting.to.hash();
        if !self.opening.paths.ready(false) || self.lease_set.is_none() {
            self.waiting.push((waiting, now.instant + WAIT_FOR_TUNNELS));
            return;
        }
        let peer = self.peers.entry(hash, now.instant);
        if !peer.reachable(now.date) {
            peer.connects.push(waiting);
            self.look_for(hash);
            return;
        }
        let Some(set) = &peer.lease_set else { return };
        let destination = match waiting.to {
            Target::Destination(destination) => *destination,
            Target::Hash(_) => set.destination().clone(),
        };
        let opened = lock(&self.streams).host.connect(now, destination, waiting.port, 0, Bytes::new());
        let answer = match opened {
            Ok(id) => Ok(self.stream(id, hash, waiting.port)),
            Err(_) => Err(ConnectError::NoTunnels("too many streams are open".to_owned())),
        };
        let _ = waiting.answer.send(answer);
    }

    fn retry_waiting(&mut self, now: Now) {
        if self.waiting.is_empty() {
            return;
        }
        let ready = self.opening.paths.ready(false) && self.lease_set.is_some();
        for (waiting, until) in std::mem::take(&mut self.waiting) {
            if ready {
                self.connect(now, waiting);
            } else if until <= now.instant {
                let _ = waiting.answer.send(Err(no_tunnels()));
            } else {
                self.waiting.push((waiting, until));
            }
        }
    }

    /// Asks the network database for a LeaseSet, unless that is under way.
    fn look_for(&mut self, destination: DestHash) {
        let Some(peer) = self.peers.get(&destination) else { return };
        if std::mem::replace(&mut peer.looking, true) {
            return;
        }
        let (answer, answered) = oneshot::channel();
        let asked =
            self.shared.tell_core(Input::FindLeaseSet { client: self.opening.id, destination, answer });
        let answers = self.answers.0.clone();
        self.shared.tasks.spawn(async move {
            let found = if asked { answered.await.unwrap_or(Err(Why::Gone)) } else { Err(Why::Busy) };
            let _ = answers.send((destination, found)).await;
        });
    }

    fn lease_set_answer(&mut self, now: Now, hash: DestHash, found: Result<LeaseSet, Why>) {
        let peer = self.peers.entry(hash, now.instant);
        peer.looking = false;
        let error = match found {
            Ok(set) if set.expires() <= now.date => Some(ConnectError::Expired),
            Ok(set) if set.x25519().is_none() => {
                let why = "its LeaseSet has no key of a type known here (X25519)".to_owned();
                Some(ConnectError::Incompatible(why))
            }
            Ok(set) => {
                self.learn(now, set);
                None
            }
            Err(Why::NoTunnels) => Some(ConnectError::NoTunnels("the lookup had none".to_owned())),
            Err(Why::NoFloodfills) => {
                Some(ConnectError::NoTunnels("no floodfill is known that could be asked".to_owned()))
            }
            Err(_) => Some(ConnectError::LeaseSetNotFound),
        };
        let peer = self.peers.entry(hash, now.instant);
        let gone = (!peer.reachable(now.date)).then(|| error.clone().unwrap_or(ConnectError::Expired));
        self.release(now, hash, gone.as_ref());
        let peer = self.peers.entry(hash, now.instant);
        let connects = std::mem::take(&mut peer.connects);
        if let Some(error) = error {
            peer.unsent.clear();
            for waiting in connects {
                let _ = waiting.answer.send(Err(error.clone()));
            }
        } else if peer.reachable(now.date) {
            for waiting in connects {
                self.connect(now, waiting);
            }
        } else {
            for waiting in connects {
                let _ = waiting.answer.send(Err(ConnectError::Expired));
            }
        }
    }

    /// Takes a LeaseSet, and sends what waited for it.
    fn learn(&mut self, now: Now, set: LeaseSet) {
        let hash = set.hash();
        let peer = self.peers.entry(hash, now.instant);
        if peer.learn(set) {
            for transmit in std::mem::take(&mut peer.unsent) {
                self.packet(now, transmit);
            }
            self.release(now, hash, None);
            self.flush(now);
        }
    }

    fn paths_changed(&mut self) {
        let now = self.shared.clock.now().instant;
        self.lease_set_due.get_or_insert(now);
    }

    /// Makes a new LeaseSet when the inbound tunnels have changed.
    fn tend_lease_set(&mut self, now: Now) {
        let due = self.lease_set_due.is_none_or(|due| due <= now.instant);
        let old_enough =
            self.lease_set.as_ref().is_none_or(|set| now.date.since(set.published()) >= LEASE_SET_EVERY);
        if !due {
            return;
        }
        let leases: Vec<Lease> = self
            .opening
            .paths
            .inbound()
            .into_iter()
            .map(|path| Lease {
                gateway: path.gateway,
                tunnel: path.tunnel,
                expires: allium_wire::Date::from_seconds(u64::from((path.expires - LEASE_MARGIN).seconds())),
            })
            .filter(|lease| lease.expires > now.date)
            .collect();
        let same = |set: &LeaseSet2| {
            set.leases().len() == leases.len() && leases.iter().all(|lease| set.leases().contains(lease))
        };
        if leases.is_empty() || self.lease_set.as_ref().is_some_and(same) {
            self.lease_set_due = None;
            return;
        }
        if !old_enough {
            self.lease_set_due = Some(now.instant + LEASE_SET_EVERY);
            return;
        }
        self.lease_set_due = None;
        self.version += 1;
        let set = LeaseSet2::sign(&self.opening.keys, &self.sessions.public(), now.date, &leases);
        if self.opening.publish
            && let Ok(record) = LeaseSetRecord::verify(lease_set_type::LEASE_SET_2, set.bytes().clone())
        {
            self.shared.tell_core(Input::Publish { client: self.opening.id, lease_set: record });
        }
        self.lease_set = Some(set);
    }
}

fn no_tunnels() -> ConnectError {
    ConnectError::NoTunnels("none could be built so far; `allium status` tells more".to_owned())
}

async fn blocked_room(path: Option<&Arc<OutboundPath>>) {
    match path {
        Some(path) => path.room().await,
        None => std::future::pending().await,
    }
}
