//! What one destination's tunnels learned, kept apart from the router's own database and from other
//! destinations'.
//!
//! Nothing in here is ever handed out or put into the router's database: whoever stored an item through a
//! destination's tunnel could otherwise ask the router for it and so link the two
//! (<https://geti2p.net/en/docs/how/network-database#segmentation>).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use allium_wire::{Date, DestHash, LeaseSet, RouterHash, RouterInfo};

/// RouterInfos are kept this long after they were learned.
const ROUTER_LIFE: Duration = Duration::from_hours(1);

/// The database of one destination; bounded, and forgetting by itself.
pub struct ClientDb {
    most: usize,
    lease_sets: BTreeMap<DestHash, LeaseSet>,
    routers: BTreeMap<RouterHash, (Arc<RouterInfo>, Date)>,
}

impl ClientDb {
    /// An empty one for at most `most` LeaseSets and as many RouterInfos.
    pub fn new(most: usize) -> Self {
        Self { most, lease_sets: BTreeMap::new(), routers: BTreeMap::new() }
    }

    /// Keeps a (verified) LeaseSet if it is newer than the known one; whether it was.
    pub fn insert_lease_set(&mut self, set: LeaseSet, now: Date) -> bool {
        let key = set.hash();
        let newer =
            |known: &LeaseSet| (known.published(), known.expires()) < (set.published(), set.expires());
        if set.expires() <= now || self.lease_sets.get(&key).is_some_and(|known| !newer(known)) {
            return false;
        }
        if self.lease_sets.len() >= self.most && !self.lease_sets.contains_key(&key) {
            self.expire(now);
            while self.lease_sets.len() >= self.most.max(1) {
                let first = self.lease_sets.iter().min_by_key(|(_, set)| set.expires()).map(|(key, _)| *key);
                first.and_then(|key| self.lease_sets.remove(&key));
            }
        }
        self.lease_sets.insert(key, set);
        true
    }

    /// The LeaseSet of a destination, if known and not ended.
    pub fn lease_set(&self, destination: &DestHash, now: Date) -> Option<&LeaseSet> {
        self.lease_sets.get(destination).filter(|set| set.expires() > now)
    }

    /// Forgets a LeaseSet, say because none of its leases works.
    pub fn remove_lease_set(&mut self, destination: &DestHash) {
        self.lease_sets.remove(destination);
    }

    /// Keeps a (verified) RouterInfo that came through this destination's tunnels.
    pub fn insert_router(&mut self, info: Arc<RouterInfo>, now: Date) {
        let router = info.hash();
        if self.routers.get(&router).is_some_and(|(known, _)| known.published() >= info.published()) {
            return;
        }
        if self.routers.len() >= self.most && !self.routers.contains_key(&router) {
            self.expire(now);
            while self.routers.len() >= self.most.max(1) {
                let first = self.routers.iter().min_by_key(|(_, (_, heard))| *heard).map(|(key, _)| *key);
                first.and_then(|key| self.routers.remove(&key));
            }
        }
        self.routers.insert(router, (info, now));
    }

    /// A RouterInfo that came through this destination's tunnels.
    pub fn router(&self, router: &RouterHash) -> Option<&Arc<RouterInfo>> {
        self.routers.get(router).map(|(info, _)| info)
    }

    /// All RouterInfos that came through this destination's tunnels.
    pub fn routers(&self) -> impl Iterator<Item = &Arc<RouterInfo>> {
        self.routers.values().map(|(info, _)| info)
    }

    /// How many LeaseSets and RouterInfos there are.
    pub fn len(&self) -> usize {
        self.lease_sets.len() + self.routers.len()
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets what has ended or is old.
    pub fn expire(&mut self, now: Date) {
        self.lease_sets.retain(|_, set| set.expires() > now);
        self.routers.retain(|_, (_, heard)| *heard + ROUTER_LIFE > now);
    }
}

#[cfg(test)]
mod tests;
