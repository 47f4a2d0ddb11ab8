//! What keeps New Session messages fresh and few: the replay cache, the DateTime check, the rate limit.

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::time::{Duration, Instant};

use allium_crypto::x25519::PublicKey;
use allium_crypto::{HashSet, Rng, Seeded};
use allium_wire::Date;

/// How old a New Session may be.
const OLD: Duration = Duration::from_secs(300);
/// How far its date may be ahead of ours.
const AHEAD: Duration = Duration::from_secs(120);
/// Ephemeral keys remembered.
const KEYS: usize = 8192;
/// New Session messages tried in a burst; any message with an unknown tag costs a DH operation.
const BURST: u64 = 512;
/// The time in which one more may be tried.
const REFILL: Duration = Duration::from_millis(4);

/// Whether a New Session with this DateTime (seconds) may be accepted: not older than 5 minutes, not more than 2 ahead.
pub(crate) fn is_recent(now: Date, seconds: u32) -> bool {
    let date = Date::from_seconds(u64::from(seconds));
    now.since(date) <= OLD && date.since(now) <= AHEAD
}

/// The ephemeral keys of recent New Session messages, as keyed 64-bit hashes, for as long as their dates pass.
pub(crate) struct Replays {
    hasher: Seeded,
    seen: HashSet<u64>,
    order: VecDeque<(Instant, u64)>,
}

impl Replays {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        Self { hasher: rng.hasher(), seen: HashSet::with_hasher(rng.hasher()), order: VecDeque::new() }
    }

    pub(crate) fn contains(&self, ephemeral: &PublicKey) -> bool {
        self.seen.contains(&self.hasher.hash_one(ephemeral))
    }

    /// Remembers the key of an authentic message, and forgets the oldest if there are too many.
    pub(crate) fn insert(&mut self, now: Instant, ephemeral: &PublicKey) {
        let hash = self.hasher.hash_one(ephemeral);
        if self.seen.insert(hash) {
            self.order.push_back((now, hash));
        }
        while let Some((at, hash)) = self.order.front().copied() {
            if self.order.len() <= KEYS && now.saturating_duration_since(at) <= OLD + AHEAD {
                break;
            }
            self.seen.remove(&hash);
            self.order.pop_front();
        }
    }
}

/// How many New Session messages may still be tried now.
pub(crate) struct Allowance {
    left: u64,
    refilled: Option<Instant>,
}

impl Allowance {
    pub(crate) fn new() -> Self {
        Self { left: BURST, refilled: None }
    }

    /// Takes one, if there is one.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let refilled = *self.refilled.get_or_insert(now);
        let more = now.saturating_duration_since(refilled).as_millis() / REFILL.as_millis();
        if more > 0 {
            self.left = (self.left.saturating_add(u64::try_from(more).unwrap_or(u64::MAX))).min(BURST);
            self.refilled = Some(now);
        }
        let has = self.left > 0;
        self.left = self.left.saturating_sub(1);
        has
    }
}

#[cfg(test)]
mod tests;
