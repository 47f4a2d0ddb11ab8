//! Building tunnels: whom to ask, and what they answered.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use allium_netdb::{Candidate as Known, Input as DbInput, Observation};
use allium_tunnel::build::{Ends, HopKey, Outcome};
use allium_tunnel::pool::{Failure, Input};
use allium_tunnel::select::Candidate;
use allium_tunnel::{Build, Built, Direction, Inbound, LIFETIME, Outbound};
use allium_wire::garlic::{Clove, Delivery};
use allium_wire::i2np::{BuildRecords, Kind, Message};
use allium_wire::tunnel::Target;
use allium_wire::{Engine, Now, RouterHash, RouterInfo, TunnelId};
use bytes::BytesMut;
use tracing::{debug, info};

use super::{Core, TunnelKey};
use crate::destination::{InboundPath, OutboundPath};
use crate::outbox::lock;
use crate::switch::{Entry, Owner};

/// How long a list of candidates is good.
const CANDIDATES: Duration = Duration::from_secs(5);
/// At a start it takes a while until routers are known: nothing to speak of.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long the one-time key of a build's reply is kept.
const REPLY: Duration = Duration::from_secs(60);

/// A build under way.
pub(crate) struct Pending {
    pub(crate) key: TunnelKey,
    build: Build,
    hops: Vec<RouterHash>,
    /// The router that the request goes to first, where it goes there directly.
    first: Option<RouterHash>,
    receive: Option<TunnelId>,
}

/// What a tunnel's choice of hops must know of a router.
fn candidate(known: &Known<'_>, connected: bool, allow_local: bool) -> Candidate {
    let info = known.info;
    let caps = info.caps();
    let mut networks = [None, None];
    for at in info.ntcp2().filter_map(|address| address.published()) {
        match at.0.ip().to_canonical() {
            IpAddr::V4(ip) => networks[0] = Some(u64::from(ip.to_bits() >> 16)),
            IpAddr::V6(ip) => networks[1] = Some(1 << 40 | (ip.to_bits() >> 96) as u64),
        }
    }
    let dialable = info
        .ntcp2()
        .filter_map(|address| address.published())
        .any(|(at, _)| allow_local || crate::links::is_public(at.ip()));
    Candidate {
        hash: info.hash(),
        bandwidth: caps.bandwidth,
        reachable: dialable && !caps.unreachable && !caps.hidden,
        floodfill: caps.floodfill,
        congestion: caps.congestion,
        networks,
        family: info.family().map(family_key),
        connected,
        score: f64::from(known.profile.score) * 2.0,
        recently_failed: known.profile.dials_fail,
        usable: info.encryption_key().is_some()
            && info.version().is_some_and(|version| version >= (0, 9, 62)),
    }
}

fn family_key(family: &str) -> u64 {
    let hash = allium_crypto::hash::sha256(family.to_ascii_lowercase().as_bytes());
    hash.first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
}

impl Core {
    pub(super) fn build(&mut self, now: Now, key: TunnelKey, length: u8) {
        if let Err(reason) = self.try_build(now, key, length) {
            if matches!(reason, Failure::Refused | Failure::Garbled) {
                self.shared.counters.builds_failed.one();
            }
            self.tell_pool(now, key, Input::Failed { id: key.id, reason });
        }
    }

    fn tell_pool(&mut self, now: Now, key: TunnelKey, input: Input) {
        if let Some(pools) = self.pools.get_mut(&key.pool) {
            pools.half(key.direction).pool.handle(now, input);
        }
    }

    fn try_build(&mut self, now: Now, key: TunnelKey, length: u8) -> Result<(), Failure> {
        let expires = now.instant + LIFETIME;
        if length == 0 {
            let built = match key.direction {
                Direction::Outbound => Built::Outbound(Outbound::direct(expires, self.rng.fork())),
                Direction::Inbound => {
                    let receive = self.free_id();
                    Built::Inbound(Inbound::direct(self.shared.hash, receive, expires, &mut self.rng))
                }
            };
            self.install(now, key, built, Vec::new());
            return Ok(());
        }
        let hops = self.choose(now, key, usize::from(length)).ok_or(Failure::NoPeers)?;
        let keys: Vec<HopKey> = hops
            .iter()
            .filter_map(|hash| {
                let info: &RouterInfo = self.netdb.get(hash)?;
                Some(HopKey { hash: *hash, static_key: info.encryption_key()? })
            })
            .collect();
        match key.direction {
            Direction::Outbound => self.build_outbound(now, key, hops, &keys),
            Direction::Inbound => self.build_inbound(now, key, hops, &keys),
        }
    }

    fn build_outbound(
        &mut self,
        now: Now,
        key: TunnelKey,
        hops: Vec<RouterHash>,
        keys: &[HopKey],
    ) -> Result<(), Failure> {
        let reply = [key.pool, None].iter().find_map(|pool| {
            let pools = self.pools.get(pool).filter(|pools| pools.sound(Direction::Inbound))?;
            pools.paths.pick_inbound(&mut self.rng)
        });
        let (gateway, tunnel) = match reply {
            Some(path) => (path.gateway, path.tunnel),
            // Where no inbound tunnel works (yet, or any more) the reply must come straight to us.
            None if key.pool.is_none() => (self.shared.hash, self.direct_reply(now)),
            None => return Err(Failure::NotSent),
        };
        let ends = Ends::Outbound { reply_gateway: gateway, reply_tunnel: tunnel };
        let (build, sending) = Build::new(ends, keys, now, &mut self.rng).map_err(|_| Failure::NoPeers)?;
        if let Some(garlic) = build.garlic() {
            lock(&self.shared.one_time).register(garlic.tag, *garlic.key, now.instant + REPLY);
        }
        let id = build.reply_id();
        self.pending.insert(id, Pending { key, build, hops, first: Some(sending.to), receive: None });
        self.shared.send(&sending.to, sending.message);
        Ok(())
    }

    fn build_inbound(
        &mut self,
        now: Now,
        key: TunnelKey,
        hops: Vec<RouterHash>,
        keys: &[HopKey],
    ) -> Result<(), Failure> {
        let receive = self.free_id();
        let ends = Ends::Inbound { us: self.shared.hash, receive };
        let (build, sending) = Build::new(ends, keys, now, &mut self.rng).map_err(|_| Failure::NoPeers)?;
        let id = build.reply_id();
        let way = [key.pool, None].into_iter().find(|pool| {
            let pools = self.pools.get(pool).filter(|pools| pools.sound(Direction::Outbound));
            pools.is_some_and(|pools| pools.paths.pick_outbound(&mut self.rng).is_some())
        });
        let first = match way {
            Some(pool) => {
                let clove = Clove { delivery: Delivery::Local, message: sending.message };
                let mut body = BytesMut::new();
                let gateway_key = keys.first().map(|key| key.static_key).ok_or(Failure::NoPeers)?;
                allium_garlic::router::seal(&mut self.rng, now, &gateway_key, &[clove], &mut body)
                    .map_err(|_| Failure::NoPeers)?;
                let expires = now.date + Duration::from_secs(20);
                let message = Message::new(Kind::Garlic, self.rng.u32(), expires, body);
                if !self.send_through(now, pool, Target::Router(sending.to), &message) {
                    return Err(Failure::NotSent);
                }
                None
            }
            None if key.pool.is_none() => {
                self.shared.send(&sending.to, sending.message);
                Some(sending.to)
            }
            None => return Err(Failure::NotSent),
        };
        lock(&self.shared.awaited).insert(id);
        self.pending.insert(id, Pending { key, build, hops, first, receive: Some(receive) });
        Ok(())
    }

    /// A tunnel id of no tunnel yet.
    fn free_id(&mut self) -> TunnelId {
        loop {
            let id = TunnelId(self.rng.u32());
            if id.0 != 0 && !self.shared.tunnels.contains(id) {
                return id;
            }
        }
    }

    /// A tunnel of no hops to ourselves for the first replies.
    fn direct_reply(&mut self, now: Now) -> TunnelId {
        let receive = self.free_id();
        let tunnel = Inbound::direct(self.shared.hash, receive, now.instant + REPLY, &mut self.rng);
        let owner = Owner { pool: None, inbox: None };
        self.shared.tunnels.insert(receive, Entry::Own(std::sync::Mutex::new(tunnel), owner));
        receive
    }

    /// Chooses hops, and says (once) why the rules were loosened or nobody found.
    fn choose(&mut self, now: Now, key: TunnelKey, length: usize) -> Option<Vec<RouterHash>> {
        self.refresh_candidates(now.instant, now);
        let (_, candidates) = self.candidates.as_ref()?;
        let pools = self.pools.get_mut(&key.pool)?;
        let name = pools.name.clone();
        let half = pools.half(key.direction);
        match half.selector.select(candidates, length) {
            Ok(chosen) => {
                let reason = chosen.loosened.reason();
                if chosen.loosened == allium_tunnel::select::Loosened::Nothing {
                    half.said = None;
                } else if half.said.as_deref() != Some(reason) {
                    info!(
                        "{:?} tunnels of {name}: rules for choosing routers loosened: {reason}",
                        key.direction
                    );
                    half.said = Some(reason.to_owned());
                }
                Some(chosen.hops)
            }
            Err(why) => {
                let why = why.to_string();
                if half.said.as_deref() != Some(&why) && now.instant.duration_since(self.started) > PATIENCE {
                    info!("no {:?} tunnel for {name} yet: {why}", key.direction);
                }
                half.said = Some(why);
                None
            }
        }
    }

    fn refresh_candidates(&mut self, instant: Instant, now: Now) {
        if self.candidates.as_ref().is_some_and(|(at, _)| instant.duration_since(*at) < CANDIDATES) {
            return;
        }
        let allow_local = self.shared.config.network.allow_local;
        let list = self
            .netdb
            .candidates(now.date)
            .map(|known| candidate(&known, self.shared.connected(&known.info.hash()), allow_local))
            .collect();
        self.candidates = Some((instant, list));
    }

    pub(super) fn build_reply(&mut self, now: Now, id: u32, records: &[u8]) {
        let Some(pending) = self.pending.remove(&id) else { return };
        lock(&self.shared.awaited).remove(&id);
        let Ok(records) = BuildRecords::decode(records) else {
            self.shared.counters.malformed.one();
            self.tell_pool(now, pending.key, Input::Failed { id: pending.key.id, reason: Failure::Garbled });
            return;
        };
        match pending.build.reply(records, &mut self.rng) {
            Ok(built) => {
                for hop in &pending.hops {
                    self.netdb.handle(now, DbInput::Observed(*hop, Observation::BuildAgreed));
                }
                self.install(now, pending.key, built, pending.hops);
            }
            Err(refusal) => {
                debug!("a tunnel was refused: {refusal:?}");
                self.shared.counters.builds_failed.one();
                for (hop, outcome) in &refusal.hops {
                    let what = match outcome {
                        Outcome::Accepted { .. } => Observation::BuildAgreed,
                        Outcome::Refused(_) => Observation::BuildRefused,
                        Outcome::Garbled => continue,
                    };
                    self.netdb.handle(now, DbInput::Observed(*hop, what));
                }
                self.candidates = None;
                let reason = if refusal.refused() { Failure::Refused } else { Failure::Garbled };
                self.tell_pool(now, pending.key, Input::Failed { id: pending.key.id, reason });
            }
        }
    }

    /// Puts a new tunnel to work.
    fn install(&mut self, now: Now, key: TunnelKey, built: Built, hops: Vec<RouterHash>) {
        let Some(pools) = self.pools.get_mut(&key.pool) else { return };
        self.shared.counters.builds_succeeded.one();
        match built {
            Built::Outbound(tunnel) => {
                pools.paths.add_outbound(OutboundPath::new(&self.shared, key.id, tunnel));
            }
            Built::Inbound(tunnel) => {
                let (gateway, id) = tunnel.gateway();
                let receive = tunnel.receive();
                let expires = now.date + tunnel.expires().saturating_duration_since(now.instant);
                pools.paths.add_inbound(InboundPath {
                    id: key.id,
                    gateway,
                    tunnel: id,
                    receive,
                    expires,
                    rtt: None,
                });
                let owner = Owner { pool: key.pool, inbox: pools.inbox.clone() };
                self.shared.tunnels.insert(receive, Entry::Own(std::sync::Mutex::new(tunnel), owner));
            }
        }
        pools.half(key.direction).pool.handle(now, Input::Built { id: key.id, hops });
    }

    /// A build took too long.
    pub(super) fn abandon(&mut self, now: Now, key: TunnelKey) {
        let Some(id) = self.pending.iter().find(|(_, pending)| pending.key == key).map(|(id, _)| *id) else {
            return;
        };
        let Some(pending) = self.pending.remove(&id) else { return };
        self.shared.counters.builds_failed.one();
        lock(&self.shared.awaited).remove(&id);
        if let Some(receive) = pending.receive {
            self.shared.tunnels.remove(receive);
        }
        for hop in pending.hops {
            self.netdb.handle(now, DbInput::Observed(hop, Observation::BuildTimedOut));
        }
        self.candidates = None;
    }

    /// No link to this router could be had: the builds that wait for it have failed.
    pub(super) fn builds_lost(&mut self, now: Now, peer: RouterHash) {
        let lost: Vec<u32> = self
            .pending
            .iter()
            .filter(|(_, pending)| pending.first == Some(peer))
            .map(|(id, _)| *id)
            .collect();
        for id in lost {
            if let Some(pending) = self.pending.remove(&id) {
                lock(&self.shared.awaited).remove(&id);
                let failed = Input::Failed { id: pending.key.id, reason: Failure::NotSent };
                self.tell_pool(now, pending.key, failed);
            }
        }
    }
}
