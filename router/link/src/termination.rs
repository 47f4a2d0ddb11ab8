//! When a link ends of itself.

use std::time::{Duration, Instant};

/// The timeouts of links; the defaults are what other routers keep to.
#[derive(Clone, Copy, Debug)]
pub struct TerminationPolicy {
    /// From the open socket to the end of the handshake.
    pub handshake: Duration,
    /// From a frame's length to its last byte.
    pub frame: Duration,
    /// Without a message either way, while there is room for more links.
    pub idle: Duration,
    /// Without a message either way, once there are more links than `crowd`.
    pub idle_crowded: Duration,
    /// The number of links from which on the shorter idle time holds.
    pub crowd: usize,
    /// For the last words, between writing a termination and closing.
    pub farewell: Duration,
    /// Between two refreshes of our RouterInfo on a standing link.
    pub router_info: Duration,
}

impl Default for TerminationPolicy {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            frame: Duration::from_secs(30),
            idle: Duration::from_mins(5),
            idle_crowded: Duration::from_secs(115),
            crowd: 1000,
            farewell: Duration::from_secs(2),
            router_info: Duration::from_mins(35),
        }
    }
}

/// What a link did last.
#[derive(Clone, Copy, Debug)]
pub struct Activity {
    /// When the last message came.
    pub received: Instant,
    /// When the last message went.
    pub sent: Instant,
}

impl TerminationPolicy {
    /// When a link becomes idle, while `links` stand.
    pub fn idle_at(&self, activity: Activity, links: usize) -> Instant {
        let idle = if links > self.crowd { self.idle_crowded } else { self.idle };
        activity.received.max(activity.sent) + idle
    }

    /// Whether it is idle by now.
    pub fn is_idle(&self, activity: Activity, links: usize, now: Instant) -> bool {
        self.idle_at(activity, links) <= now
    }
}

#[cfg(test)]
mod tests;
