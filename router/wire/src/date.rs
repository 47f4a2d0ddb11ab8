//! Dates, the present, and what all control engines have in common.

use std::ops::{Add, Sub};
use std::time::{Duration, Instant};

/// A date of the network: milliseconds since 1970, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(pub u64);

const DAY: u64 = 86_400_000;

impl Date {
    /// The date `seconds` after 1970 began.
    pub fn from_seconds(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Whole seconds since 1970.
    pub fn seconds(self) -> u32 {
        (self.0 / 1000).min(u64::from(u32::MAX)) as u32
    }

    /// Whole minutes since 1970.
    pub fn minutes(self) -> u32 {
        (self.0 / 60_000).min(u64::from(u32::MAX)) as u32
    }

    /// Whole days since 1970.
    pub fn utc_day(self) -> u32 {
        (self.0 / DAY).min(u64::from(u32::MAX)) as u32
    }

    /// The time since `earlier`, zero where that is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// The time until midnight, UTC.
    pub fn until_midnight_utc(self) -> Duration {
        Duration::from_millis(DAY - self.0 % DAY)
    }

    /// The day as eight digits, such as `20261123`.
    pub fn yyyymmdd(self) -> [u8; 8] {
        let (year, month, day) = civil(self.utc_day());
        let mut out = [0; 8];
        let mut number = year * 10_000 + month * 100 + day;
        for digit in out.iter_mut().rev() {
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
        }
        out
    }
}

/// The proleptic Gregorian date of a day since 1970: years of 365 days with a leap day each fourth, but not each
/// hundredth, but each four-hundredth, counted from a 1st of March so that the leap day comes last.
fn civil(day: u32) -> (u32, u32, u32) {
    let shifted = u64::from(day) + 719_468;
    let era = shifted / 146_097;
    let of_era = shifted % 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    ((year % 10_000) as u32, month as u32, day as u32)
}

impl Add<Duration> for Date {
    type Output = Self;
    fn add(self, time: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Duration> for Date {
    type Output = Self;
    fn sub(self, time: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// The present, as an engine is told it: a monotonic instant, and the network's date at that instant.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// For timers and intervals.
    pub instant: Instant,
    /// For what goes over the wire.
    pub date: Date,
}

/// A control engine: turns inputs into actions, knows no socket, task, clock or other engine.
///
/// After every [`handle`](Self::handle), and when [`deadline`](Self::deadline) has come, its owner calls
/// [`poll`](Self::poll) until that gives `None`.
pub trait Engine {
    /// What happens to it.
    type Input;
    /// What it wants done.
    type Action;
    /// Takes an input.
    fn handle(&mut self, now: Now, input: Self::Input);
    /// The next thing to do.
    fn poll(&mut self, now: Now) -> Option<Self::Action>;
    /// When [`poll`](Self::poll) must be called next, whatever happens before.
    fn deadline(&self) -> Option<Instant>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_gregorian() {
        for (seconds, day) in [
            (0, b"19700101"),
            (951_782_400, b"20000229"),
            (951_868_800, b"20000301"),
            (1_795_392_000, b"20261123"),
            (4_107_542_400, b"21000301"),
        ] {
            assert_eq!(&Date::from_seconds(seconds).yyyymmdd(), day);
        }
        assert_eq!(Date::from_seconds(86_399).until_midnight_utc(), Duration::from_secs(1));
    }
}
