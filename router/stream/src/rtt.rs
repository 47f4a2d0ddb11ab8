//! Round-trip time of a path: mean, deviation, minimum, and how late packets come that others overtook.

use std::time::{Duration, Instant};

/// How long a minimum round-trip time is believed without being seen again.
const MIN_LIFETIME: Duration = Duration::from_secs(20);
/// How much longer than on the empty path the minimum may become without the path's being emptied to measure it.
const DRIFT: f64 = 1.5;
/// The least time between a packet's transmission and its being thought lost.
const MIN_PROBE: Duration = Duration::from_millis(250);
const MAX_PROBE: Duration = Duration::from_secs(45);

/// Round-trip measurements of one path.
pub(crate) struct Rtt {
    smoothed: Option<f64>,
    deviation: f64,
    minimum: f64,
    /// When the minimum was last seen, or nearly.
    minimum_at: Option<Instant>,
    /// The least since then, and the least that was measured on a path that was known to be empty.
    since: f64,
    empty: f64,
    /// The largest lateness in this and in the previous span of time.
    late: [f64; 2],
    late_since: Option<Instant>,
    last_late: Option<Instant>,
}

impl Rtt {
    pub(crate) fn new() -> Self {
        Self {
            smoothed: None,
            deviation: 0.0,
            minimum: f64::INFINITY,
            minimum_at: None,
            since: f64::INFINITY,
            empty: f64::INFINITY,
            late: [0.0; 2],
            late_since: None,
            last_late: None,
        }
    }

    /// Takes a measurement, in seconds. The deviation follows RFC 6298.
    pub(crate) fn sample(&mut self, now: Instant, rtt: f64) {
        let rtt = rtt.max(1e-6);
        if let Some(smoothed) = &mut self.smoothed {
            let error = rtt - *smoothed;
            self.deviation += (error.abs() - self.deviation) / 4.0;
            *smoothed += error / 8.0;
        } else {
            self.smoothed = Some(rtt);
            self.deviation = rtt / 4.0;
        }
        if rtt <= self.minimum * 1.05 + 0.002 {
            self.minimum_at = Some(now);
            self.since = f64::INFINITY;
        }
        self.since = self.since.min(rtt);
        self.minimum = self.minimum.min(rtt);
        self.empty = self.empty.min(rtt);
        if self.minimum_is_old(now) && self.since <= self.empty * DRIFT + 0.002 {
            // Links that stall now and then rarely let a packet through at once; that is no queue to be emptied.
            self.minimum = self.since;
            self.minimum_at = Some(now);
            self.since = f64::INFINITY;
        }
        self.rotate(now);
    }

    /// The mean, in seconds, once there is one.
    pub(crate) fn smoothed(&self) -> Option<f64> {
        self.smoothed
    }

    /// The least seen of late, in seconds.
    pub(crate) fn minimum(&self) -> Option<f64> {
        self.smoothed.map(|_| self.minimum)
    }

    /// Whether the minimum is old enough to be measured anew.
    pub(crate) fn minimum_is_old(&self, now: Instant) -> bool {
        self.minimum_at.is_some_and(|at| now.saturating_duration_since(at) > MIN_LIFETIME)
    }

    /// Replaces the minimum by a new measurement of it.
    pub(crate) fn renew_minimum(&mut self, now: Instant, rtt: f64) {
        if rtt.is_finite() {
            self.minimum = rtt;
            self.empty = rtt;
        }
        self.minimum_at = Some(now);
        self.since = f64::INFINITY;
    }

    /// Notes that a packet came `seconds` after one that was sent later.
    pub(crate) fn overtaken(&mut self, now: Instant, seconds: f64) {
        self.rotate(now);
        self.late[0] = self.late[0].max(seconds);
        self.last_late = Some(now);
    }

    /// Lateness is remembered for one to two spans of 16 round trips, or at least 5 s.
    fn rotate(&mut self, now: Instant) {
        let span = Duration::from_secs_f64((self.smoothed.unwrap_or(1.0) * 16.0).clamp(5.0, 60.0));
        let since = *self.late_since.get_or_insert(now);
        if now.saturating_duration_since(since) > span {
            self.late = [0.0, self.late[0]];
            self.late_since = Some(now);
        }
    }

    /// How much longer than its overtakers a packet may take before it counts as lost, in seconds.
    pub(crate) fn reordering(&self) -> f64 {
        let smoothed = self.smoothed.unwrap_or(1.0);
        let seen = self.late[0].max(self.late[1]) * 1.25;
        seen.max(smoothed / 4.0).max(0.01).min((smoothed * 2.5).max(0.4))
    }

    /// How long to wait for any acknowledgement before the path is probed.
    pub(crate) fn probe_timeout(&self, unknown: Duration) -> Duration {
        let Some(smoothed) = self.smoothed else { return unknown };
        let slack = (4.0 * self.deviation).max(self.reordering()).max(0.05);
        Duration::from_secs_f64(smoothed + slack + 0.025).clamp(MIN_PROBE, MAX_PROBE)
    }
}

#[cfg(test)]
mod tests;
