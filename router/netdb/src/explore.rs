//! When to look for routers that nobody mentioned.

use std::time::{Duration, Instant};

use allium_crypto::Rng;

/// With fewer routers known, exploration is quick.
const FEW: usize = 100;
/// With more, it is of little use.
const MANY: usize = 4000;

/// The schedule of explorations.
pub(crate) struct Explorer {
    pub(crate) next: Instant,
    /// Explorations in a row that found nothing new.
    idle: u32,
    /// Routers known when the last one began.
    known: usize,
}

impl Explorer {
    pub(crate) fn new(now: Instant) -> Self {
        Self { next: now + Duration::from_secs(5), idle: 0, known: 0 }
    }

    /// Explore without waiting.
    pub(crate) fn hurry(&mut self, now: Instant) {
        (self.next, self.idle) = (now, 0);
    }

    /// An exploration begins: plans the next one. Every 55 to 225 s; from 5 to 15 s while few routers are
    /// known, but slower again if that finds none.
    pub(crate) fn plan(&mut self, now: Instant, known: usize, rng: &mut Rng) {
        self.idle = if known > self.known { 0 } else { (self.idle + 1).min(8) };
        self.known = known;
        let seconds = match known {
            0..FEW => rng.range(5..16) << self.idle.saturating_sub(2).min(4),
            FEW..MANY => rng.range(55..226),
            _ => rng.range(600..1200),
        };
        self.next = now + Duration::from_secs(seconds);
    }
}
