//! Routers, destinations and a little network for tests.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use allium_crypto::Rng;
use allium_crypto::x25519::StaticSecret;
use allium_wire::i2np::{Kind, Message};
use allium_wire::{
    Date, DestinationKeys, Engine, Lease, LeaseSet2, Mapping, Now, RouterAddress, RouterHash, RouterInfo,
    RouterKeys, TunnelId,
};

use crate::io::{Action, ClientId, Config, Found, Input, Origin, QueryId, ReplyPath, Why};
use crate::{LeaseSetRecord, NetDb};

/// 2026-11-23 12:00:00 UTC.
pub(crate) const NOON: Date = Date(1_795_435_200_000);
pub(crate) const NET: u8 = 99;

/// What a RouterInfo in a test says.
#[derive(Clone)]
pub(crate) struct Says {
    pub(crate) caps: &'static str,
    pub(crate) version: &'static str,
    pub(crate) net: u8,
    pub(crate) published: Date,
    pub(crate) dialable: bool,
}

impl Says {
    pub(crate) fn floodfill(published: Date) -> Self {
        Self { caps: "OfR", version: "0.9.68", net: NET, published, dialable: true }
    }

    pub(crate) fn router(published: Date) -> Self {
        Self { caps: "LR", ..Self::floodfill(published) }
    }

    pub(crate) fn sign(&self, keys: &RouterKeys) -> RouterInfo {
        let mut options = Mapping::new();
        options.insert("caps", self.caps);
        options.insert("netId", self.net.to_string());
        options.insert("router.version", self.version);
        let [a, b, ..] = keys.hash().0;
        let at = SocketAddr::from((Ipv4Addr::new(127, 0, a, b), 9000));
        let public = keys.encryption().public();
        let address = RouterAddress::make_ntcp2(&public, self.dialable.then_some((at, [7; 16])), "4");
        RouterInfo::sign(keys, self.published, vec![address], options)
    }
}

pub(crate) fn rng(seed: u8) -> Rng {
    Rng::from_seed([seed; 32])
}

pub(crate) fn instant() -> Instant {
    // The one clock that a test may look at: any instant will do to begin with.
    #[expect(clippy::disallowed_methods, reason = "tests count from an arbitrary instant")]
    Instant::now()
}

pub(crate) fn now(date: Date) -> Now {
    Now { instant: instant(), date }
}

pub(crate) fn lease_set(keys: &DestinationKeys, published: Date, life: Duration, rng: &mut Rng) -> LeaseSet2 {
    let key = StaticSecret::generate(rng).public();
    let lease =
        Lease { gateway: RouterHash(rng.array()), tunnel: TunnelId(rng.u32()), expires: published + life };
    LeaseSet2::sign(keys, &key, published, &[lease])
}

pub(crate) fn drain(db: &mut NetDb, now: Now) -> Vec<Action> {
    std::iter::from_fn(|| db.poll(now)).collect()
}

/// One router of the little network.
pub(crate) struct Node {
    pub(crate) keys: RouterKeys,
    pub(crate) says: Says,
    pub(crate) db: NetDb,
    pub(crate) alive: bool,
    /// How far ahead its clock is, milliseconds.
    pub(crate) skew: i64,
    tags: BTreeMap<[u8; 8], Option<ClientId>>,
    /// What came out that was not a message, with the time.
    pub(crate) told: Vec<(Duration, Action)>,
    pub(crate) sent: BTreeMap<u8, usize>,
}

impl Node {
    pub(crate) fn hash(&self) -> RouterHash {
        self.keys.hash()
    }

    /// The answer to a query, if there was one.
    pub(crate) fn answer(&self, query: u64) -> Option<Result<&Found, Why>> {
        self.told.iter().find_map(|(_, action)| match action {
            Action::Found { query: of, what } if of.0 == query => Some(Ok(what)),
            Action::NotFound { query: of, why } if of.0 == query => Some(Err(*why)),
            _ => None,
        })
    }

    /// How long after `asked` the query was answered.
    pub(crate) fn took(&self, query: u64, asked: Duration) -> Duration {
        let answered = self.told.iter().find_map(|(at, action)| match action {
            Action::Found { query: of, .. } | Action::NotFound { query: of, .. } if of.0 == query => {
                Some(*at)
            }
            _ => None,
        });
        answered.and_then(|at| at.checked_sub(asked)).unwrap()
    }
}

/// Engines that exchange messages in virtual time.
pub(crate) struct Net {
    pub(crate) nodes: Vec<Node>,
    pub(crate) rng: Rng,
    pub(crate) latency: Duration,
    /// Nodes of different sides do not reach each other.
    pub(crate) sides: BTreeMap<usize, u8>,
    /// The share of messages that vanish.
    pub(crate) loss: f64,
    /// Messages of these kinds vanish, when sent to these nodes.
    pub(crate) deaf: BTreeMap<usize, BTreeSet<u8>>,
    tunnels: BTreeMap<(RouterHash, TunnelId), (usize, Option<ClientId>)>,
    events: BTreeMap<(Duration, u64), (usize, Input)>,
    sequence: u64,
    start: Instant,
    pub(crate) at: Duration,
    date: Date,
}

impl Net {
    pub(crate) fn new(seed: u8, date: Date) -> Self {
        Self {
            nodes: Vec::new(),
            rng: rng(seed),
            latency: Duration::from_millis(30),
            sides: BTreeMap::new(),
            loss: 0.0,
            deaf: BTreeMap::new(),
            tunnels: BTreeMap::new(),
            events: BTreeMap::new(),
            sequence: 0,
            start: instant(),
            at: Duration::ZERO,
            date,
        }
    }

    /// A network of floodfills and other routers; everyone has some RouterInfos as if from a reseed bundle.
    pub(crate) fn with(seed: u8, floodfills: usize, others: usize) -> Self {
        let mut net = Self::new(seed, NOON);
        for index in 0..floodfills + others {
            let says = if index < floodfills { Says::floodfill(NOON) } else { Says::router(NOON) };
            net.add(says);
        }
        for index in 0..net.nodes.len() {
            for seed in 0..3 {
                net.introduce(index, (index + seed + 1) % floodfills.max(1));
            }
            net.publish(index);
            net.give_tunnels(index, None);
            net.input(index, Input::Bootstrap);
        }
        net
    }

    pub(crate) fn add(&mut self, says: Says) -> usize {
        let keys = RouterKeys::generate(&mut self.rng);
        let mut config = Config::new(keys.hash(), NET);
        config.floodfill = says.caps.contains('f');
        let now = self.now(None);
        let db = NetDb::new(config, now, self.rng.fork());
        let (tags, sent) = (BTreeMap::new(), BTreeMap::new());
        self.nodes.push(Node { keys, says, db, alive: true, skew: 0, tags, told: Vec::new(), sent });
        self.nodes.len() - 1
    }

    /// Tells `to` of the router `who`.
    pub(crate) fn introduce(&mut self, to: usize, who: usize) {
        if to != who {
            let info = self.nodes[who].says.sign(&self.nodes[who].keys);
            self.input(to, Input::Learned(info));
        }
    }

    /// Has a router publish itself as of now.
    pub(crate) fn publish(&mut self, who: usize) {
        let date = self.now(Some(who)).date;
        let node = &mut self.nodes[who];
        node.says.published = date;
        let info = node.says.sign(&node.keys);
        self.input(who, Input::PublishRouterInfo(info));
    }

    /// Gives a router (or one of its destinations) two inbound tunnels.
    pub(crate) fn give_tunnels(&mut self, who: usize, client: Option<ClientId>) {
        let mut paths = Vec::new();
        for _ in 0..2 {
            let gateway = self.rng.below(self.nodes.len() as u64) as usize;
            let path = ReplyPath { gateway: self.nodes[gateway].hash(), tunnel: TunnelId(self.rng.u32()) };
            self.tunnels.insert((path.gateway, path.tunnel), (who, client));
            paths.push(path);
        }
        self.input(who, Input::ReplyPaths { client, paths });
    }

    pub(crate) fn publish_lease_set(&mut self, who: usize, client: ClientId, keys: &DestinationKeys) {
        let date = self.now(Some(who)).date;
        let set = lease_set(keys, date, Duration::from_mins(10), &mut self.rng);
        self.input(who, Input::PublishLeaseSet { client, lease_set: LeaseSetRecord::from(&set) });
    }

    pub(crate) fn find_router(&mut self, who: usize, router: RouterHash, query: u64) {
        self.input(who, Input::FindRouter { router, query: QueryId(query) });
    }

    pub(crate) fn find_lease_set(
        &mut self,
        who: usize,
        client: ClientId,
        keys: &DestinationKeys,
        query: u64,
    ) {
        let destination = keys.destination().dest_hash();
        self.input(who, Input::FindLeaseSet { destination, query: QueryId(query), client: Some(client) });
    }

    pub(crate) fn now(&self, who: Option<usize>) -> Now {
        let skew = who.map_or(0, |who| self.nodes[who].skew);
        let date = (self.date + self.at).0.saturating_add_signed(skew);
        Now { instant: self.start + self.at, date: Date(date) }
    }

    pub(crate) fn index(&self, hash: &RouterHash) -> Option<usize> {
        self.nodes.iter().position(|node| node.hash() == *hash)
    }

    pub(crate) fn input(&mut self, who: usize, input: Input) {
        let now = self.now(Some(who));
        self.nodes[who].db.handle(now, input);
        self.poll(who);
    }

    fn poll(&mut self, who: usize) {
        let now = self.now(Some(who));
        while let Some(action) = self.nodes[who].db.poll(now) {
            self.act(who, action);
        }
    }

    fn later(&mut self, after: Duration, who: usize, input: Input) {
        self.sequence += 1;
        self.events.insert((self.at + after, self.sequence), (who, input));
    }

    fn reaches(&self, from: usize, to: usize) -> bool {
        self.nodes[to].alive && self.sides.get(&from) == self.sides.get(&to)
    }

    fn send(&mut self, from: usize, to: &RouterHash, hops: u32, origin: Origin, message: Message) {
        *self.nodes[from].sent.entry(message.kind.into()).or_default() += 1;
        let id = message.id;
        let Some(to) = self.index(to).filter(|to| self.reaches(from, *to)) else {
            if matches!(origin, Origin::Link(_)) {
                self.later(Duration::from_secs(2), from, Input::SendFailed { message: id });
            }
            return;
        };
        if self.rng.chance(self.loss) {
            return;
        }
        if self.deaf.get(&to).is_some_and(|kinds| kinds.contains(&message.kind.into())) {
            return;
        }
        self.later(self.latency * hops, to, Input::Received { origin, message });
    }

    fn act(&mut self, who: usize, action: Action) {
        let own = self.nodes[who].hash();
        match action {
            Action::SendDirect { to, message } => self.send(who, &to, 1, Origin::Link(own), message),
            Action::SendTunnel { to, message, .. } => self.send(who, &to, 4, Origin::Garlic, message),
            Action::ExpectReply { client, key, .. } => {
                self.nodes[who].tags.insert(key.tag, client);
            }
            Action::SendReply { to, tunnel: None, message, .. } => {
                self.send(who, &to, 1, Origin::Link(own), message);
            }
            Action::SendReply { to, tunnel: Some(tunnel), encrypt, message } => {
                let Some(&(owner, client)) = self.tunnels.get(&(to, tunnel)) else { return };
                let gateway = self.index(&to);
                if !gateway.is_some_and(|gateway| self.reaches(who, gateway)) || !self.reaches(who, owner) {
                    return;
                }
                let tag = encrypt.map(|key| key.tag);
                let expected = tag.is_none_or(|tag| self.nodes[owner].tags.remove(&tag) == Some(client));
                assert!(expected, "sealed with a key that nobody expects");
                *self.nodes[who].sent.entry(message.kind.into()).or_default() += 1;
                let origin = Origin::Tunnel { client, tag };
                self.later(self.latency * 4, owner, Input::Received { origin, message });
            }
            Action::RenewRouterInfo => self.publish(who),
            other => self.nodes[who].told.push((self.at, other)),
        }
    }

    /// Lets this much time pass.
    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.at + time;
        loop {
            let deadlines = self.nodes.iter().enumerate().filter(|(_, node)| node.alive);
            let due = deadlines.filter_map(|(who, node)| {
                Some((node.db.deadline()?.saturating_duration_since(self.start), who))
            });
            let due = due.min();
            let event = self.events.keys().next().copied();
            let next = [due.map(|(at, _)| at), event.map(|(at, _)| at)].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            let moved = next > self.at;
            self.at = self.at.max(next);
            if let Some(key) = event.filter(|(at, _)| *at <= self.at) {
                let event = self.events.remove(&key);
                if let Some((who, input)) = event.filter(|(who, _)| self.nodes[*who].alive) {
                    self.input(who, input);
                }
            } else {
                let Some((_, who)) = due else { break };
                let before = self.nodes[who].db.deadline();
                self.poll(who);
                assert!(moved || before != self.nodes[who].db.deadline(), "a deadline that does not pass");
            }
        }
        self.at = end;
    }

    pub(crate) fn sent(&self, who: usize, kind: Kind) -> usize {
        self.nodes[who].sent.get(&kind.into()).copied().unwrap_or(0)
    }
}
