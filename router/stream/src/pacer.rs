//! Spreads packets over time, in bursts that a timer of one millisecond can follow.

use std::time::{Duration, Instant};

/// The shortest time that is waited for.
const TICK: f64 = 0.001;

/// A token bucket, in bytes.
pub(crate) struct Pacer {
    tokens: f64,
    filled: Option<Instant>,
}

impl Pacer {
    pub(crate) fn new() -> Self {
        Self { tokens: 0.0, filled: None }
    }

    /// The burst at this rate (bytes a second): what four ticks bring, and never less than `least`.
    fn burst(rate: f64, least: f64) -> f64 {
        (rate * TICK * 4.0).max(least)
    }

    /// Whether a packet may go now.
    pub(crate) fn ready(&mut self, now: Instant, rate: f64, least: f64) -> bool {
        let burst = Self::burst(rate, least);
        match self.filled {
            None => self.tokens = burst,
            Some(filled) => {
                let earned = now.saturating_duration_since(filled).as_secs_f64() * rate;
                self.tokens = (self.tokens + earned).min(burst);
            }
        }
        self.filled = Some(now);
        self.tokens > 0.0
    }

    /// Pays for a packet.
    pub(crate) fn spend(&mut self, bytes: f64) {
        self.tokens -= bytes;
    }

    /// When to ask again, after `ready` said no.
    pub(crate) fn next(&self, now: Instant, rate: f64) -> Instant {
        let wait = ((1.0 - self.tokens) / rate.max(1.0)).clamp(TICK, 10.0);
        now + Duration::from_secs_f64(wait)
    }
}

#[cfg(test)]
mod tests;
