//! The one place that reads a clock.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use allium_wire::{Date, Now};
use tokio::time::Instant;

/// Tells a router's engines the present: a monotonic instant, and the network's date at that instant.
///
/// The monotonic half is tokio's clock, so that a paused runtime is a whole network in virtual time. The date is
/// the system's at start-up plus elapsed time, corrected by [`Clock::adjust`].
#[derive(Debug)]
pub struct Clock {
    epoch: Instant,
    date_at_epoch: Date,
    skew_ms: AtomicI64,
}

impl Clock {
    /// A clock that starts from the system's date.
    pub fn system() -> Self {
        #[expect(clippy::disallowed_methods, reason = "this is the place that reads the clock")]
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self::starting_at(Date(since.as_millis() as u64))
    }

    /// A clock whose date is `date` now: for simulated networks.
    pub fn starting_at(date: Date) -> Self {
        Self { epoch: Instant::now(), date_at_epoch: date, skew_ms: AtomicI64::new(0) }
    }

    /// The present.
    pub fn now(&self) -> Now {
        let instant = Instant::now();
        let elapsed = instant.duration_since(self.epoch).as_millis() as u64;
        let date = self.date_at_epoch.0.saturating_add(elapsed);
        Now {
            instant: instant.into_std(),
            date: Date(date.saturating_add_signed(self.skew_ms.load(Ordering::Relaxed))),
        }
    }

    /// Moves the date by `ms` milliseconds, for good.
    pub fn adjust(&self, ms: i64) {
        self.skew_ms.fetch_add(ms, Ordering::Relaxed);
    }

    /// Sleeps until `deadline`, for ever where there is none.
    pub async fn sleep_until(deadline: Option<std::time::Instant>) {
        match deadline {
            Some(at) => tokio::time::sleep_until(Instant::from_std(at)).await,
            None => std::future::pending().await,
        }
    }

    /// How long until `deadline` from `now`; zero when past.
    pub fn until(now: Now, deadline: std::time::Instant) -> Duration {
        deadline.saturating_duration_since(now.instant)
    }
}
