//! One publication: an item on its way to the floodfills closest to its key.

use std::time::{Duration, Instant};

use allium_wire::{Date, RouterHash};
use bytes::Bytes;

/// Floodfills that should acknowledge an item.
pub(crate) const WANTED: usize = 2;
/// Floodfills tried in one round.
pub(crate) const MOST_TRIES: usize = 6;
/// Between two rounds of one item: what changes twice when tunnels die is soon told again.
const MIN_INTERVAL: Duration = Duration::from_secs(3);
/// So many rounds may follow each other so closely within [`SPAN`].
const BURST: usize = 3;
/// See [`BURST`].
const SPAN: Duration = Duration::from_secs(30);
/// Rounds added because a LeaseSet was not found where it should be.
pub(crate) const MOST_RESTORES: u8 = 3;

/// One floodfill that the item was sent to.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    pub(crate) to: RouterHash,
    /// What its DeliveryStatus will carry.
    pub(crate) token: u32,
    pub(crate) message: u32,
    pub(crate) sent: Instant,
    pub(crate) due: Instant,
    pub(crate) acked: bool,
    pub(crate) failed: bool,
}

/// What is being done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    /// To start at that time.
    Waiting(Instant),
    /// Sending to one floodfill after the other.
    Storing,
    /// Stored; to be looked up at that time.
    Unverified(Instant),
    /// Stored; being looked up.
    Verifying,
    /// Nothing to do.
    Done,
}

/// An item to publish.
pub(crate) struct Publication {
    pub(crate) key: [u8; 32],
    /// 0 for a RouterInfo.
    pub(crate) store_type: u8,
    pub(crate) bytes: Bytes,
    pub(crate) published: Date,
    /// When it is of no use any more.
    pub(crate) expires: Option<Date>,
    pub(crate) phase: Phase,
    /// When to look at it again if nothing comes.
    pub(crate) wake: Option<Instant>,
    /// There was no tunnel to send through: send nothing before that time.
    pub(crate) hold: Option<Instant>,
    pub(crate) stores: Vec<Store>,
    /// Floodfills known not to have it though they acknowledged it, and those that do not answer.
    pub(crate) avoid: Vec<RouterHash>,
    /// When the last rounds started, the latest first.
    pub(crate) started: [Option<Instant>; BURST],
    /// The success of this item was told.
    pub(crate) told: bool,
    pub(crate) restores: u8,
    /// Rounds without any acknowledgement.
    pub(crate) failures: u32,
}

impl Publication {
    pub(crate) fn new(key: [u8; 32], store_type: u8, bytes: Bytes, now: Instant) -> Self {
        Self {
            key,
            store_type,
            bytes,
            published: Date(0),
            expires: None,
            phase: Phase::Waiting(now),
            wake: Some(now),
            hold: None,
            stores: Vec::new(),
            avoid: Vec::new(),
            started: [None; BURST],
            told: false,
            restores: 0,
            failures: 0,
        }
    }

    /// Starts again at `at`, wherever it stands.
    pub(crate) fn restart(&mut self, at: Instant) {
        self.wait_until(at);
        self.stores.clear();
    }

    /// Leaves it alone until `at`, keeping who was sent what, so that late acknowledgements count.
    pub(crate) fn wait_until(&mut self, at: Instant) {
        self.phase = Phase::Waiting(at);
        self.wake = Some(at);
    }

    /// Notes that a round starts.
    pub(crate) fn begin(&mut self, now: Instant) {
        self.restart(now);
        self.phase = Phase::Storing;
        self.started.rotate_right(1);
        self.started[0] = Some(now);
    }

    /// When the next round may start.
    pub(crate) fn soonest(&self, now: Instant) -> Instant {
        let last = self.started[0].map(|at| at + MIN_INTERVAL);
        let first = self.started[BURST - 1].map(|at| at + SPAN);
        last.into_iter().chain(first).fold(now, Instant::max)
    }

    pub(crate) fn acks(&self) -> usize {
        self.stores.iter().filter(|store| store.acked).count()
    }

    /// The floodfills that acknowledged it.
    pub(crate) fn acked_by(&self) -> Vec<RouterHash> {
        self.stores.iter().filter(|store| store.acked).map(|store| store.to).collect()
    }

    /// How many floodfills have yet to answer within their time.
    pub(crate) fn waiting(&self, now: Instant) -> usize {
        self.stores.iter().filter(|store| store.is_waiting(now)).count()
    }

    /// How long to wait after a round that nobody acknowledged.
    pub(crate) fn retry_after(&self) -> Duration {
        Duration::from_secs(10 << self.failures.min(4))
    }
}

impl Store {
    /// Whether it may be acknowledged within its time.
    pub(crate) fn is_waiting(&self, now: Instant) -> bool {
        !self.acked && !self.failed && self.due > now
    }
}
