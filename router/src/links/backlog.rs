//! Whether a link carries less than it is given, and when its connection should look for more bandwidth.

use std::time::{Duration, Instant};

/// More than this many bytes that wait, beside what the kernel has, are a backlog.
const BACKLOG: usize = 8 << 10;
/// A backlog that lasts for so long says that the connection is too slow.
pub(super) const LASTING: Duration = Duration::from_millis(100);
/// So many bytes at once are more than a message or two.
const BURST: usize = 8 << 10;
/// After so long without, BBR may have forgotten how much the connection carries.
const SPARSE: Duration = Duration::from_secs(2);
/// The least time between two attempts, doubled after each that was of no use.
const LEAST: Duration = Duration::from_millis(500);
const MOST: Duration = Duration::from_secs(300);
/// An attempt was of use if the link became so much faster.
const USEFUL: f64 = 1.3;

/// Watches the outbox of one link.
#[derive(Default)]
pub(super) struct Backlog {
    /// When much was last written at once.
    busy: Option<Instant>,
    /// Since when there has been one, and what was written since.
    since: Option<(Instant, u64)>,
    /// When the latest attempt was made, how fast (bytes a second) the link was before, and how long the next one waits.
    attempt: Option<(Instant, f64, Duration)>,
}

impl Backlog {
    /// So much is about to be written at once. True when the connection should look for bandwidth first, as it was hardly
    /// used for a while.
    pub(super) fn writes(&mut self, now: Instant, bytes: usize) -> bool {
        if bytes < BURST {
            return false;
        }
        let before = self.busy.replace(now);
        before.is_some_and(|at| now.saturating_duration_since(at) > SPARSE)
    }

    /// So much was written since the last call, and so much waits. True when the connection should look for more bandwidth.
    pub(super) fn wrote(&mut self, now: Instant, written: u64, waiting: usize) -> bool {
        if waiting < BACKLOG {
            self.since = None;
            return false;
        }
        let (since, sum) = self.since.get_or_insert((now, 0));
        *sum += written;
        let lasted = now.saturating_duration_since(*since);
        if lasted < LASTING {
            return false;
        }
        let rate = *sum as f64 / lasted.as_secs_f64();
        let mut wait = LEAST;
        if let Some((at, before, least)) = self.attempt {
            let passed = now.saturating_duration_since(at);
            if passed < least {
                return false;
            }
            if rate < before * USEFUL && passed < least * 2 + LASTING {
                wait = (least * 2).min(MOST);
            }
        }
        self.attempt = Some((now, rate, wait));
        self.since = None;
        true
    }
}

#[cfg(test)]
mod tests;
