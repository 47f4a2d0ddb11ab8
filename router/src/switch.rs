//! Where each message goes that arrives: looked up and done inline, by the task that read it.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;

use allium_crypto::{HashMap, Rng, Seeded};
use allium_tunnel::{Hop, Inbound, InboundGateway, OutboundEndpoint, Participant, Sending};
use allium_wire::garlic::{Clove, Delivery};
use allium_wire::i2np::{self, Kind, Message, TunnelGateway};
use allium_wire::{Now, RouterHash, TunnelId};
use bytes::BytesMut;

use crate::core::{Input, PoolId};
use crate::destination::Inbox;
use crate::outbox::{Outbox, lock};
use crate::shared::Shared;
use crate::transit::Request;

/// Where a message came from, which decides what it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A link to this router.
    Link(RouterHash),
    /// A tunnel of others that ends here.
    Endpoint,
    /// A garlic message sealed to this router, or to a one-time key of ours.
    Garlic,
    /// One of our own inbound tunnels.
    Own {
        /// Whose.
        pool: PoolId,
        /// The tag of the one-time key that opened it, where it was sealed so.
        tag: Option<[u8; 8]>,
    },
}

/// Who gets what comes out of an own inbound tunnel.
pub(crate) struct Owner {
    pub(crate) pool: PoolId,
    /// A client's destination; `None` for exploratory tunnels.
    pub(crate) inbox: Option<Arc<Inbox>>,
}

/// A tunnel as this router is part of it.
pub(crate) enum Entry {
    Participant(Mutex<Participant>, Arc<Outbox>),
    Gateway(Mutex<InboundGateway>, Arc<Outbox>),
    Endpoint(Mutex<OutboundEndpoint>),
    Own(Mutex<Inbound>, Owner),
}

impl Entry {
    /// A hop of somebody's tunnel, its next hop's outbox at hand.
    pub(crate) fn transit(shared: &Shared, hop: Hop) -> Self {
        let next = hop.place().next;
        match hop {
            Hop::Participant(hop) => Self::Participant(Mutex::new(hop), shared.outbox(&next)),
            Hop::InboundGateway(hop) => Self::Gateway(Mutex::new(hop), shared.outbox(&next)),
            Hop::OutboundEndpoint(hop) => Self::Endpoint(Mutex::new(hop)),
        }
    }

    fn expires(&self) -> Instant {
        match self {
            Self::Participant(hop, _) => lock(hop).place().expires,
            Self::Gateway(hop, _) => lock(hop).place().expires,
            Self::Endpoint(hop) => lock(hop).place().expires,
            Self::Own(tunnel, _) => lock(tunnel).expires(),
        }
    }

    /// Messages that were carried for others.
    fn relayed(&self) -> Option<u64> {
        match self {
            Self::Participant(hop, _) => Some(lock(hop).relayed()),
            Self::Gateway(hop, _) => Some(lock(hop).relayed()),
            Self::Endpoint(hop) => Some(lock(hop).relayed()),
            Self::Own(..) => None,
        }
    }
}

const SHARDS: usize = 64;

/// Every tunnel that this router is part of, by the id under which it receives.
pub(crate) struct Tunnels {
    shards: Vec<RwLock<HashMap<TunnelId, Arc<Entry>>>>,
}

impl Tunnels {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        let shard = |hasher: Seeded| RwLock::new(HashMap::with_hasher(hasher));
        Self { shards: (0..SHARDS).map(|_| shard(rng.hasher())).collect() }
    }

    fn shard(&self, id: TunnelId) -> &RwLock<HashMap<TunnelId, Arc<Entry>>> {
        &self.shards[id.0 as usize % SHARDS]
    }

    pub(crate) fn get(&self, id: TunnelId) -> Option<Arc<Entry>> {
        self.shard(id).read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    pub(crate) fn contains(&self, id: TunnelId) -> bool {
        self.shard(id).read().unwrap_or_else(PoisonError::into_inner).contains_key(&id)
    }

    /// Files a tunnel; false where the id is taken.
    pub(crate) fn insert(&self, id: TunnelId, entry: Entry) -> bool {
        let mut shard = self.shard(id).write().unwrap_or_else(PoisonError::into_inner);
        let free = !shard.contains_key(&id);
        if free {
            shard.insert(id, Arc::new(entry));
        }
        free
    }

    pub(crate) fn remove(&self, id: TunnelId) {
        self.shard(id).write().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    /// Removes what has expired, and others' tunnels of which `idle` says so, given how many messages they carried;
    /// gives how many of those removed were others'.
    pub(crate) fn sweep(&self, now: Instant, mut idle: impl FnMut(TunnelId, u64) -> bool) -> usize {
        let mut transit = 0;
        for shard in &self.shards {
            shard.write().unwrap_or_else(PoisonError::into_inner).retain(|id, entry| {
                let keep =
                    entry.expires() > now && !entry.relayed().is_some_and(|relayed| idle(*id, relayed));
                transit += usize::from(!keep && !matches!(**entry, Entry::Own(..)));
                keep
            });
        }
        transit
    }

    /// Removes everything.
    pub(crate) fn clear(&self) {
        for shard in &self.shards {
            shard.write().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }
}

/// The most messages of one tunnel gathered before they are worked on.
const RUN: usize = 16;
/// The most tunnels for which messages are gathered at a time.
const RUNS: usize = 16;

/// Messages from one peer for one tunnel: the layer's cipher is quicker on several.
struct Run {
    /// Who sent the tunnel data; `None` for what enters the tunnel here.
    from: Option<RouterHash>,
    id: TunnelId,
    data: Vec<BytesMut>,
}

/// Messages for peers that one task gathers before it queues them, so that each outbox is locked, and its writer
/// woken, once for many.
pub(crate) struct Batch {
    pub(crate) now: Option<Now>,
    runs: Vec<Run>,
    queues: Vec<(Arc<Outbox>, Vec<Message>, bool)>,
    inboxes: Vec<(Arc<Inbox>, Vec<BytesMut>)>,
    sendings: Vec<Sending>,
}

impl Batch {
    pub(crate) fn new() -> Self {
        Self { now: None, runs: Vec::new(), queues: Vec::new(), inboxes: Vec::new(), sendings: Vec::new() }
    }

    fn now(&mut self, shared: &Shared) -> Now {
        *self.now.get_or_insert_with(|| shared.clock.now())
    }

    pub(crate) fn push(&mut self, outbox: &Arc<Outbox>, message: Message, transit: bool) {
        let known = self.queues.iter_mut().find(|(queue, _, t)| Arc::ptr_eq(queue, outbox) && *t == transit);
        match known {
            Some((_, messages, _)) => messages.push(message),
            None => self.queues.push((outbox.clone(), vec![message], transit)),
        }
    }

    fn push_inbox(&mut self, inbox: &Arc<Inbox>, sealed: BytesMut) {
        match self.inboxes.iter_mut().find(|(known, _)| Arc::ptr_eq(known, inbox)) {
            Some((_, waiting)) => waiting.push(sealed),
            None => self.inboxes.push((inbox.clone(), vec![sealed])),
        }
    }

    /// Queues everything.
    pub(crate) fn flush(&mut self, shared: &Shared) {
        shared.runs(self);
        self.now = None;
        for (outbox, messages, transit) in &mut self.queues {
            if !messages.is_empty() {
                shared.push(outbox, messages, *transit);
            }
        }
        if self.queues.len() > 16 {
            self.queues.clear();
        }
        for (inbox, sealed) in self.inboxes.drain(..) {
            shared.counters.dropped_inbox.add(inbox.push(sealed) as u64);
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        debug_assert!(
            self.runs.is_empty()
                && self.inboxes.is_empty()
                && self.queues.iter().all(|(_, messages, _)| messages.is_empty()),
            "a batch was not flushed"
        );
    }
}

impl Shared {
    /// Does what a message that arrived is for.
    pub(crate) fn deliver(&self, source: Source, message: Message, batch: &mut Batch) {
        let now = batch.now(self);
        if message.kind != Kind::TunnelData && message.expired(now.date) {
            self.counters.expired.one();
            return;
        }
        match (message.kind, source) {
            (Kind::TunnelData, Source::Link(from)) => match i2np::tunnel_id(&message.body) {
                Some(id) => self.gather(Some(from), id, message.body, batch),
                None => self.counters.malformed.one(),
            },
            (Kind::TunnelGateway, Source::Link(_) | Source::Endpoint | Source::Garlic) => {
                match TunnelGateway::decode(message.body) {
                    Ok(TunnelGateway { tunnel, message }) => self.gather(None, tunnel, message, batch),
                    Err(_) => self.counters.malformed.one(),
                }
            }
            (
                Kind::ShortTunnelBuild | Kind::VariableTunnelBuild | Kind::TunnelBuild,
                Source::Link(_) | Source::Endpoint | Source::Garlic,
            ) => self.build(source, message),
            (Kind::OutboundTunnelBuildReply, _) => {
                self.tell_core(Input::BuildReply { id: message.id, records: message.body });
            }
            (Kind::Garlic, _) => self.garlic(source, message, batch),
            (Kind::DatabaseStore | Kind::DatabaseSearchReply | Kind::DeliveryStatus, _)
            | (Kind::DatabaseLookup, Source::Link(_) | Source::Endpoint | Source::Garlic) => {
                self.tell_core(Input::Message { source, message });
            }
            _ => self.counters.misplaced.one(),
        }
    }

    /// Adds a message to those of its tunnel that wait to be worked on together.
    fn gather(&self, from: Option<RouterHash>, id: TunnelId, data: BytesMut, batch: &mut Batch) {
        let known = batch.runs.iter().position(|run| run.id == id && run.from == from);
        let at = known.unwrap_or_else(|| {
            if batch.runs.len() >= RUNS {
                self.runs(batch);
            }
            batch.runs.push(Run { from, id, data: Vec::with_capacity(RUN) });
            batch.runs.len() - 1
        });
        let Some(run) = batch.runs.get_mut(at) else { return };
        run.data.push(data);
        if run.data.len() >= RUN {
            let run = batch.runs.swap_remove(at);
            self.run(run, batch);
        }
    }

    /// Does what the gathered messages are for, and those that come of it.
    fn runs(&self, batch: &mut Batch) {
        while !batch.runs.is_empty() {
            for run in std::mem::take(&mut batch.runs) {
                self.run(run, batch);
            }
        }
    }

    fn run(&self, Run { from, id, data }: Run, batch: &mut Batch) {
        let now = batch.now(self);
        let Some(entry) = self.tunnels.get(id) else {
            self.counters.unknown_tunnel.add(data.len() as u64);
            return;
        };
        match from {
            Some(from) => self.tunnel_data(now, from, &entry, data, batch),
            None => self.tunnel_gateway(now, &entry, data, batch),
        }
    }

    /// Tunnel messages from the hop before.
    fn tunnel_data(&self, now: Now, from: RouterHash, entry: &Entry, data: Vec<BytesMut>, batch: &mut Batch) {
        let count = data.len() as u64;
        let mut sendings = std::mem::take(&mut batch.sendings);
        match entry {
            Entry::Participant(hop, next) => {
                let dropped = lock(hop).relay_batch(now, from, data, &mut sendings);
                match dropped {
                    Ok(dropped) => self.counters.unfit.add(dropped as u64),
                    Err(error) => self.count(error),
                }
                self.counters.transit_messages.add(sendings.len() as u64);
                for sending in sendings.drain(..) {
                    batch.push(next, sending.message, true);
                }
            }
            Entry::Endpoint(hop) => {
                self.counters.transit_messages.add(count);
                let dropped = lock(hop).process_batch(now, from, data, &mut sendings);
                match dropped {
                    Ok(dropped) => self.counters.unfit.add(dropped as u64),
                    Err(error) => self.count(error),
                }
                for sending in sendings.drain(..) {
                    self.forward(sending, batch);
                }
            }
            Entry::Own(tunnel, owner) => {
                let mut messages = Vec::new();
                let dropped = lock(tunnel).unwrap_batch(now, from, data, &mut messages);
                self.counters.unfit.add(dropped as u64);
                for message in messages {
                    self.own(owner, message, batch);
                }
            }
            Entry::Gateway(..) => self.counters.misplaced.add(count),
        }
        batch.sendings = sendings;
    }

    fn count(&self, error: allium_tunnel::Error) {
        match error {
            allium_tunnel::Error::Duplicate => self.counters.replayed.one(),
            allium_tunnel::Error::Expired => self.counters.expired.one(),
            _ => self.counters.malformed.one(),
        }
    }

    /// Passes on what came out of a tunnel, or what an answered build wants sent; to ourselves as if it had arrived.
    pub(crate) fn forward(&self, sending: Sending, batch: &mut Batch) {
        if sending.to == self.hash {
            self.deliver(Source::Endpoint, sending.message, batch);
        } else {
            batch.push(&self.outbox(&sending.to), sending.message, true);
        }
    }

    /// Messages that enter a tunnel here.
    fn tunnel_gateway(&self, now: Now, entry: &Entry, messages: Vec<BytesMut>, batch: &mut Batch) {
        match entry {
            Entry::Gateway(hop, next) => {
                let mut sendings = std::mem::take(&mut batch.sendings);
                let mut hop = lock(hop);
                if hop.relay(now, &messages, &mut sendings).is_err() {
                    // One that is too large keeps none of the others back.
                    for message in &messages {
                        if let Err(error) = hop.relay(now, std::slice::from_ref(message), &mut sendings) {
                            self.count(error);
                        }
                    }
                }
                drop(hop);
                self.counters.transit_messages.add(sendings.len() as u64);
                for sending in sendings.drain(..) {
                    batch.push(next, sending.message, true);
                }
                batch.sendings = sendings;
            }
            Entry::Own(tunnel, owner) => {
                for message in messages {
                    let accepted = lock(tunnel).accept(message);
                    match accepted {
                        Ok(message) => self.own(owner, message, batch),
                        Err(error) => self.count(error),
                    }
                }
            }
            Entry::Participant(..) | Entry::Endpoint(_) => self.counters.misplaced.add(messages.len() as u64),
        }
    }

    fn build(&self, source: Source, message: Message) {
        if lock(&self.awaited).contains(&message.id) {
            self.tell_core(Input::BuildReply { id: message.id, records: message.body });
            return;
        }
        let from = if let Source::Link(from) = source { Some(from) } else { None };
        if self.transit.try_send(Request { from, message }).is_err() {
            self.counters.transit_dropped.one();
        }
    }

    /// What came out of an own inbound tunnel: a destination's garlic goes to the destination.
    fn own(&self, owner: &Owner, message: Message, batch: &mut Batch) {
        match (&owner.inbox, message.kind) {
            (Some(inbox), Kind::Garlic) => {
                let Ok(sealed) = i2np::garlic_payload(message.body) else {
                    self.counters.malformed.one();
                    return;
                };
                if lock(&self.one_time).expects(&sealed) {
                    self.open_one_time(Source::Own { pool: owner.pool, tag: None }, sealed, batch);
                } else {
                    batch.push_inbox(inbox, sealed);
                }
            }
            _ => self.deliver(Source::Own { pool: owner.pool, tag: None }, message, batch),
        }
    }

    fn garlic(&self, source: Source, message: Message, batch: &mut Batch) {
        if source == Source::Garlic {
            self.counters.misplaced.one(); // garlic within garlic: nobody makes it
            return;
        }
        let Ok(sealed) = i2np::garlic_payload(message.body) else {
            self.counters.malformed.one();
            return;
        };
        if lock(&self.one_time).expects(&sealed) {
            self.open_one_time(source, sealed, batch);
            return;
        }
        match self.garlic.open(sealed) {
            Ok(cloves) => self.cloves(Source::Garlic, cloves, batch),
            Err(_) => self.counters.unopened.one(),
        }
    }

    /// Opens what was sealed with a one-time key that we gave out. It stays known through which tunnel it came.
    fn open_one_time(&self, source: Source, sealed: BytesMut, batch: &mut Batch) {
        let now = batch.now(self);
        let tag = sealed.first_chunk().copied();
        let opened = lock(&self.one_time).open(now, sealed);
        let source =
            if let Source::Own { pool, .. } = source { Source::Own { pool, tag } } else { Source::Garlic };
        match opened {
            Ok(cloves) => self.cloves(source, cloves, batch),
            Err(_) => self.counters.unopened.one(),
        }
    }

    fn cloves(&self, source: Source, cloves: Vec<Clove>, batch: &mut Batch) {
        for Clove { delivery, message } in cloves {
            match delivery {
                Delivery::Local => self.deliver_clove(source, message, batch),
                Delivery::Router(to) if to == self.hash => self.deliver_clove(source, message, batch),
                Delivery::Router(to) => batch.push(&self.outbox(&to), message, true),
                Delivery::Tunnel { gateway, tunnel } => {
                    let (id, expires) = (message.id, message.expires);
                    let wrapped = TunnelGateway::wrap(tunnel, &message).into_message(id, expires);
                    self.forward(Sending { to: gateway, message: wrapped }, batch);
                }
                Delivery::Destination(_) => self.counters.misplaced.one(),
            }
        }
    }

    fn deliver_clove(&self, source: Source, message: Message, batch: &mut Batch) {
        if message.kind == Kind::Garlic {
            self.counters.misplaced.one();
        } else {
            self.deliver(source, message, batch);
        }
    }
}
