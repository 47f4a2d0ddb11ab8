//! What the core writes to the data folder: RouterInfos and profiles, behind its back, every few seconds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use allium_netdb::NetDb;
use allium_wire::{Now, RouterHash, RouterInfo};
use tracing::warn;

use crate::shared::Shared;
use crate::store::{Store, StoreError};

const PROFILES: Duration = Duration::from_secs(300);
pub(crate) const PROFILES_FILE: &str = "profiles.json";

/// What waits to be written.
pub(super) struct Writer {
    store: Option<Store>,
    changed: BTreeMap<RouterHash, Arc<RouterInfo>>,
    gone: BTreeSet<RouterHash>,
    own: Option<Arc<RouterInfo>>,
    profiles_due: Instant,
    complained: bool,
}

impl Writer {
    pub(super) fn new(shared: &Shared) -> Self {
        Self {
            store: shared.store.clone(),
            changed: BTreeMap::new(),
            gone: BTreeSet::new(),
            own: None,
            profiles_due: shared.clock.now().instant + PROFILES,
            complained: false,
        }
    }

    pub(super) fn persist(&mut self, info: &Arc<RouterInfo>) {
        if self.store.is_some() {
            self.gone.remove(&info.hash());
            self.changed.insert(info.hash(), info.clone());
        }
    }

    pub(super) fn forget(&mut self, router: RouterHash) {
        if self.store.is_some() {
            self.changed.remove(&router);
            self.gone.insert(router);
        }
    }

    pub(super) fn own(&mut self, info: Arc<RouterInfo>) {
        self.own = Some(info);
    }

    /// Hands what waits to a thread that may block.
    pub(super) fn write(&mut self, shared: &Arc<Shared>, netdb: &NetDb, now: Now) {
        let Some(store) = self.store.clone() else { return };
        let mut profiles = None;
        if self.profiles_due <= now.instant {
            self.profiles_due = now.instant + PROFILES;
            profiles = netdb.profiles().save().ok();
        }
        if self.changed.is_empty() && self.gone.is_empty() && self.own.is_none() && profiles.is_none() {
            return;
        }
        let changed = std::mem::take(&mut self.changed);
        let gone = std::mem::take(&mut self.gone);
        let own = self.own.take();
        let complained = std::mem::replace(&mut self.complained, true);
        let shared = shared.clone();
        tokio::task::spawn_blocking(move || {
            let Err((error, failed)) =
                write_all(&store, &changed, &gone, own.as_deref(), profiles.as_deref())
            else {
                return;
            };
            shared.counters.disk_errors.add(failed);
            if !complained {
                warn!("{error}; the router goes on without what it can't keep");
            }
        });
    }

    /// Writes the rest, now.
    pub(super) fn finish(&mut self, netdb: &NetDb) {
        let Some(store) = &self.store else { return };
        let profiles = netdb.profiles().save().ok();
        let written = write_all(store, &self.changed, &self.gone, self.own.as_deref(), profiles.as_deref());
        if let Err((error, _)) = written {
            warn!("{error}");
        }
    }
}

/// Writes all that it can; the first error, and how many there were.
fn write_all(
    store: &Store,
    changed: &BTreeMap<RouterHash, Arc<RouterInfo>>,
    gone: &BTreeSet<RouterHash>,
    own: Option<&RouterInfo>,
    profiles: Option<&[u8]>,
) -> Result<(), (StoreError, u64)> {
    let infos = changed.iter().map(|(hash, info)| store.write(Store::router_info_name(hash), info.bytes()));
    let own = own.map(|info| store.write(crate::identity::INFO_FILE, info.bytes()));
    let profiles = profiles.map(|profiles| store.write(PROFILES_FILE, profiles));
    let mut failed = None;
    for error in infos.chain(own).chain(profiles).filter_map(Result::err) {
        failed = Some(failed.map_or((error, 1), |(first, n)| (first, n + 1)));
    }
    for hash in gone {
        store.remove(Store::router_info_name(hash));
    }
    failed.map_or(Ok(()), Err)
}
