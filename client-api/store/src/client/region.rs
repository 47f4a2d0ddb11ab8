//! Which parts of the key space have been looked up lately.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::Key;
use crate::place::masked;

/// How long what a lookup found holds, and how long it is still used while it is looked up anew.
const LIFE: Duration = Duration::from_mins(15);
const STALE: Duration = Duration::from_hours(4);
/// A lookup to renew a region is begun so often at most.
const RENEW: Duration = Duration::from_mins(1);
/// Regions remembered.
const MOST: usize = 4096;

/// Regions, each all keys with certain first bits, whose nodes are known.
pub(super) struct Regions {
    /// For each number of bits, the regions and when they were looked up.
    known: BTreeMap<u16, BTreeMap<[u8; 32], Instant>>,
    count: usize,
}

impl Regions {
    pub(super) fn new() -> Self {
        Self { known: BTreeMap::new(), count: 0 }
    }

    /// All nodes that share `depth` bits with the key have been found.
    pub(super) fn learn(&mut self, now: Instant, key: &Key, depth: u16) {
        if self.count >= MOST {
            self.forget_old(now);
        }
        if self.count >= MOST {
            self.known.clear();
            self.count = 0;
        }
        let fresh = self.known.entry(depth).or_default().insert(masked(&key.0, depth), now).is_none();
        self.count += usize::from(fresh);
    }

    /// Whether the nodes around a key are known.
    pub(super) fn covers(&self, now: Instant, key: &Key) -> bool {
        self.known.iter().any(|(depth, regions)| {
            let found = regions.get(&masked(&key.0, *depth));
            found.is_some_and(|at| now.saturating_duration_since(*at) < STALE)
        })
    }

    /// Whether what is known of the nodes around a key is old. Says so once in a while only.
    pub(super) fn is_due(&mut self, now: Instant, key: &Key) -> bool {
        let regions =
            self.known.iter_mut().filter_map(|(depth, regions)| regions.get_mut(&masked(&key.0, *depth)));
        let newest = regions.max_by_key(|at| **at);
        let Some(newest) = newest.filter(|at| now.saturating_duration_since(**at) >= LIFE) else {
            return false;
        };
        // As if it had been looked up so that it is due again then.
        *newest += now.saturating_duration_since(*newest).saturating_sub(LIFE.saturating_sub(RENEW));
        true
    }

    fn forget_old(&mut self, now: Instant) {
        for regions in self.known.values_mut() {
            regions.retain(|_, at| now.saturating_duration_since(*at) < STALE);
        }
        self.known.retain(|_, regions| !regions.is_empty());
        self.count = self.known.values().map(BTreeMap::len).sum();
    }
}
