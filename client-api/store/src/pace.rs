//! How long answers take.

use std::time::Duration;

/// Smoothed time of answers and how much it varies, as TCP keeps it (RFC 6298).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    /// Mean and mean deviation, seconds.
    known: Option<(f32, f32)>,
}

impl Pace {
    /// An answer took that long.
    pub(crate) fn observe(&mut self, took: Duration) {
        let took = took.as_secs_f32();
        self.known = Some(match self.known {
            None => (took, took / 2.0),
            Some((mean, vary)) => (mean + (took - mean) / 8.0, vary + ((took - mean).abs() - vary) / 4.0),
        });
    }

    /// Of two, the one that is known.
    pub(crate) fn or(self, other: Self) -> Self {
        if self.known.is_some() { self } else { other }
    }

    /// The mean, if any answer was seen.
    pub(crate) fn mean(self) -> Option<Duration> {
        self.known.map(|(mean, _)| Duration::from_secs_f32(mean.clamp(0.0, 600.0)))
    }

    /// After this time an answer is not likely to come any more. Who answers within 4 seconds on the whole is not
    /// waited for longer than that, however much that varied.
    pub(crate) fn timeout(self) -> Duration {
        let longest = self.known.map_or(4.0, |(mean, _)| (mean * 1.5).clamp(4.0, 10.0));
        self.later(4.0, 4.0, 0.5, longest)
    }

    /// Nine of ten answers have come after this time.
    pub(crate) fn most(self) -> Duration {
        self.later(1.8, 6.0, 0.7, 15.0)
    }

    /// The mean and so many deviations, between two bounds; seconds.
    fn later(self, deviations: f32, unknown: f32, least: f32, longest: f32) -> Duration {
        let time = self.known.map_or(unknown, |(mean, vary)| mean + deviations * vary.max(mean / 16.0));
        Duration::from_secs_f32(time.clamp(least, longest))
    }
}
