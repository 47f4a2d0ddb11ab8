//! When to dial a router again.

use crate::Blame;
use allium_crypto::Rng;
use allium_wire::RouterHash;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// First and longest wait after a failure, by blame; each failure in a row doubles the wait.
#[derive(Clone, Copy, Debug)]
pub struct Delays {
    /// After failures of our own.
    pub local: (Duration, Duration),
    /// After failures of the path.
    pub network: (Duration, Duration),
    /// After failures of the peer. Long: some routers refuse an address after two or three bad handshakes.
    pub peer: (Duration, Duration),
}

impl Default for Delays {
    fn default() -> Self {
        let seconds = |first, longest| (Duration::from_secs(first), Duration::from_secs(longest));
        Self { local: seconds(2, 60), network: seconds(20, 30 * 60), peer: seconds(5 * 60, 4 * 60 * 60) }
    }
}

/// The waits of all routers that could not be reached lately.
///
/// Waits double with each failure in a row and vary by a quarter either way, so that routers which lost each
/// other at the same moment do not meet again at the same moment. A wait that ran out is remembered as long
/// again, for the next failure to double it. At most `limit` routers are kept; those nearest their end go first.
#[derive(Debug)]
pub struct Backoff {
    entries: BTreeMap<RouterHash, Entry>,
    limit: usize,
    delays: Delays,
    rng: Rng,
}

/// Longer waits than this are as good as this.
const WAIT_MAX: Duration = Duration::from_hours(365 * 24);

#[derive(Clone, Copy, Debug)]
struct Entry {
    failures: u32,
    until: Instant,
    forget: Instant,
}

impl Backoff {
    /// No waits yet, for at most `limit` routers (at least one).
    pub fn new(limit: usize, delays: Delays, rng: Rng) -> Self {
        Self { entries: BTreeMap::new(), limit: limit.max(1), delays, rng }
    }

    /// Notes a failed dial or a session that ended badly, and returns when to try again.
    pub fn failed(&mut self, peer: RouterHash, now: Instant, blame: Blame) -> Instant {
        let before =
            self.entries.get(&peer).filter(|entry| entry.forget > now).map_or(0, |entry| entry.failures);
        let (first, longest) = match blame {
            Blame::Local => self.delays.local,
            Blame::Network => self.delays.network,
            Blame::Peer => self.delays.peer,
        };
        let wait = first.saturating_mul(1 << before.min(20)).min(longest);
        let wait = wait.mul_f64(0.75 + self.rng.unit() / 2.0);
        self.hold(peer, now, wait, before.saturating_add(1))
    }

    /// Holds off dialling for a time that someone else decided, such as [`ntcp2::Reason::hold_off`].
    ///
    /// [`ntcp2::Reason::hold_off`]: crate::ntcp2::Reason::hold_off
    pub fn hold_off(&mut self, peer: RouterHash, now: Instant, wait: Duration) -> Instant {
        let failures = self.entries.get(&peer).map_or(0, |entry| entry.failures);
        self.hold(peer, now, wait, failures)
    }

    /// Forgets the failures of a router: a session stands, or its RouterInfo is new.
    pub fn succeeded(&mut self, peer: &RouterHash) {
        self.entries.remove(peer);
    }

    /// Until when not to dial this router; `None` where it may be dialled now.
    pub fn until(&self, peer: &RouterHash, now: Instant) -> Option<Instant> {
        self.entries.get(peer).map(|entry| entry.until).filter(|until| *until > now)
    }

    /// How many routers are remembered.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn hold(&mut self, peer: RouterHash, now: Instant, wait: Duration, failures: u32) -> Instant {
        if self.entries.len() >= self.limit && !self.entries.contains_key(&peer) {
            self.make_room(now);
        }
        let wait = wait.min(WAIT_MAX);
        let until = now + wait;
        let kept = self.entries.get(&peer).map_or(until, |entry| entry.until.max(until));
        self.entries.insert(peer, Entry { failures, until: kept, forget: kept + wait });
        kept
    }

    /// Drops what is over, or else the eighth that ends soonest: rarely, so its cost is spread.
    fn make_room(&mut self, now: Instant) {
        self.entries.retain(|_, entry| entry.forget > now);
        if self.entries.len() < self.limit {
            return;
        }
        let mut ends: Vec<Instant> = self.entries.values().map(|entry| entry.forget).collect();
        ends.sort_unstable();
        let surplus = self.entries.len() + 1 - self.limit;
        if let Some(cut) = ends.get((ends.len() / 8).max(surplus) - 1).copied() {
            self.entries.retain(|_, entry| entry.forget > cut);
        }
    }
}

#[cfg(test)]
mod tests;
