//! What is known: RouterInfos, and a floodfill's LeaseSets. Both bounded.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use allium_crypto::{HashMap, Seeded};
use allium_wire::{Capabilities, Date, RouterHash, RouterInfo};

use crate::key::{distance, routing_key};
use crate::lease_set::LeaseSetRecord;

/// What became of an item that was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offered {
    /// Nothing was known under its key.
    New,
    /// It is newer than what was known.
    Newer,
    /// What was known is as new or newer: nothing changed.
    Old,
}

/// A RouterInfo, and what is asked of it often and would have to be parsed each time.
pub(crate) struct Known {
    pub(crate) info: Arc<RouterInfo>,
    pub(crate) version: Option<(u8, u8, u8)>,
    pub(crate) caps: Capabilities,
}

impl From<Arc<RouterInfo>> for Known {
    fn from(info: Arc<RouterInfo>) -> Self {
        Self { version: info.version(), caps: info.caps(), info }
    }
}

/// The RouterInfos.
pub(crate) struct Routers {
    most: usize,
    known: HashMap<RouterHash, Known>,
    floodfills: BTreeSet<RouterHash>,
}

impl Routers {
    pub(crate) fn new(most: usize, hasher: Seeded) -> Self {
        Self { most, known: HashMap::with_hasher(hasher), floodfills: BTreeSet::new() }
    }

    pub(crate) fn set_most(&mut self, most: usize) {
        self.most = most;
    }

    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.known.len() >= self.most
    }

    pub(crate) fn get(&self, router: &RouterHash) -> Option<&Arc<RouterInfo>> {
        self.known.get(router).map(|known| &known.info)
    }

    pub(crate) fn known(&self, router: &RouterHash) -> Option<&Known> {
        self.known.get(router)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&RouterHash, &Known)> {
        self.known.iter()
    }

    /// The routers that say they are floodfills.
    pub(crate) fn floodfills(&self) -> impl Iterator<Item = &RouterHash> {
        self.floodfills.iter()
    }

    /// The routers that say they are not, but for hidden ones.
    pub(crate) fn others(&self) -> impl Iterator<Item = &RouterHash> {
        let fit = |(_, known): &(&RouterHash, &Known)| !known.caps.floodfill && !known.caps.hidden;
        self.known.iter().filter(fit).map(|(hash, _)| hash)
    }

    /// How a RouterInfo published at this time would be received.
    pub(crate) fn judge(&self, router: &RouterHash, published: Date) -> Offered {
        match self.get(router) {
            None => Offered::New,
            Some(known) if known.published() < published => Offered::Newer,
            Some(_) => Offered::Old,
        }
    }

    /// Keeps the RouterInfo if it is new or newer.
    pub(crate) fn insert(&mut self, info: Arc<RouterInfo>) -> Offered {
        let router = info.hash();
        let offered = self.judge(&router, info.published());
        if offered != Offered::Old {
            let known = Known::from(info);
            if known.caps.floodfill {
                self.floodfills.insert(router);
            } else {
                self.floodfills.remove(&router);
            }
            self.known.insert(router, known);
        }
        offered
    }

    pub(crate) fn remove(&mut self, router: &RouterHash) -> Option<Arc<RouterInfo>> {
        self.floodfills.remove(router);
        self.known.remove(router).map(|known| known.info)
    }

    /// Removes and names those published before `oldest`, but for the ones to keep.
    pub(crate) fn expire(&mut self, oldest: Date, keep: impl Fn(&RouterHash) -> bool) -> Vec<RouterHash> {
        let is_old = |known: &Known| known.info.published() < oldest;
        let old = self.known.iter().filter(|(hash, known)| is_old(known) && !keep(hash));
        let mut old: Vec<RouterHash> = old.map(|(hash, _)| *hash).collect();
        old.sort_unstable();
        for hash in &old {
            self.remove(hash);
        }
        old
    }

    /// Makes room when full: removes and names a twentieth, those published the longest ago (floodfills
    /// count half as old), sparing the ones to keep unless there are no others.
    pub(crate) fn evict(&mut self, now: Date, keep: impl Fn(&RouterHash) -> bool) -> Vec<RouterHash> {
        if !self.is_full() {
            return Vec::new();
        }
        let rank = |(hash, known): (&RouterHash, &Known)| {
            let age = now.since(known.info.published()).as_secs();
            let age = if known.caps.floodfill { age / 2 } else { age };
            (!keep(hash), age, *hash)
        };
        let mut ranked: Vec<_> = self.known.iter().map(rank).collect();
        ranked.sort_unstable_by(|a, b| b.cmp(a));
        let count = self.known.len() - self.most + self.most / 20 + 1;
        let evicted: Vec<RouterHash> = ranked.into_iter().take(count).map(|(_, _, hash)| hash).collect();
        for hash in &evicted {
            self.remove(hash);
        }
        evicted
    }
}

/// How long RouterInfos are kept when so many are known: 72 h below 120, 30 h from 300, shorter above 2000.
pub(crate) fn lifetime(known: usize) -> Duration {
    let hours = match known {
        0..120 => 72,
        120..300 => 72 - (known as u64 - 120) * 42 / 180,
        300..2000 => 30,
        2000..5000 => 12,
        _ => 4,
    };
    Duration::from_hours(hours)
}

/// A floodfill's LeaseSets.
pub(crate) struct LeaseSets {
    most: usize,
    sets: BTreeMap<[u8; 32], LeaseSetRecord>,
}

impl LeaseSets {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, sets: BTreeMap::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.sets.len()
    }

    /// The LeaseSet under the key, if it has not ended.
    pub(crate) fn get(&self, key: &[u8; 32], now: Date) -> Option<&LeaseSetRecord> {
        self.sets.get(key).filter(|set| set.expires > now)
    }

    /// Keeps the LeaseSet if it is new or strictly newer. When there are too many, the one farthest from
    /// `own` goes: nobody asks us for it.
    pub(crate) fn insert(&mut self, set: LeaseSetRecord, own: &RouterHash, now: Date) -> Offered {
        let offered = match self.sets.get(&set.key) {
            None => Offered::New,
            Some(known) if known.expires <= now => Offered::New,
            Some(known) if (known.published, known.expires) < (set.published, set.expires) => Offered::Newer,
            Some(_) => return Offered::Old,
        };
        self.sets.insert(set.key, set);
        if self.sets.len() > self.most {
            self.expire(now);
        }
        if self.sets.len() > self.most {
            let far = |key: &[u8; 32]| distance(&routing_key(key, now).0, &own.0);
            let farthest = self.sets.keys().copied().max_by_key(far);
            farthest.and_then(|key| self.sets.remove(&key));
        }
        offered
    }

    /// Forgets those that have ended.
    pub(crate) fn expire(&mut self, now: Date) {
        self.sets.retain(|_, set| set.expires > now);
    }

    /// Forgets all: this router is no floodfill any more.
    pub(crate) fn clear(&mut self) {
        self.sets.clear();
    }
}

#[cfg(test)]
mod tests;
