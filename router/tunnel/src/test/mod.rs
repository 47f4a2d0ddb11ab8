//! Tunnel tests: a DeliveryStatus goes out through one tunnel and comes back through another.
//!
//! What is kept here is which numbers are under way for which pair of tunnels. Idle tunnels are dropped by
//! their routers after two minutes, so tests also keep tunnels alive.

use allium_crypto::Rng;
use allium_wire::Now;
use allium_wire::i2np::{DeliveryStatus, Message};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Tests under way at most; more than every pool of a busy router has.
const MOST: usize = 4096;
const LONGEST: Duration = Duration::from_secs(10);
const SHORTEST: Duration = Duration::from_secs(2);
/// How long after its time a test may still come back and prove the tunnels alive.
const LATE: Duration = Duration::from_secs(30);

/// The tunnels of one test, by the caller's names for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pairing<K> {
    /// The tunnel that was to be tested.
    pub tested: K,
    /// The tunnel of the other direction that helped.
    pub partner: K,
}

/// A test that came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed<K> {
    /// The tunnels: both are proven.
    pub pairing: Pairing<K>,
    /// Time from sending to arrival.
    pub rtt: Duration,
    /// It was reported as failed before, being slow.
    pub late: bool,
}

struct Test<K> {
    pairing: Pairing<K>,
    sent: Instant,
    due: Instant,
    failed: bool,
}

/// The tests under way.
pub struct TunnelTests<K> {
    tests: BTreeMap<u32, Test<K>>,
    rtt: Option<Duration>,
    rng: Rng,
}

impl<K: Copy + PartialEq> TunnelTests<K> {
    /// No tests yet.
    pub fn new(rng: Rng) -> Self {
        Self { tests: BTreeMap::new(), rtt: None, rng }
    }

    /// Begins a test: the DeliveryStatus to send out, to the gateway of the inbound tunnel of the pair. None
    /// if too many are under way.
    pub fn begin(&mut self, now: Now, pairing: Pairing<K>) -> Option<Message> {
        if self.tests.len() >= MOST {
            return None;
        }
        let mut nonce = self.rng.u32();
        while nonce == 0 || self.tests.contains_key(&nonce) {
            nonce = self.rng.u32();
        }
        let due = now.instant + self.patience();
        self.tests.insert(nonce, Test { pairing, sent: now.instant, due, failed: false });
        let status = DeliveryStatus { id: nonce, at: now.date };
        Some(status.into_message(self.rng.u32(), now.date + crate::MESSAGE_LIFETIME))
    }

    /// A DeliveryStatus with this id arrived through an inbound tunnel; None if it is no test of ours.
    pub fn arrived(&mut self, now: Now, nonce: u32) -> Option<Passed<K>> {
        let test = self.tests.remove(&nonce)?;
        let rtt = now.instant.saturating_duration_since(test.sent);
        self.rtt = Some(self.rtt.map_or(rtt, |old| (old * 7 + rtt) / 8));
        Some(Passed { pairing: test.pairing, rtt, late: test.failed })
    }

    /// The next test whose time is up, each once; call until None.
    pub fn expired(&mut self, now: Now) -> Option<Pairing<K>> {
        self.tests.retain(|_, test| test.due + LATE > now.instant || !test.failed);
        let test = self.tests.values_mut().find(|t| !t.failed && t.due <= now.instant)?;
        test.failed = true;
        Some(test.pairing)
    }

    /// Forgets the tests of a tunnel that is gone.
    pub fn forget(&mut self, tunnel: K) {
        self.tests.retain(|_, test| test.pairing.tested != tunnel && test.pairing.partner != tunnel);
    }

    /// When [`TunnelTests::expired`] next has something to say.
    pub fn deadline(&self) -> Option<Instant> {
        self.tests.values().filter(|t| !t.failed).map(|t| t.due).min()
    }

    /// Tests under way, late ones included.
    pub fn len(&self) -> usize {
        self.tests.len()
    }

    /// Whether none is under way.
    pub fn is_empty(&self) -> bool {
        self.tests.is_empty()
    }

    fn patience(&self) -> Duration {
        self.rtt.map_or(LONGEST, |rtt| (rtt * 3 + Duration::from_secs(1)).clamp(SHORTEST, LONGEST))
    }
}

#[cfg(test)]
mod tests;
