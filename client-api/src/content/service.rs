//! The handle of the service.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use allium_content::uri::Uri;
use allium_content::{Name, SskKey};
use allium_crypto::Rng;
use bytes::Bytes;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    Blocks, ContentStatus, Error, File, Folder, Job, Listed, OpenOptions, Opened, Pinned, Published,
    PutOptions, Upload,
};

/// Publishes and fetches. Cheap to clone.
#[derive(Clone)]
pub struct Content(Arc<Inner>);

struct Inner {
    blocks: Arc<dyn Blocks>,
}

impl Content {
    /// The service over a store. `state` is the file in which pins are remembered (none are where absent).
    pub fn start(blocks: Arc<dyn Blocks>, state: Option<PathBuf>, rng: Rng, stop: CancellationToken) -> Self {
        let _ = (state, rng, stop);
        Self(Arc::new(Inner { blocks }))
    }

    /// A new owner's key, for SSKs and USKs.
    pub fn new_owner(&self) -> allium_content::OwnerKey {
        todo!()
    }

    /// Publishes. The job ends when two nodes hold each block.
    pub fn put(&self, upload: Upload, options: PutOptions) -> Job<Published> {
        let _ = (upload, options);
        todo!()
    }

    /// Finds out what a URI leads to: follows SSKs, USKs, KSKs, redirects, links and paths.
    pub fn open(&self, uri: Uri, options: OpenOptions) -> Job<Opened> {
        let _ = (uri, options);
        todo!()
    }

    /// Reads a range of a file, in order.
    pub fn read(&self, file: &File, range: Range<u64>) -> Reading {
        let _ = (file, range);
        todo!()
    }

    /// All files of a folder (below its `at`), folders in folders included, in the order of their paths.
    pub fn list(&self, folder: &Folder) -> Job<Vec<Listed>> {
        let _ = folder;
        todo!()
    }

    /// The newest edition of what an owner updates, from `from` on; `None` if there is none.
    pub fn newest(&self, key: SskKey, name: Name, from: u64) -> Job<Option<u64>> {
        let _ = (key, name, from);
        todo!()
    }

    /// Tells of new editions for as long as the receiver is held; at first the newest known one (or `None`).
    pub fn watch_editions(&self, key: SskKey, name: Name, from: u64) -> watch::Receiver<Option<u64>> {
        let _ = (key, name, from);
        todo!()
    }

    /// Keeps what a URI leads to, all of it, on this node whatever the quota says; fetches what is missing.
    pub fn pin(&self, uri: Uri) -> Job<Pinned> {
        let _ = uri;
        todo!()
    }

    /// Keeps it like anything else from now on. Whether it was pinned.
    pub async fn unpin(&self, uri: &Uri) -> Result<bool, Error> {
        let _ = uri;
        todo!()
    }

    /// Fetches everything that a URI leads to, check blocks too, and stores again what is missing.
    pub fn heal(&self, uri: Uri) -> Job<Healed> {
        let _ = uri;
        todo!()
    }

    /// The state of the service.
    pub async fn status(&self) -> ContentStatus {
        ContentStatus { store: self.0.blocks.status().await, ..ContentStatus::default() }
    }
}

/// What a heal found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Healed {
    /// Blocks that belong to the content.
    pub blocks: u64,
    /// Of those, nobody had so many.
    pub missing: u64,
    /// So many were rebuilt and stored again.
    pub restored: u64,
}

/// A file being read. Dropping it ends the reading.
pub struct Reading {}

impl Reading {
    /// The next bytes, in order; `None` at the end. May be cancelled.
    pub async fn next(&mut self) -> Option<Result<Bytes, Error>> {
        todo!()
    }

    /// How far it is.
    pub fn progress(&self) -> watch::Receiver<super::Progress> {
        todo!()
    }
}
