//! What is kept here whatever the quota says; and everything that a URI leads to, fetched and mended.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use allium_content::manifest::Place;
use allium_content::uri::Uri;
use allium_content::{Chk, Key, RootKind};
use allium_router::store::write_atomic;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::fetch::Fetch;
use super::service::Inner;
use super::{Blocks, Error, FileBody, OpenOptions, Opened, Pinned, Progress};

/// Keys handed to the store at a time.
const BATCH: usize = 1024;

/// A block of which so few nodes say that they have it is stored again.
const FEW: usize = 1;

/// What a heal found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Healed {
    /// Blocks that belong to the content.
    pub blocks: u64,
    /// Of those, nobody had so many.
    pub missing: u64,
    /// So many were rebuilt and stored again.
    pub restored: u64,
}

/// The file in which pins are remembered.
#[derive(Default, Serialize, Deserialize)]
struct Saved {
    version: u32,
    /// By URI, the names of the blocks in hexadecimal, one after the other.
    pins: BTreeMap<String, String>,
}

const VERSION: u32 = 1;

/// Everything pinned: by URI, the names of the blocks.
pub(super) struct Pins {
    state: Option<PathBuf>,
    kept: Mutex<BTreeMap<String, Arc<[Key]>>>,
    /// Held while the file is written, so that an older state never replaces a newer one.
    saving: tokio::sync::Mutex<()>,
}

impl Pins {
    /// What the file says. One that can't be read is set aside and told of.
    pub(super) fn load(state: Option<PathBuf>) -> Self {
        let saved = state.as_ref().and_then(|path| match std::fs::read(path) {
            Ok(bytes) => decode(&bytes).or_else(|| {
                let aside = path.with_extension("damaged");
                tracing::warn!("{} is damaged: it is set aside as {}", path.display(), aside.display());
                let _ = std::fs::rename(path, aside);
                None
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!("{} can't be read: {error}", path.display());
                None
            }
        });
        Self { state, kept: Mutex::new(saved.unwrap_or_default()), saving: tokio::sync::Mutex::default() }
    }

    fn all(&self) -> BTreeMap<String, Arc<[Key]>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells the store again, which may not remember.
    pub(super) async fn assert(&self, blocks: &dyn Blocks) {
        for keys in self.all().into_values() {
            pin(blocks, &keys).await;
        }
    }

    /// Pins these blocks for a URI.
    pub(super) async fn keep(
        &self,
        blocks: &Arc<dyn Blocks>,
        uri: &Uri,
        mut keys: Vec<Key>,
    ) -> Result<Pinned, Error> {
        keys.sort_unstable();
        keys.dedup();
        let keys: Arc<[Key]> = keys.into();
        let before = {
            let mut pins = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            pins.insert(uri.to_string(), Arc::clone(&keys))
        };
        pin(&**blocks, &keys).await;
        self.save().await?;
        if let Some(before) = before {
            self.release(&**blocks, &before).await;
        }
        Ok(count(&**blocks, uri.to_string(), &keys).await)
    }

    /// Forgets a pin. Whether there was one.
    pub(super) async fn forget(&self, blocks: &dyn Blocks, uri: &Uri) -> Result<bool, Error> {
        let keys = self.kept.lock().unwrap_or_else(PoisonError::into_inner).remove(&uri.to_string());
        let Some(keys) = keys else { return Ok(false) };
        self.save().await?;
        self.release(blocks, &keys).await;
        Ok(true)
    }

    /// Unpins what no other pin holds.
    async fn release(&self, blocks: &dyn Blocks, keys: &[Key]) {
        let others = self.all();
        let held: BTreeSet<&Key> = others.values().flat_map(|keys| keys.iter()).collect();
        let free: Vec<_> = keys.iter().filter(|key| !held.contains(key)).copied().collect();
        for batch in free.chunks(BATCH) {
            blocks.unpin(batch.to_vec()).await;
        }
    }

    /// Writes the file.
    async fn save(&self) -> Result<(), Error> {
        let Some(path) = self.state.clone() else { return Ok(()) };
        let _saving = self.saving.lock().await;
        let pins = self.all();
        let written = tokio::task::spawn_blocking(move || {
            let bytes = serde_json::to_vec(&encode(&pins)).map_err(std::io::Error::other)?;
            write_atomic(&path, &bytes, true).map_err(std::io::Error::other)
        });
        written.await.map_err(|_| Error::Stopped)??;
        Ok(())
    }

    /// All pins, and how much of each is here.
    pub(super) async fn status(&self, blocks: &dyn Blocks) -> Vec<Pinned> {
        let mut pins = Vec::new();
        for (uri, keys) in self.all() {
            pins.push(count(blocks, uri, &keys).await);
        }
        pins
    }
}

async fn pin(blocks: &dyn Blocks, keys: &[Key]) {
    for batch in keys.chunks(BATCH) {
        blocks.pin(batch.to_vec()).await;
    }
}

async fn count(blocks: &dyn Blocks, uri: String, keys: &[Key]) -> Pinned {
    let mut here = 0;
    for batch in keys.chunks(BATCH) {
        here += blocks.here(batch.to_vec()).await.into_iter().filter(|here| *here).count() as u64;
    }
    Pinned { uri, blocks: keys.len() as u64, here }
}

fn encode(pins: &BTreeMap<String, Arc<[Key]>>) -> Saved {
    let text = |keys: &Arc<[Key]>| {
        let mut text = String::with_capacity(keys.len() * 64);
        keys.iter().for_each(|key| text.push_str(&blake3::Hash::from_bytes(key.0).to_hex()));
        text
    };
    Saved { version: VERSION, pins: pins.iter().map(|(uri, keys)| (uri.clone(), text(keys))).collect() }
}

fn decode(bytes: &[u8]) -> Option<BTreeMap<String, Arc<[Key]>>> {
    let saved: Saved = serde_json::from_slice(bytes).ok().filter(|saved: &Saved| saved.version == VERSION)?;
    let mut pins = BTreeMap::new();
    for (uri, text) in saved.pins {
        let (keys, rest) = text.as_bytes().as_chunks::<64>();
        let keys: Option<Vec<_>> =
            keys.iter().map(|hex| Some(Key(*blake3::Hash::from_hex(hex).ok()?.as_bytes()))).collect();
        pins.insert(uri, keys.filter(|_| rest.is_empty())?.into());
    }
    Some(pins)
}

/// Everything that a URI leads to, fetched; what is missing is stored again.
struct Whole {
    keys: Vec<Key>,
    healed: Healed,
}

/// Fetches all trees that a URI leads to, and their check blocks.
async fn whole(inner: &Arc<Inner>, uri: Uri, progress: watch::Sender<Progress>) -> Result<Whole, Error> {
    let resolved =
        super::open::open(Arc::clone(inner), uri, OpenOptions::default(), progress.clone()).await?;
    let mut whole = Whole { keys: Vec::new(), healed: Healed::default() };
    for key in resolved.documents {
        whole.block(inner, key).await?;
    }
    let mut trees = BTreeSet::new();
    match resolved.opened {
        Opened::File(file) => {
            if let FileBody::Range(chk, _) = file.body {
                trees.insert(chk);
            }
        }
        Opened::Folder(folder) => {
            trees.extend(all_of(inner, folder.chk.clone(), &progress).await?);
        }
    }
    for chk in trees {
        whole.tree(inner, chk, &progress).await?;
    }
    Ok(whole)
}

/// The trees of a folder and of all folders in it.
async fn all_of(inner: &Inner, chk: Chk, progress: &watch::Sender<Progress>) -> Result<BTreeSet<Chk>, Error> {
    let invalid = |error: allium_content::manifest::Error| Error::Invalid(error.to_string());
    let mut walk = allium_content::manifest::Walk::new(chk).map_err(invalid)?;
    let mut trees = BTreeSet::new();
    while let Some(chk) = walk.want().cloned() {
        let manifest = super::folder::load(inner, &chk, progress).await?;
        walk.supply(&manifest).map_err(invalid)?;
        trees.insert(chk);
        while let Some(file) = walk.file() {
            if let Place::File(chk) = file.entry.place {
                trees.insert(chk);
            }
        }
    }
    Ok(trees)
}

impl Whole {
    /// A single block, of which there are no parts to rebuild it from: stored again if few nodes have it.
    async fn block(&mut self, inner: &Inner, key: Key) -> Result<(), Error> {
        self.keys.push(key);
        self.healed.blocks += 1;
        let holders = inner.blocks.count(key).await.unwrap_or(0);
        if holders <= FEW
            && let Ok(block) = super::fetch::get(&*inner.blocks, key, true).await
            && super::sending::put(&*inner.blocks, block).await.is_ok()
        {
            self.healed.restored += 1;
        }
        Ok(())
    }

    async fn tree(
        &mut self,
        inner: &Inner,
        chk: Chk,
        progress: &watch::Sender<Progress>,
    ) -> Result<(), Error> {
        let (routing, kind) = (chk.routing, chk.root);
        let mut fetch = Fetch::new(Arc::clone(&inner.blocks), chk, true, progress.clone());
        fetch.keys = Some(Vec::new());
        let root = fetch.root().await?;
        debug_assert!(root.kind == kind || kind == RootKind::Data);
        while fetch.next().await?.is_some() {}
        fetch.healed().await;
        self.healed.missing += fetch.missing;
        self.healed.restored += fetch.restored;
        for key in fetch.keys.take().unwrap_or_default() {
            if key == routing {
                self.block(inner, key).await?;
            } else {
                self.keys.push(key);
                self.healed.blocks += 1;
            }
        }
        Ok(())
    }
}

/// Pins all that a URI leads to.
pub(super) async fn keep(
    inner: Arc<Inner>,
    uri: Uri,
    progress: watch::Sender<Progress>,
) -> Result<Pinned, Error> {
    let whole = whole(&inner, uri.clone(), progress).await?;
    inner.pins.keep(&inner.blocks, &uri, whole.keys).await
}

/// Mends all that a URI leads to.
pub(super) async fn heal(
    inner: Arc<Inner>,
    uri: Uri,
    progress: watch::Sender<Progress>,
) -> Result<Healed, Error> {
    Ok(whole(&inner, uri, progress).await?.healed)
}
