//! The difference between two routers' clocks.

use allium_wire::Date;
use std::fmt;
use std::time::Duration;

/// Clocks further apart than this cannot hold a session.
pub const SKEW_MAX: Duration = Duration::from_mins(1);

/// By how many milliseconds the peer's clock is ahead of ours; negative where it is behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Skew(pub i64);

/// Half a round trip counts as travel time only up to here, so that a peer cannot excuse its clock by dawdling.
const TRAVEL_MAX: Duration = Duration::from_secs(5);

impl Skew {
    /// The skew that a timestamp in whole seconds shows when it arrives at `now`.
    pub fn observed(seconds: u32, now: Date) -> Self {
        let theirs = i64::from(seconds) * 1000;
        Self(theirs.saturating_sub(i64::try_from(now.0).unwrap_or(i64::MAX)))
    }

    /// The same, less the time that the timestamp was on its way: half the round trip.
    #[must_use]
    pub fn after(self, round_trip: Duration) -> Self {
        let travel = (round_trip / 2).min(TRAVEL_MAX);
        Self(self.0.saturating_add(travel.as_millis() as i64))
    }

    /// The size, whichever way.
    pub fn size(self) -> Duration {
        Duration::from_millis(self.0.unsigned_abs())
    }

    /// Whether it is too much for a session.
    pub fn excessive(self) -> bool {
        self.size() > SKEW_MAX
    }
}

impl fmt::Display for Skew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = if self.0 < 0 { "behind" } else { "ahead" };
        write!(f, "{}.{:03} s {way}", self.0.unsigned_abs() / 1000, self.0.unsigned_abs() % 1000)
    }
}

/// The nearest whole second, as timestamps on the wire are rounded; seconds since 1970, until 2106.
pub(crate) fn nearest_second(date: Date) -> u32 {
    u32::try_from(date.0.saturating_add(500) / 1000).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
