//! The handle of the service.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use allium_content::manifest::Manifest;
use allium_content::uri::Uri;
use allium_content::{Chk, Name, OwnerKey, Secrecy, SskKey};
use allium_crypto::Rng;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::editions::Watches;
use super::jobs::{Job, Jobs};
use super::pins::{Healed, Pins};
use super::{
    Blocks, ContentStatus, Error, File, Folder, Listed, OpenOptions, Opened, Pinned, Published, PutOptions,
    Reading, Upload,
};

/// Most manifests that are remembered, and most entries of them together.
const MANIFESTS: (usize, usize) = (16, 100_000);

/// Publishes and fetches. Cheap to clone.
#[derive(Clone)]
pub struct Content(Arc<Inner>);

pub(super) struct Inner {
    pub(super) blocks: Arc<dyn Blocks>,
    pub(super) watches: Watches,
    pub(super) pins: Pins,
    jobs: Jobs,
    rng: Mutex<Rng>,
    recent: Mutex<Recent>,
}

/// Manifests that were read of late, and when each was used last.
#[derive(Default)]
struct Recent {
    manifests: BTreeMap<Chk, (u64, Arc<Manifest>)>,
    uses: u64,
}

impl Inner {
    /// Secrecy with a new secret.
    pub(super) fn secret(&self) -> Secrecy {
        Secrecy::private(&mut self.rng.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A manifest that was read of late.
    pub(super) fn manifest(&self, chk: &Chk) -> Option<Arc<Manifest>> {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.uses += 1;
        let now = recent.uses;
        let (used, manifest) = recent.manifests.get_mut(chk)?;
        *used = now;
        Some(Arc::clone(manifest))
    }

    /// Remembers a manifest in place of those used longest ago.
    pub(super) fn remember(&self, chk: &Chk, manifest: &Arc<Manifest>) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.uses += 1;
        let now = recent.uses;
        recent.manifests.insert(chk.clone(), (now, Arc::clone(manifest)));
        let too_many = |recent: &Recent| {
            let entries: usize = recent.manifests.values().map(|(_, held)| held.entries().len()).sum();
            recent.manifests.len() > MANIFESTS.0 || entries > MANIFESTS.1
        };
        while too_many(&recent) {
            let oldest = recent.manifests.iter().min_by_key(|(_, (used, _))| *used);
            let Some(oldest) = oldest.map(|(chk, _)| chk.clone()) else { break };
            recent.manifests.remove(&oldest);
        }
    }
}

impl Content {
    /// The service over a store. `state` is the file in which pins are remembered (none are where absent). To be
    /// called within a runtime.
    pub fn start(blocks: Arc<dyn Blocks>, state: Option<PathBuf>, rng: Rng, stop: CancellationToken) -> Self {
        let inner = Arc::new(Inner {
            blocks,
            watches: Watches::default(),
            pins: Pins::load(state),
            jobs: Jobs::new(stop),
            rng: Mutex::new(rng),
            recent: Mutex::default(),
        });
        let own = Arc::clone(&inner);
        inner.jobs.spawn(async move {
            own.pins.assert(&*own.blocks).await;
            Ok::<_, Error>(())
        });
        Self(inner)
    }

    /// A new owner's key, for SSKs and USKs.
    pub fn new_owner(&self) -> OwnerKey {
        OwnerKey::generate(&mut self.0.rng.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Publishes. The job ends when two nodes hold each block.
    pub fn put(&self, upload: Upload, options: PutOptions) -> Job<Published> {
        let inner = Arc::clone(&self.0);
        self.0.jobs.start(|progress| super::publish::put(inner, upload, options, progress))
    }

    /// Finds out what a URI leads to: follows SSKs, USKs, KSKs, redirects, links and paths.
    pub fn open(&self, uri: Uri, options: OpenOptions) -> Job<Opened> {
        let inner = Arc::clone(&self.0);
        self.0.jobs.start(|progress| async move {
            super::open::open(inner, uri, options, progress).await.map(|resolved| resolved.opened)
        })
    }

    /// Reads a range of a file, in order.
    pub fn read(&self, file: &File, range: Range<u64>) -> Reading {
        Reading::start(&self.0.jobs, Arc::clone(&self.0.blocks), file, range)
    }

    /// All files of a folder (below its `at`), folders in folders included, in the order of their paths.
    pub fn list(&self, folder: &Folder) -> Job<Vec<Listed>> {
        let (inner, folder) = (Arc::clone(&self.0), folder.clone());
        self.0.jobs.start(|progress| super::folder::list(inner, folder, progress))
    }

    /// The newest edition of what an owner updates, from `from` on; `None` if there is none.
    pub fn newest(&self, key: SskKey, name: Name, from: u64) -> Job<Option<u64>> {
        let inner = Arc::clone(&self.0);
        self.0.jobs.start(|_| async move {
            let newest = super::documents::newest(&inner.blocks, &key, &name, from).await?;
            Ok(newest.map(|newest| newest.edition))
        })
    }

    /// Tells of new editions for as long as the receiver is held; at first the newest known one (or `None`).
    pub fn watch_editions(&self, key: SskKey, name: Name, from: u64) -> watch::Receiver<Option<u64>> {
        self.0.watches.watch(&self.0.jobs, &self.0.blocks, (key, name), from)
    }

    /// Keeps what a URI leads to, all of it, on this node whatever the quota says; fetches what is missing.
    pub fn pin(&self, uri: Uri) -> Job<Pinned> {
        let inner = Arc::clone(&self.0);
        self.0.jobs.start(|progress| super::pins::keep(inner, uri, progress))
    }

    /// Keeps it like anything else from now on. Whether it was pinned.
    pub async fn unpin(&self, uri: &Uri) -> Result<bool, Error> {
        self.0.pins.forget(&*self.0.blocks, uri).await
    }

    /// Fetches everything that a URI leads to, check blocks too, and stores again what is missing.
    pub fn heal(&self, uri: Uri) -> Job<Healed> {
        let inner = Arc::clone(&self.0);
        self.0.jobs.start(|progress| super::pins::heal(inner, uri, progress))
    }

    /// The state of the service.
    pub async fn status(&self) -> ContentStatus {
        let blocks = &*self.0.blocks;
        ContentStatus {
            store: blocks.status().await,
            jobs: self.0.jobs.running(),
            pins: self.0.pins.status(blocks).await,
        }
    }
}
