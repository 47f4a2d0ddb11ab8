//! Whom the store knows from elsewhere: `bootstrap`, and the last run's peers.

use std::collections::BTreeMap;

use allium_wire::{DestHash, text};

use super::FOLDER;
use crate::config::Destination;
use crate::names::Names;
use crate::router::Store;

/// The most that are read.
const MOST: usize = 1024;
/// The longest file.
const LONGEST: u64 = 1 << 20;

fn path() -> std::path::PathBuf {
    std::path::Path::new(FOLDER).join("peers.json")
}

/// The last run's peers, those that were heard last first.
pub(super) fn load(store: &Store) -> Vec<DestHash> {
    let read = match store.read(path(), LONGEST) {
        Ok(read) => read.unwrap_or_default(),
        Err(error) => {
            tracing::warn!(%error, "the store's peers can't be read");
            return Vec::new();
        }
    };
    let peers: BTreeMap<String, u64> = serde_json::from_slice(&read).unwrap_or_default();
    let known = peers.into_iter().filter_map(|(name, heard)| Some((heard, text::parse_b32(&name)?)));
    let mut known: Vec<_> = known.collect();
    known.sort_unstable_by_key(|(heard, _)| std::cmp::Reverse(*heard));
    known.into_iter().take(MOST).map(|(_, node)| node).collect()
}

/// Writes down whom the store knows, and when each was heard last (milliseconds since 1970).
pub(super) async fn save(store: &Store, peers: Vec<(DestHash, u64)>) {
    let peers: BTreeMap<String, u64> =
        peers.into_iter().take(MOST).map(|(node, heard)| (node.b32(), heard)).collect();
    let store = store.clone();
    let written = tokio::task::spawn_blocking(move || {
        let text = serde_json::to_vec_pretty(&peers).unwrap_or_default();
        store.write_secret(path(), &text)
    });
    if let Ok(Err(error)) = written.await {
        tracing::warn!(%error, "the store's peers can't be written down");
    }
}

/// The nodes that `bootstrap` names, as far as the names are known.
pub(super) async fn resolve(names: &Names, bootstrap: &[Destination]) -> Vec<DestHash> {
    let mut found = Vec::new();
    for name in bootstrap {
        match names.resolve(name.host()).await {
            Ok(target) => found.push(crate::names::hash_of(&target)),
            Err(error) => tracing::debug!(%error, "a node of the store's `bootstrap` is not known yet"),
        }
    }
    found
}
