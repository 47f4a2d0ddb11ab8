//! Fleets: many real routers on one simulated internet, in virtual time, repeatable from a seed.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use allium_crypto::Rng;
use allium_router::config::Bandwidth;
use allium_router::{
    Clock, Config, DestinationConfig, Length, LocalDestination, PoolConfig, Quantity, Router, Start, Status,
};
use allium_wire::{Date, RouterInfo};
use tokio::time::Instant;

use crate::net::{Path, SimNet};
use crate::site::Site;

/// The date at which every fleet starts: 2026-01-01, in milliseconds.
const START: u64 = 1_767_225_600_000;
/// The private network's id.
const NETWORK: u8 = 77;
const PORT: u16 = 12_345;
/// How often conditions are looked at.
const LOOK: Duration = Duration::from_millis(250);

/// What a fleet is made of.
#[derive(Clone, Debug)]
pub struct Topology {
    /// Routers at the start.
    pub routers: usize,
    /// How many of them, the first ones, are floodfills.
    pub floodfills: usize,
    /// How hosts are joined.
    pub path: Path,
    /// The share of routers behind a NAT: they publish no address.
    pub behind_nat: f64,
    /// The share of routers whose clocks are wrong by up to [`Topology::skew`].
    pub skewed: f64,
    /// How wrong a wrong clock is at most, either way.
    pub skew: Duration,
    /// How many RouterInfos each router is given at its start; all where there are fewer.
    pub known: usize,
    /// The share of routers that drop others' tunnels once they were idle for two minutes.
    pub drop_idle: f64,
    /// What routers offer to others; unlimited where `None`.
    pub bandwidth: Option<u64>,
}

impl Topology {
    /// So many routers, with a floodfill for every eight, on a fast and faultless internet.
    pub fn of(routers: usize) -> Self {
        Self {
            routers,
            floodfills: (routers / 8).max(3),
            path: Path::default(),
            behind_nat: 0.0,
            skewed: 0.0,
            skew: Duration::from_secs(20),
            known: 60,
            drop_idle: 0.0,
            bandwidth: None,
        }
    }

    /// Runs a test on such a fleet, its routers started, in virtual time. `ALLIUM_SEED` overrides the seed; a test
    /// that fails prints it.
    pub fn run<T>(self, seed: u64, test: impl AsyncFnOnce(&mut Fleet) -> T) -> T {
        let seed = std::env::var("ALLIUM_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(seed);
        let _said = SaySeed(seed);
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = match builder.enable_time().start_paused(true).build() {
            Ok(runtime) => runtime,
            Err(error) => panic!("no runtime: {error}"),
        };
        runtime.block_on(async {
            let _logs = crate::log::scoped();
            let mut fleet = Fleet::new(self, seed);
            fleet.start_all().await;
            test(&mut fleet).await
        })
    }
}

/// Says the seed when a test fails.
struct SaySeed(u64);

impl Drop for SaySeed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the fleet's seed was {0}: repeat with ALLIUM_SEED={0}", self.0);
        }
    }
}

/// A host with a router, or without one while that is stopped.
pub struct Node {
    /// Its address.
    pub ip: IpAddr,
    /// Whether others can dial it.
    pub public: bool,
    /// Milliseconds by which its clock is wrong.
    pub skew: i64,
    config: Config,
    router: Option<Router>,
}

/// A running fleet.
pub struct Fleet {
    /// The internet.
    pub net: SimNet,
    /// Randomness for the test's own choices.
    pub rng: Rng,
    topology: Topology,
    seed: u64,
    started: Instant,
    nodes: Vec<Node>,
}

impl Fleet {
    fn new(topology: Topology, seed: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_be_bytes());
        let mut rng = Rng::from_seed(key);
        let net = SimNet::new(rng.fork(), topology.path);
        Self { net, rng, topology, seed, started: Instant::now(), nodes: Vec::new() }
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Virtual time since the start.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// How many hosts there are, with or without a running router.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are no hosts.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// A host.
    pub fn node(&self, index: usize) -> &Node {
        &self.nodes[index]
    }

    /// The router of a host.
    pub fn router(&self, index: usize) -> &Router {
        match &self.nodes[index].router {
            Some(router) => router,
            None => panic!("no router runs at host {index}"),
        }
    }

    /// The hosts at which a router runs.
    pub fn running(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|index| self.nodes[*index].router.is_some()).collect()
    }

    /// Adds a host; its router is not started yet.
    pub fn add(&mut self, floodfill: bool, public: bool) -> usize {
        let index = self.nodes.len();
        // Public addresses, each in a /16 of its own.
        let ip = IpAddr::V4(Ipv4Addr::new(20 + (index / 250) as u8, (index % 250) as u8, 7, 1));
        let at = SocketAddr::new(ip, PORT);
        let mut config = Config::default();
        config.network.id = NETWORK;
        config.network.floodfill = floodfill && public;
        config.network.bandwidth = self.topology.bandwidth.map(Bandwidth);
        config.reseed.urls = Some(Vec::new());
        config.ntcp2.bind = vec![at];
        if public {
            config.ntcp2.publish = vec![at];
        } else {
            self.net.behind_nat(ip);
        }
        let drops = self.rng.chance(self.topology.drop_idle);
        config.tunnels.drop_idle_transit = if drops { 120 } else { 0 };
        let skew = if self.rng.chance(self.topology.skewed) {
            let most = self.topology.skew.as_millis() as u64;
            self.rng.below(2 * most + 1).cast_signed() - most.cast_signed()
        } else {
            0
        };
        self.nodes.push(Node { ip, public, skew, config, router: None });
        index
    }

    /// Makes the clock of a host wrong by so many milliseconds, for the next router that starts there.
    pub fn set_skew(&mut self, index: usize, skew: i64) {
        self.nodes[index].skew = skew;
    }

    async fn start_all(&mut self) {
        for index in 0..self.topology.routers {
            let public = index < self.topology.floodfills || !self.rng.chance(self.topology.behind_nat);
            self.add(index < self.topology.floodfills, public);
        }
        for index in 0..self.nodes.len() {
            self.start_alone(index).await;
        }
        for index in 0..self.nodes.len() {
            self.introduce(index).await;
        }
    }

    /// Starts a router at a host: a new one, who is given some routers' infos as a reseed server would.
    pub async fn start(&mut self, index: usize) {
        self.start_alone(index).await;
        self.introduce(index).await;
    }

    async fn start_alone(&mut self, index: usize) {
        let node = &self.nodes[index];
        let date = (START + self.started.elapsed().as_millis() as u64).saturating_add_signed(node.skew);
        let start = Start {
            config: node.config.clone(),
            store: None,
            net: self.net.host(node.ip),
            clock: Clock::starting_at(Date(date)),
            rng: self.rng.fork(),
        };
        match Router::start(start).await {
            Ok(router) => self.nodes[index].router = Some(router),
            Err(error) => panic!("router {index} did not start: {error}"),
        }
    }

    /// Tells a router of some others.
    async fn introduce(&mut self, index: usize) {
        let router = self.router(index).clone();
        let mut infos: Vec<RouterInfo> = self
            .running()
            .into_iter()
            .filter(|other| *other != index && self.nodes[*other].public)
            .map(|other| self.router(other).info())
            .collect();
        self.rng.shuffle(&mut infos);
        infos.truncate(self.topology.known);
        router.learn(infos).await;
    }

    /// Stops a router in an orderly way.
    pub async fn stop(&mut self, index: usize) {
        if let Some(router) = self.nodes[index].router.take() {
            router.stop().await;
        }
    }

    /// Crashes a router: its connections are reset.
    pub async fn crash(&mut self, index: usize) {
        self.net.crash(self.nodes[index].ip);
        self.stop(index).await;
    }

    /// Cuts a router's power: nobody is told.
    pub async fn vanish(&mut self, index: usize) {
        self.net.vanish(self.nodes[index].ip);
        self.stop(index).await;
    }

    /// Starts a new router at a host that was crashed or cut off.
    pub async fn restart(&mut self, index: usize) {
        self.net.restore(self.nodes[index].ip);
        self.start(index).await;
    }

    /// Waits, in virtual time.
    pub async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// Waits until a condition holds, at most `limit` of virtual time; gives how long that took.
    pub async fn until(
        &self,
        what: &str,
        limit: Duration,
        mut condition: impl AsyncFnMut(&Self) -> bool,
    ) -> Duration {
        let begun = Instant::now();
        while !condition(self).await {
            let seed = self.seed;
            assert!(begun.elapsed() < limit, "not within {limit:?}: {what} (ALLIUM_SEED={seed})");
            tokio::time::sleep(LOOK).await;
        }
        begun.elapsed()
    }

    /// What every running router says of itself.
    pub async fn statuses(&self) -> Vec<Status> {
        let mut all = Vec::new();
        for index in self.running() {
            all.push(self.router(index).status().await);
        }
        all
    }

    /// Waits until exploratory tunnels stand everywhere.
    pub async fn settled(&self, limit: Duration) -> Duration {
        self.until("every router has tunnels", limit, async |fleet| {
            fleet
                .statuses()
                .await
                .iter()
                .all(|status| status.inbound_tunnels > 0 && status.outbound_tunnels > 0)
        })
        .await
    }

    /// Tunnel builds so far in all running routers: how many succeeded, how many failed.
    pub async fn builds(&self) -> (u64, u64) {
        let statuses = self.statuses().await;
        let sum = |count: fn(&Status) -> u64| statuses.iter().map(count).sum();
        (sum(|status| status.builds_succeeded), sum(|status| status.builds_failed))
    }

    /// What all running routers counted together, where it is not zero.
    pub fn counters(&self) -> BTreeMap<&'static str, u64> {
        let mut sums = BTreeMap::new();
        for (name, count) in self.running().into_iter().flat_map(|index| self.router(index).counters()) {
            *sums.entry(name).or_default() += count;
        }
        sums.retain(|_, sum| *sum > 0);
        sums
    }

    /// Opens a client's destination at a router.
    pub fn client(&self, index: usize) -> LocalDestination {
        self.destination(index, "client", false)
    }

    /// Opens a service at a router: see [`Site`].
    pub fn site(&self, index: usize) -> Site {
        Site::serve(self.destination(index, "site", true), index)
    }

    fn destination(&self, index: usize, name: &str, publish: bool) -> LocalDestination {
        let pool = PoolConfig { length: Length(3), quantity: Quantity(3) };
        self.open(
            index,
            DestinationConfig { name: name.to_owned(), keys: None, inbound: pool, outbound: pool, publish },
        )
    }

    /// Opens a destination at a router.
    pub fn open(&self, index: usize, config: DestinationConfig) -> LocalDestination {
        match self.router(index).destination(config) {
            Ok(destination) => destination,
            Err(error) => panic!("no destination at router {index}: {error}"),
        }
    }
}
