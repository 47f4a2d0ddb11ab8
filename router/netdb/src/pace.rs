//! How long to wait for an answer: from measured round trips, never less than a floor.

use std::time::Duration;

/// An estimate of the time that answers take over one kind of path.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    floor: Duration,
    ceiling: Duration,
    /// Smoothed round trip and its deviation, seconds.
    measured: Option<(f64, f64)>,
    /// Waits that ended without an answer since the last answer.
    missed: u32,
}

impl Pace {
    pub(crate) fn new(floor: Duration, ceiling: Duration) -> Self {
        Self { floor, ceiling, measured: None, missed: 0 }
    }

    /// For messages sent directly: links with a WAN round trip of a second, and dialling.
    pub(crate) fn direct() -> Self {
        Self::new(Duration::from_millis(1500), Duration::from_secs(5))
    }

    /// For messages out of one tunnel and back down another.
    pub(crate) fn tunnels() -> Self {
        Self::new(Duration::from_secs(3), Duration::from_secs(7))
    }

    /// For stores sent directly, which often wait for a link to be made first.
    pub(crate) fn direct_store() -> Self {
        Self::new(Duration::from_secs(4), Duration::from_secs(10))
    }

    /// How long to wait now: mean and four deviations, half as much again for each miss in a row up to three.
    pub(crate) fn timeout(&self) -> Duration {
        let expected = self.measured.map_or(0.0, |(mean, deviation)| mean + 4.0 * deviation);
        let base = self.floor.as_secs_f64().max(expected) * 1.5_f64.powf(f64::from(self.missed.min(3)));
        Duration::from_secs_f64(base.min(self.ceiling.as_secs_f64()))
    }

    pub(crate) fn answered(&mut self, after: Duration) {
        let sample = after.as_secs_f64().min(60.0);
        self.missed = 0;
        self.measured = Some(match self.measured {
            None => (sample, sample / 2.0),
            Some((mean, deviation)) => {
                let error = sample - mean;
                (mean + error / 8.0, deviation + (error.abs() - deviation) / 4.0)
            }
        });
    }

    pub(crate) fn missed(&mut self) {
        self.missed = self.missed.saturating_add(1);
    }
}
