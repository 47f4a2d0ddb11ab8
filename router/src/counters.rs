//! Counters that tasks of a router share.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// What a router counted since it started.
        #[derive(Debug, Default)]
        pub(crate) struct Counters { $($(#[$doc])* pub(crate) $name: Counter),* }
        impl Counters {
            /// Every counter's name and value.
            pub(crate) fn all(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name.get())),*]
            }
        }
    };
}

/// A number that tasks share.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`.
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Adds one.
    pub(crate) fn one(&self) {
        self.add(1);
    }

    /// Makes it `n`: for what is counted elsewhere and shown here.
    pub(crate) fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    /// The number.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

counters! {
    /// Bytes read from other routers.
    bytes_received,
    /// Bytes written to other routers.
    bytes_sent,
    /// Messages carried in others' tunnels.
    transit_messages,
    /// Tunnels carried for others now.
    transit_tunnels,
    /// Messages dropped for want of room in a peer's outbox.
    dropped_full,
    /// Messages dropped because they had waited too long.
    dropped_stale,
    /// Messages dropped because a task's inbox was full.
    dropped_inbox,
    /// Messages for a tunnel that does not exist (any more).
    unknown_tunnel,
    /// Messages that could not be read.
    malformed,
    /// Messages that may not arrive where they did.
    misplaced,
    /// Messages past their expiration.
    expired,
    /// Duplicates that the IV filter dropped.
    replayed,
    /// Tunnel messages dropped as duplicates, strangers', damaged or malformed.
    unfit,
    /// Garlic messages that none of our keys opens.
    unopened,
    /// Datagrams of our destinations given to a tunnel.
    datagrams_sent,
    /// Datagrams of our destinations that could not be sent.
    datagrams_unsent,
    /// Datagrams received by whoever asked for them.
    datagrams_received,
    /// Datagrams that nobody asked for, or took in time.
    datagrams_dropped,
    /// Datagrams with a wrong signature, or malformed.
    datagrams_refused,
    /// Handshakes begun by others that failed.
    handshakes_refused,
    /// Our handshakes that failed.
    handshakes_failed,
    /// Build requests of others accepted.
    transit_accepted,
    /// Build requests of others refused.
    transit_refused,
    /// Build requests of others that were dropped as malformed, replayed or misdirected.
    transit_dropped,
    /// Own tunnels built.
    builds_succeeded,
    /// Own tunnels that were not built.
    builds_failed,
    /// Files that could not be written.
    disk_errors,
}
