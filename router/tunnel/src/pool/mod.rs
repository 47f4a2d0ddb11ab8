//! A pool of tunnels of one purpose and one direction: when to build, test, replace and retire them.
//!
//! The pool decides *when*; which routers take part is [`crate::select`]'s, and the tunnels themselves are the
//! caller's, filed under the [`BuildId`] that the pool gave out.

mod plan;
mod tunnel;

pub use tunnel::Tunnel;

use crate::Direction;
use allium_crypto::Rng;
use allium_wire::{Engine, Now, RouterHash};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What is asked of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Which way its tunnels carry messages.
    pub direction: Direction,
    /// Hops of a tunnel, 0 to 7.
    pub length: u8,
    /// Random change of the length: 0 to this many more, or, if negative, up to this many more or fewer.
    pub variance: i8,
    /// Tunnels to keep alive, 1 to 16.
    pub quantity: u8,
}

impl Config {
    /// As asked, brought into the legal ranges.
    pub fn new(direction: Direction, length: u8, variance: i8, quantity: u8) -> Self {
        Self {
            direction,
            length: length.min(7),
            variance: variance.clamp(-7, 7),
            quantity: quantity.clamp(1, 16),
        }
    }

    /// The length of the next tunnel.
    fn draw(self, rng: &mut Rng) -> u8 {
        let (low, high) = self.lengths();
        low + rng.below(u64::from(high - low) + 1) as u8
    }

    /// The shortest and the longest tunnel.
    fn lengths(self) -> (u8, u8) {
        let spread = self.variance.unsigned_abs();
        let low = if self.variance < 0 { self.length.saturating_sub(spread) } else { self.length };
        (low, (self.length + spread).min(7))
    }

    fn allows(self, length: usize) -> bool {
        let (low, high) = self.lengths();
        (usize::from(low)..=usize::from(high)).contains(&length)
    }
}

/// One build, and afterwards the tunnel it made; unique within its pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BuildId(pub u64);

/// Why a build came to nothing (a timeout the pool notices by itself).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A hop said no.
    Refused,
    /// The reply did not decrypt, or was changed on its way.
    Garbled,
    /// There were not enough routers to choose from: worth little haste until [`Input::Ready`].
    NoPeers,
    /// The request could not be sent: no tunnel or link to carry it.
    NotSent,
}

/// What the pool is told.
#[derive(Clone, Debug)]
pub enum Input {
    /// The build succeeded, through these routers.
    Built {
        /// The build.
        id: BuildId,
        /// The hops, in the order of the messages' way; none for a tunnel of no hops.
        hops: Vec<RouterHash>,
    },
    /// The build failed.
    Failed {
        /// The build.
        id: BuildId,
        /// Why.
        reason: Failure,
    },
    /// A test message came through; also for a tunnel that served as the other half of a test.
    TestPassed {
        /// The tunnel.
        id: BuildId,
        /// Time from sending to arrival.
        rtt: Duration,
    },
    /// The test asked for got no answer in time.
    TestFailed {
        /// The tunnel.
        id: BuildId,
    },
    /// The test asked for could not be sent (no tunnel the other way yet).
    TestSkipped {
        /// The tunnel.
        id: BuildId,
    },
    /// Tunnels may have died: each is tested at once, unless a test came through moments ago.
    Doubted {
        /// The router that seems to be gone; any may be where there is none.
        peer: Option<RouterHash>,
    },
    /// New demands.
    Configure(Config),
    /// Circumstances improved (peers found, first links up): forget the back-off.
    Ready,
    /// Build nothing more, and retire everything.
    Stop,
}

/// Why a tunnel ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retirement {
    /// Its ten minutes are over.
    Expired,
    /// It failed its tests.
    FailedTests,
    /// The pool stopped.
    Stopped,
}

/// What the pool asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Build a tunnel of so many hops; answer with `Built` or `Failed`.
    Build {
        /// Its name from now on.
        id: BuildId,
        /// Hops.
        length: u8,
    },
    /// The build took too long: forget its keys. Blame is the caller's to spread.
    Abandon {
        /// The build.
        id: BuildId,
    },
    /// Send a test message through the tunnel; answer with `TestPassed`, `TestFailed` or `TestSkipped`.
    Test {
        /// The tunnel.
        id: BuildId,
    },
    /// The tunnel is no longer to be used: forget it.
    Retire {
        /// The tunnel.
        id: BuildId,
        /// Why.
        why: Retirement,
    },
    /// The set of usable tunnels changed (inbound: the leases did).
    Changed,
}

/// What a pool has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Builds started.
    pub builds: u64,
    /// Builds that made a tunnel.
    pub built: u64,
    /// Builds that a hop refused.
    pub refused: u64,
    /// Builds without an answer in time.
    pub timed_out: u64,
    /// Builds whose answer was garbage.
    pub garbled: u64,
    /// Builds that never left: no peers, no link.
    pub unsent: u64,
    /// Tests passed.
    pub tests_passed: u64,
    /// Tests failed.
    pub tests_failed: u64,
    /// Tunnels retired for failed tests.
    pub tested_out: u64,
}

struct Pending {
    id: BuildId,
    started: Instant,
}

/// A pool of tunnels (an [`Engine`]).
pub struct Pool {
    config: Config,
    stopped: bool,
    tunnels: Vec<Tunnel>,
    pending: Vec<Pending>,
    actions: VecDeque<Action>,
    rng: Rng,
    next_id: u64,
    /// No build before this.
    hold: Option<Instant>,
    /// Failed builds since the last success.
    failures: u32,
    timeout: Duration,
    build_time: Option<Duration>,
    rtt: Option<Duration>,
    wake: Option<Instant>,
    stats: Stats,
}

impl Pool {
    /// A pool that will start to build when first polled.
    pub fn new(config: Config, now: Now, rng: Rng) -> Self {
        Self {
            config,
            stopped: false,
            tunnels: Vec::new(),
            pending: Vec::new(),
            actions: VecDeque::new(),
            rng,
            next_id: 1,
            hold: None,
            failures: 0,
            timeout: plan::SHORTEST_TIMEOUT,
            build_time: None,
            rtt: None,
            wake: Some(now.instant),
            stats: Stats::default(),
        }
    }

    /// What is asked of it.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Its tunnels, oldest first, those that fail their tests included.
    pub fn tunnels(&self) -> impl ExactSizeIterator<Item = &Tunnel> {
        self.tunnels.iter()
    }

    /// The tunnels worth using now: those that pass their tests, or, if none does, all.
    pub fn usable(&self) -> impl Iterator<Item = &Tunnel> {
        let any = self.tunnels.iter().any(Tunnel::healthy);
        self.tunnels.iter().filter(move |t| !any || t.healthy())
    }

    /// One tunnel.
    pub fn get(&self, id: BuildId) -> Option<&Tunnel> {
        self.tunnels.iter().find(|t| t.id == id)
    }

    /// Builds under way.
    pub fn building(&self) -> usize {
        self.pending.len()
    }

    /// The smoothed round trip of its tests.
    pub fn rtt(&self) -> Option<Duration> {
        self.rtt
    }

    /// The smoothed time that a successful build takes.
    pub fn build_time(&self) -> Option<Duration> {
        self.build_time
    }

    /// Its counters.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    fn built(&mut self, now: Instant, id: BuildId, hops: Vec<RouterHash>) {
        let Some(at) = self.pending.iter().position(|p| p.id == id) else { return };
        let pending = self.pending.swap_remove(at);
        let took = now.saturating_duration_since(pending.started);
        self.build_time = Some(smooth(self.build_time, took));
        self.timeout = plan::timeout_after_success(self.timeout, self.build_time);
        self.failures = 0;
        self.hold = None;
        self.stats.built += 1;
        self.tunnels.push(Tunnel::new(id, hops, pending.started, now, &mut self.rng));
        self.actions.push_back(Action::Changed);
    }

    fn build_failed(&mut self, now: Instant, id: BuildId, reason: Failure) {
        let Some(at) = self.pending.iter().position(|p| p.id == id) else { return };
        self.pending.swap_remove(at);
        match reason {
            Failure::Refused => self.stats.refused += 1,
            Failure::Garbled => self.stats.garbled += 1,
            Failure::NoPeers | Failure::NotSent => self.stats.unsent += 1,
        }
        self.back_off(now, reason == Failure::NoPeers);
    }

    fn back_off(&mut self, now: Instant, no_peers: bool) {
        self.failures = self.failures.saturating_add(1);
        let delay = plan::back_off(self.failures, self.is_cold(), no_peers, &mut self.rng);
        self.hold = Some(self.hold.map_or(now + delay, |hold| hold.max(now + delay)));
    }

    fn test_passed(&mut self, now: Instant, id: BuildId, rtt: Duration) {
        let Some(tunnel) = self.tunnels.iter_mut().find(|t| t.id == id) else { return };
        let was = tunnel.healthy();
        tunnel.passed(now, rtt, &mut self.rng);
        self.rtt = Some(smooth(self.rtt, rtt));
        self.stats.tests_passed += 1;
        if !was {
            self.actions.push_back(Action::Changed);
        }
    }

    fn test_failed(&mut self, now: Instant, id: BuildId) {
        let Some(tunnel) = self.tunnels.iter_mut().find(|t| t.id == id && t.testing.is_some()) else {
            return;
        };
        let was = tunnel.healthy();
        tunnel.failed(now, &mut self.rng);
        self.stats.tests_failed += 1;
        if was && !tunnel.healthy() {
            self.actions.push_back(Action::Changed);
        }
    }

    fn doubt(&mut self, now: Instant, peer: Option<RouterHash>) {
        for tunnel in &mut self.tunnels {
            if peer.is_none_or(|peer| tunnel.hops.contains(&peer)) {
                tunnel.doubt(now, &mut self.rng);
            }
        }
    }

    fn configure(&mut self, now: Instant, config: Config) {
        for tunnel in &mut self.tunnels {
            if !config.allows(tunnel.hops.len()) {
                tunnel.replace_at = tunnel.replace_at.min(now);
            }
        }
        self.config = config;
    }

    fn stop(&mut self) {
        self.stopped = true;
        for pending in self.pending.drain(..) {
            self.actions.push_back(Action::Abandon { id: pending.id });
        }
        let all: Vec<BuildId> = self.tunnels.iter().map(|t| t.id).collect();
        self.retire(&all, Retirement::Stopped);
    }

    fn retire(&mut self, ids: &[BuildId], why: Retirement) {
        if ids.is_empty() {
            return;
        }
        self.tunnels.retain(|t| !ids.contains(&t.id));
        self.actions.extend(ids.iter().map(|&id| Action::Retire { id, why }));
        self.actions.push_back(Action::Changed);
    }
}

impl Engine for Pool {
    type Input = Input;
    type Action = Action;

    fn handle(&mut self, now: Now, input: Input) {
        let instant = now.instant;
        match input {
            Input::Built { id, hops } => self.built(instant, id, hops),
            Input::Failed { id, reason } => self.build_failed(instant, id, reason),
            Input::TestPassed { id, rtt } => self.test_passed(instant, id, rtt),
            Input::TestFailed { id } => self.test_failed(instant, id),
            Input::TestSkipped { id } => {
                if let Some(tunnel) = self.tunnels.iter_mut().find(|t| t.id == id) {
                    tunnel.skipped(instant);
                }
            }
            Input::Doubted { peer } => self.doubt(instant, peer),
            Input::Configure(config) => self.configure(instant, config),
            Input::Ready => {
                self.hold = None;
                self.failures = 0;
            }
            Input::Stop => self.stop(),
        }
        self.advance(instant);
    }

    fn poll(&mut self, now: Now) -> Option<Action> {
        if self.actions.is_empty() && self.wake.is_some_and(|wake| wake <= now.instant) {
            self.advance(now.instant);
        }
        self.actions.pop_front()
    }

    fn deadline(&self) -> Option<Instant> {
        self.wake
    }
}

/// A moving average that trusts the newest eighth.
fn smooth(old: Option<Duration>, new: Duration) -> Duration {
    old.map_or(new, |old| (old * 7 + new) / 8)
}

#[cfg(test)]
mod tests;
