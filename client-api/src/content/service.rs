//! The handle of the service.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use allium_content::block::ContentBlock;
use allium_content::manifest::{MAX_ENTRIES, Manifest};
use allium_content::uri::Uri;
use allium_content::{Chk, Key, Name, OwnerKey, Secrecy, SskKey};
use allium_crypto::Rng;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::documents::{self, Care};
use super::editions::Watches;
use super::jobs::{Job, Jobs};
use super::pins::{Healed, Pins};
use super::recent::Recent;
use super::{
    Blocks, ContentStatus, Error, File, Folder, Listed, OpenOptions, Opened, Pinned, Published, PutOptions,
    Reading, Upload,
};

/// Most entries of all manifests that are remembered; each counts as a hundred more.
const MANIFESTS: usize = MAX_ENTRIES;

/// Most blocks that are remembered, 8 MiB: roots, what leads to other blocks, and those of folders.
const BLOCKS: usize = 256;

/// Publishes and fetches. Cheap to clone.
#[derive(Clone)]
pub struct Content(Arc<Inner>);

pub(super) struct Inner {
    pub(super) blocks: Arc<dyn Blocks>,
    pub(super) watches: Watches,
    pub(super) pins: Pins,
    pub(super) jobs: Jobs,
    rng: Mutex<Rng>,
    manifests: Mutex<Recent<Chk, Arc<Manifest>>>,
    pub(super) recent: Arc<Mutex<Recent<Key, ContentBlock>>>,
}

impl Inner {
    /// Secrecy with a new secret.
    pub(super) fn secret(&self) -> Secrecy {
        Secrecy::private(&mut locked(&self.rng))
    }

    /// A manifest that was read of late.
    pub(super) fn manifest(&self, chk: &Chk) -> Option<Arc<Manifest>> {
        locked(&self.manifests).get(chk)
    }

    /// Remembers a manifest.
    pub(super) fn remember(&self, chk: &Chk, manifest: &Arc<Manifest>) {
        let weight = manifest.entries().len() + 100;
        locked(&self.manifests).put(chk.clone(), weight, Arc::clone(manifest));
    }
}

/// The value, whoever panicked with it.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
            manifests: Mutex::new(Recent::new(MANIFESTS)),
            recent: Arc::new(Mutex::new(Recent::new(BLOCKS))),
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
        OwnerKey::generate(&mut locked(&self.0.rng))
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
        Reading::start(&self.0, file, range)
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
            let newest = documents::newest(&inner.blocks, &key, &name, from, Care::Reader).await?;
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
