//! Which ephemeral keys came before.

use crate::SKEW_MAX;
use allium_crypto::{HashSet, Rng};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The ephemeral keys of message 1 that were accepted lately, for all responders of a router.
///
/// A key is remembered for more than twice the skew that is allowed, so a message that can still pass for fresh
/// is always known. Only keys whose message authenticated are kept, at most `limit` of them: the oldest go
/// first, which takes a flood of valid handshakes.
#[derive(Debug)]
pub struct ReplayCache {
    known: HashSet<[u8; 32]>,
    ages: VecDeque<(Instant, [u8; 32])>,
    limit: usize,
}

impl ReplayCache {
    /// How long a key is remembered.
    pub const MEMORY: Duration = Duration::from_secs(2 * SKEW_MAX.as_secs() + 30);

    /// Nothing known; at most `limit` keys (at least one).
    pub fn new(limit: usize, rng: &mut Rng) -> Self {
        Self { known: HashSet::with_hasher(rng.hasher()), ages: VecDeque::new(), limit: limit.max(1) }
    }

    /// Whether this key came before.
    pub fn contains(&mut self, key: &[u8; 32], now: Instant) -> bool {
        self.expire(now);
        self.known.contains(key)
    }

    /// Remembers a key; false where it was known.
    pub fn insert(&mut self, key: [u8; 32], now: Instant) -> bool {
        self.expire(now);
        if !self.known.insert(key) {
            return false;
        }
        self.ages.push_back((now, key));
        if self.ages.len() > self.limit {
            self.forget_oldest();
        }
        true
    }

    /// How many keys are remembered.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    fn expire(&mut self, now: Instant) {
        while self.ages.front().is_some_and(|(came, _)| *came + Self::MEMORY <= now) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, key)) = self.ages.pop_front() {
            self.known.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests;
