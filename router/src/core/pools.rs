//! Tunnel pools: the exploratory one, and one for each local destination.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use allium_crypto::Rng;
use allium_netdb::{ClientId, Input as DbInput, ReplyPath};
use allium_tunnel::pool::{Action, BuildId, Config, Input, Tunnel};
use allium_tunnel::select::Usage;
use allium_tunnel::{Direction, Pairing, Pool, Selector};
use allium_wire::garlic::{Clove, Delivery};
use allium_wire::i2np::{DeliveryStatus, Kind, Message};
use allium_wire::tunnel::Target;
use allium_wire::{DestHash, Engine, Now, RouterHash};
use bytes::BytesMut;

use super::{Client, Core, PoolId};
use crate::config::{Length, Quantity};
use crate::destination::{Inbox, Paths};
use crate::outbox::lock;

/// How many tunnels of how many hops a pool is to have, one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolConfig {
    /// Hops.
    pub length: Length,
    /// Tunnels.
    pub quantity: Quantity,
}

/// A tunnel's name among all of this router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TunnelKey {
    pub(crate) pool: PoolId,
    pub(crate) direction: Direction,
    pub(crate) id: BuildId,
}

/// One direction of a pool.
pub(crate) struct Half {
    pub(crate) pool: Pool,
    pub(crate) selector: Selector,
    pub(crate) said: Option<String>,
}

/// Both directions, and the tunnels themselves.
pub(crate) struct Pools {
    pub(crate) inbound: Half,
    pub(crate) outbound: Half,
    pub(crate) paths: Arc<Paths>,
    pub(crate) inbox: Option<Arc<Inbox>>,
    pub(crate) name: String,
    pub(crate) address: Option<DestHash>,
    pub(crate) service: bool,
    pub(crate) published: bool,
}

impl Pools {
    /// Whether any tunnel of a direction passes its tests. Builds that go through one that does not fail like it,
    /// and would never replace it.
    pub(super) fn sound(&self, direction: Direction) -> bool {
        let half = self.half_of(direction);
        half.tunnels().any(Tunnel::healthy)
    }

    fn half_of(&self, direction: Direction) -> &Pool {
        match direction {
            Direction::Inbound => &self.inbound.pool,
            Direction::Outbound => &self.outbound.pool,
        }
    }

    /// The tunnel that helps to test one of this direction: any whose own last test came through; the last that was
    /// proven where a test is to be repeated, so that one dead tunnel does not bring others under suspicion.
    fn partner(&self, tested: Direction, again: bool, rng: &mut Rng) -> Option<BuildId> {
        let good: Vec<_> = self.partners(tested, true).collect();
        let from = if good.is_empty() { self.partners(tested, false).collect() } else { good };
        if again {
            return from.iter().max_by_key(|tunnel| tunnel.passed_at()).map(|tunnel| tunnel.id());
        }
        rng.choose(&from).map(|tunnel| tunnel.id())
    }

    /// The tunnels that can help to test one of this direction: all, or those whose own last test came through.
    fn partners(&self, tested: Direction, trusted: bool) -> impl Iterator<Item = &Tunnel> {
        let pool = match tested {
            Direction::Inbound => &self.outbound.pool,
            Direction::Outbound => &self.inbound.pool,
        };
        pool.usable().filter(move |tunnel| !trusted || tunnel.unsuspected())
    }

    pub(super) fn deadlines(&self) -> impl Iterator<Item = Instant> {
        [self.inbound.pool.deadline(), self.outbound.pool.deadline()].into_iter().flatten()
    }

    pub(crate) fn half(&mut self, direction: Direction) -> &mut Half {
        match direction {
            Direction::Inbound => &mut self.inbound,
            Direction::Outbound => &mut self.outbound,
        }
    }
}

impl Core {
    fn half(&mut self, usage: Usage, direction: Direction, config: PoolConfig) -> Half {
        let now = self.shared.clock.now();
        let network = &self.shared.config.network;
        let mut selector = Selector::new(usage, direction, self.shared.hash, self.rng.fork());
        selector.ip_rule = !network.allow_local;
        selector.we_are_reachable = !self.shared.published.is_empty();
        let config = Config::new(direction, config.length.0, 0, config.quantity.0);
        Half { pool: Pool::new(config, now, self.rng.fork()), selector, said: None }
    }

    pub(super) fn open_exploratory(&mut self) {
        let tunnels = &self.shared.config.tunnels;
        let config =
            PoolConfig { length: tunnels.exploratory_length, quantity: tunnels.exploratory_quantity };
        let pools = Pools {
            inbound: self.half(Usage::Exploratory, Direction::Inbound, config),
            outbound: self.half(Usage::Exploratory, Direction::Outbound, config),
            paths: Arc::new(Paths::default()),
            inbox: None,
            name: "exploratory".to_owned(),
            address: None,
            service: false,
            published: false,
        };
        self.pools.insert(None, pools);
    }

    pub(super) fn open_client(&mut self, now: Now, client: Client) {
        let pools = Pools {
            inbound: self.half(Usage::Client, Direction::Inbound, client.inbound),
            outbound: self.half(Usage::Client, Direction::Outbound, client.outbound),
            paths: client.paths,
            inbox: Some(client.inbox),
            name: client.name,
            address: Some(client.address),
            service: client.service,
            published: false,
        };
        self.pools.insert(Some(client.id), pools);
        self.netdb.handle(now, DbInput::ReplyPaths { client: Some(client.id), paths: Vec::new() });
    }

    pub(super) fn close_client(&mut self, now: Now, id: ClientId) {
        if let Some(mut pools) = self.pools.remove(&Some(id)) {
            for direction in [Direction::Inbound, Direction::Outbound] {
                let half = pools.half(direction);
                half.pool.handle(now, Input::Stop);
                while let Some(action) = half.pool.poll(now) {
                    if let Action::Retire { id: tunnel, .. } = action {
                        self.tests.forget(TunnelKey { pool: Some(id), direction, id: tunnel });
                    }
                }
            }
            for receive in pools.paths.clear() {
                self.shared.tunnels.remove(receive);
            }
        }
        self.netdb.handle(now, DbInput::ClientGone(id));
        self.pending.retain(|_, pending| pending.key.pool != Some(id));
    }

    /// New routers are known: pools that lacked some may try again.
    pub(super) fn routers_changed(&mut self, now: Now) {
        self.candidates = None;
        for pools in self.pools.values_mut() {
            for half in [&mut pools.inbound, &mut pools.outbound] {
                if half.said.take().is_some() {
                    half.pool.handle(now, Input::Ready);
                }
            }
        }
    }

    /// Tests the tunnels of a pool at once: all, or those through a router that seems to be gone.
    pub(super) fn doubt(&mut self, now: Now, pool: PoolId, peer: Option<RouterHash>) {
        let Some(pools) = self.pools.get_mut(&pool) else { return };
        for half in [&mut pools.inbound, &mut pools.outbound] {
            half.pool.handle(now, Input::Doubted { peer });
        }
    }

    /// A router seems to be gone: tests all tunnels through it.
    pub(super) fn doubt_all(&mut self, now: Now, peer: RouterHash) {
        let pools: Vec<PoolId> = self.pools.keys().copied().collect();
        for pool in pools {
            self.doubt(now, pool, Some(peer));
        }
    }

    /// Does what the pools want done; whether there was anything.
    pub(super) fn pump_pools(&mut self, now: Now) -> bool {
        let mut any = false;
        let ids: Vec<PoolId> = self.pools.keys().copied().collect();
        for pool in ids {
            for direction in [Direction::Inbound, Direction::Outbound] {
                while let Some(action) =
                    self.pools.get_mut(&pool).and_then(|pools| pools.half(direction).pool.poll(now))
                {
                    any = true;
                    self.pool_action(now, pool, direction, action);
                }
            }
        }
        any
    }

    fn pool_action(&mut self, now: Now, pool: PoolId, direction: Direction, action: Action) {
        match action {
            Action::Build { id, length } => self.build(now, TunnelKey { pool, direction, id }, length),
            Action::Abandon { id } => self.abandon(now, TunnelKey { pool, direction, id }),
            Action::Test { id } => self.test(now, TunnelKey { pool, direction, id }),
            Action::Retire { id, why } => {
                tracing::debug!("a tunnel ends ({direction:?}, {why:?})");
                self.tests.forget(TunnelKey { pool, direction, id });
                if let Some(pools) = self.pools.get(&pool) {
                    pools.paths.retire(direction, id);
                }
            }
            Action::Changed => self.paths_changed(now, pool, direction),
        }
    }

    /// Tells whoever uses a pool's tunnels which are good now.
    fn paths_changed(&mut self, now: Now, pool: PoolId, direction: Direction) {
        let Some(pools) = self.pools.get_mut(&pool) else { return };
        let paths = pools.paths.clone();
        let half = pools.half(direction);
        let usable: BTreeMap<BuildId, Option<Duration>> =
            half.pool.usable().map(|tunnel| (tunnel.id(), tunnel.rtt())).collect();
        paths.update(direction, &usable);
        if direction == Direction::Inbound {
            let paths = paths
                .inbound()
                .into_iter()
                .map(|lease| ReplyPath { gateway: lease.gateway, tunnel: lease.tunnel })
                .collect();
            self.netdb.handle(now, DbInput::ReplyPaths { client: pool, paths });
        }
    }

    /// Sends a test through a tunnel, and back through one of the other direction.
    fn test(&mut self, now: Now, key: TunnelKey) {
        let sent = self.send_test(now, key);
        if !sent && let Some(pools) = self.pools.get_mut(&key.pool) {
            pools.half(key.direction).pool.handle(now, Input::TestSkipped { id: key.id });
        }
    }

    fn send_test(&mut self, now: Now, key: TunnelKey) -> bool {
        // Where none of the pool's own can be trusted, the router's serve: a test says nothing of a tunnel whose partner
        // is dead.
        let has = |pool: &PoolId, trusted: bool| {
            self.pools.get(pool).is_some_and(|pools| pools.partners(key.direction, trusted).next().is_some())
        };
        let choices = [(key.pool, true), (None, true), (key.pool, false), (None, false)];
        let Some((partner_pool, _)) = choices.into_iter().find(|(pool, trusted)| has(pool, *trusted)) else {
            return false;
        };
        let (Some(own), Some(other)) = (self.pools.get(&key.pool), self.pools.get(&partner_pool)) else {
            return false;
        };
        let again = own.half_of(key.direction).get(key.id).is_some_and(|tunnel| !tunnel.unsuspected());
        let partner = other.partner(key.direction, again, &mut self.rng);
        let (out, inbound, partner) = match key.direction {
            Direction::Inbound => {
                let Some(out) = partner.and_then(|id| other.paths.outbound_by_id(id)) else { return false };
                let Some(inbound) = own.paths.inbound_by_id(key.id) else { return false };
                let partner = TunnelKey { pool: partner_pool, direction: Direction::Outbound, id: out.id };
                (out, inbound, partner)
            }
            Direction::Outbound => {
                let Some(out) = own.paths.outbound_by_id(key.id) else { return false };
                let Some(inbound) = partner.and_then(|id| other.paths.inbound_by_id(id)) else {
                    return false;
                };
                let partner = TunnelKey { pool: partner_pool, direction: Direction::Inbound, id: inbound.id };
                (out, inbound, partner)
            }
        };
        let Some(status) = self.tests.begin(now, Pairing { tested: key, partner }) else { return false };
        // Sealed under a key for this once: the hops that see it in the clear see garlic like any other.
        let (secret, tag) = (self.rng.array(), self.rng.array());
        lock(&self.shared.one_time).register(tag, secret, now.instant + Duration::from_secs(60));
        let expires = status.expires;
        let clove = Clove { delivery: Delivery::Local, message: status };
        let mut body = BytesMut::new();
        if allium_garlic::router::seal_reply(&secret, tag, &clove, &mut body).is_err() {
            return false;
        }
        let message = Message::new(Kind::Garlic, self.rng.u32(), expires, body);
        let target = Target::Tunnel { gateway: inbound.gateway, tunnel: inbound.tunnel };
        out.send(&self.shared, now, target, &message)
    }

    /// Whether a DeliveryStatus was a test of ours.
    pub(super) fn test_arrived(&mut self, now: Now, message: &Message) -> bool {
        let Ok(status) = DeliveryStatus::decode(&message.body) else { return false };
        let Some(passed) = self.tests.arrived(now, status.id) else { return false };
        for key in [passed.pairing.tested, passed.pairing.partner] {
            self.observe_tunnel(now, key, allium_netdb::Observation::TestPassed(passed.rtt));
            if let Some(pools) = self.pools.get_mut(&key.pool) {
                let half = pools.half(key.direction);
                half.pool.handle(now, Input::TestPassed { id: key.id, rtt: passed.rtt });
                let rtt = half.pool.get(key.id).and_then(Tunnel::rtt);
                pools.paths.measured(key.direction, key.id, rtt);
            }
        }
        true
    }

    pub(super) fn test_failed(&mut self, now: Now, key: TunnelKey) {
        self.observe_tunnel(now, key, allium_netdb::Observation::TestFailed);
        let Some(pools) = self.pools.get_mut(&key.pool) else { return };
        let pool = &mut pools.half(key.direction).pool;
        // The first failure brings those under suspicion that share a router with it.
        let tunnel = pool.get(key.id).filter(|tunnel| tunnel.unsuspected());
        let hops = tunnel.map(|tunnel| tunnel.hops().to_vec()).unwrap_or_default();
        pool.handle(now, Input::TestFailed { id: key.id });
        for hop in hops {
            self.doubt_all(now, hop);
        }
    }

    fn observe_tunnel(&mut self, now: Now, key: TunnelKey, what: allium_netdb::Observation) {
        let Some(pools) = self.pools.get_mut(&key.pool) else { return };
        let hops: Vec<_> =
            pools.half(key.direction).pool.get(key.id).map(|t| t.hops().to_vec()).unwrap_or_default();
        for hop in hops {
            self.netdb.handle(now, DbInput::Observed(hop, what));
        }
    }
}
