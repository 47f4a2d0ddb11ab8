//! Which requests for transit are let in: before the costly key exchange by rate and queue, after it by room.

use crate::build::{Decision, Request};
use allium_crypto::{HashMap, Rng};
use allium_wire::{Now, RouterHash};
use std::time::{Duration, Instant};

/// Routers whose request rates are remembered at once.
const PEERS: usize = 4096;

/// The limits of transit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Tunnels of others at once; 0 refuses all.
    pub tunnels: usize,
    /// Bytes a second of others' tunnel data; None is unlimited.
    pub bandwidth: Option<u64>,
    /// Requests a second from everyone together.
    pub requests: f64,
    /// Requests a second from one router.
    pub requests_of_one: f64,
    /// Requests waiting for their key exchange.
    pub queue: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { tunnels: 10_000, bandwidth: None, requests: 250.0, requests_of_one: 20.0, queue: 100 }
    }
}

/// Why a request is not even opened. The creator gets no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Shed {
    /// The router that brought it brings too many.
    #[error("too many build requests from one router")]
    OnePeer,
    /// Too many come in altogether.
    #[error("too many build requests")]
    Rate,
    /// Too many are waiting.
    #[error("too many build requests waiting")]
    Queue,
}

/// What was let in and what not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Requests accepted.
    pub accepted: u64,
    /// Refused: as many tunnels as allowed.
    pub refused_tunnels: u64,
    /// Refused: no bandwidth left.
    pub refused_bandwidth: u64,
    /// Refused: the tunnel id was taken.
    pub refused_id: u64,
    /// Dropped unopened: one router's rate.
    pub shed_one_peer: u64,
    /// Dropped unopened: everyone's rate.
    pub shed_rate: u64,
    /// Dropped unopened: queue full.
    pub shed_queue: u64,
}

/// A token bucket that holds two seconds' worth, and at least 4.
#[derive(Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Bucket {
    fn full(rate: f64, at: Instant) -> Self {
        Self { tokens: Self::depth(rate), at }
    }

    fn depth(rate: f64) -> f64 {
        (rate * 2.0).max(4.0)
    }

    fn take(&mut self, rate: f64, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = self.at.max(now);
        self.tokens = (self.tokens + passed * rate).min(Self::depth(rate));
        let enough = self.tokens >= 1.0;
        if enough {
            self.tokens -= 1.0;
        }
        enough
    }
}

/// The doorkeeper of transit.
pub struct Admission {
    limits: Limits,
    total: Bucket,
    peers: HashMap<RouterHash, Bucket>,
    tunnels: usize,
    /// Bytes of the second under way, when it began, and the smoothed bytes a second before it.
    bytes: u64,
    second: Instant,
    rate: f64,
    stats: Stats,
}

impl Admission {
    /// An empty house.
    pub fn new(limits: Limits, now: Now, rng: &mut Rng) -> Self {
        Self {
            limits,
            total: Bucket::full(limits.requests, now.instant),
            peers: HashMap::with_hasher(rng.hasher()),
            tunnels: 0,
            bytes: 0,
            second: now.instant,
            rate: 0.0,
            stats: Stats::default(),
        }
    }

    /// New limits; tunnels already let in stay.
    pub fn configure(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// A build message came from `from` (None: through a tunnel) while `waiting` others wait to be opened.
    pub fn arrive(&mut self, now: Now, from: Option<RouterHash>, waiting: usize) -> Result<(), Shed> {
        if waiting >= self.limits.queue {
            self.stats.shed_queue += 1;
            return Err(Shed::Queue);
        }
        if let Some(from) = from
            && !self.one_peer(now.instant, from)
        {
            self.stats.shed_one_peer += 1;
            return Err(Shed::OnePeer);
        }
        if !self.total.take(self.limits.requests, now.instant) {
            self.stats.shed_rate += 1;
            return Err(Shed::Rate);
        }
        Ok(())
    }

    /// What to answer to an opened request whose receive id is `taken` or free.
    pub fn decide(&mut self, now: Now, request: &Request, taken: bool) -> Decision {
        self.tick(now.instant);
        if taken {
            self.stats.refused_id += 1;
            return Decision::REJECT;
        }
        if self.tunnels >= self.limits.tunnels {
            self.stats.refused_tunnels += 1;
            return Decision::REJECT;
        }
        let free = self.limits.bandwidth.map(|most| most.saturating_sub(self.rate as u64));
        // The last tenth stays free for the growth of the tunnels that are there.
        let full = free.zip(self.limits.bandwidth).is_some_and(|(free, most)| free <= most / 10);
        let wanted = request.minimum.map_or(0, |kilobytes| u64::from(kilobytes) * 1000);
        if full || free.is_some_and(|free| free < wanted) {
            self.stats.refused_bandwidth += 1;
            return Decision::REJECT;
        }
        self.stats.accepted += 1;
        let asked = request.requested.max(request.minimum);
        let available = asked.map(|asked| free.map_or(asked, |free| asked.min((free / 1000) as u32)));
        Decision::Accept { available }
    }

    /// A tunnel that was accepted is in the table.
    pub fn opened(&mut self) {
        self.tunnels += 1;
    }

    /// A tunnel of others ended.
    pub fn closed(&mut self) {
        self.tunnels = self.tunnels.saturating_sub(1);
    }

    /// So many bytes were relayed for others.
    pub fn relayed(&mut self, now: Now, bytes: u64) {
        self.tick(now.instant);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// Tunnels of others now.
    pub fn tunnels(&self) -> usize {
        self.tunnels
    }

    /// Bytes a second relayed for others, smoothed over some seconds.
    pub fn rate(&self) -> u64 {
        self.rate as u64
    }

    /// Its counters.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    fn one_peer(&mut self, now: Instant, from: RouterHash) -> bool {
        let rate = self.limits.requests_of_one;
        if self.peers.len() >= PEERS && !self.peers.contains_key(&from) {
            let stale = Duration::from_secs_f64((Bucket::depth(rate) / rate.max(0.1)).min(60.0));
            self.peers.retain(|_, bucket| bucket.at + stale > now);
            if self.peers.len() >= PEERS {
                return false;
            }
        }
        self.peers.entry(from).or_insert_with(|| Bucket::full(rate, now)).take(rate, now)
    }

    /// Closes the second under way when it is over; idle seconds pull the average down.
    fn tick(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.second);
        if passed < Duration::from_secs(1) {
            return;
        }
        let seconds = passed.as_secs_f64();
        let keep = 0.7f64.powf(seconds.min(60.0));
        self.rate = self.rate * keep + (self.bytes as f64 / seconds) * (1.0 - keep);
        self.bytes = 0;
        self.second = now;
    }
}

#[cfg(test)]
mod tests;
