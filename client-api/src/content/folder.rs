//! Folders: published, and listed.

use std::collections::BTreeMap;
use std::sync::Arc;

use allium_content::manifest::{Builder, Loading, Manifest, Place, Walk};
use allium_content::tree::WriteOptions;
use allium_content::{Chk, MediaType, Path, RootKind, Secrecy, block};
use bytes::Bytes;
use tokio::sync::watch;

use super::fetch::Fetch;
use super::sending::{Parts, Store, peek};
use super::service::Inner;
use super::{Blocks, Error, File, FileBody, Folder, Listed, ListedBody, Part, Progress, Source};

/// Longer files have keys of their own.
const PACKED: usize = 32 << 10;

/// As many bytes are packed into one folder; what comes then has keys of its own, however short.
const ALL_PACKED: u64 = 64 << 20;

/// What stands at a path.
type Entry = (Path, Option<MediaType>, Part);

/// Publishes a folder; gives its key and the length of its files.
pub(super) async fn put(
    store: &mut Store,
    entries: Vec<Entry>,
    default: Option<Path>,
    secrecy: Secrecy,
) -> Result<(Chk, u64), Error> {
    check(&entries, default.as_ref())?;
    let mut builder = Builder::new();
    let mut packed = BTreeMap::new();
    let mut all_packed = 0;
    let mut nested = 0;
    for (path, media, part) in entries {
        let media = media.filter(|media| MediaType::guess(path.as_str()).as_ref() != Some(media));
        let named = |error: Error| named(&path, error);
        let added = match part {
            Part::Link(uri) => builder.link(path.clone(), media, uri),
            Part::Stored { chk, length } => builder.place(path.clone(), media, length, chk),
            Part::Data(source) => match peek(source, PACKED).await.map_err(named)? {
                Ok(data) if all_packed + data.len() as u64 <= ALL_PACKED => {
                    let length = data.len() as u64;
                    all_packed += length;
                    packed.insert(path.clone(), data);
                    builder.pack(path.clone(), media, length)
                }
                other => {
                    let source = other.map_or_else(|source| source, Source::Bytes);
                    let expected = super::sending::length(&source).await.map_err(named)?;
                    let options = WriteOptions { secrecy: secrecy.clone(), ..WriteOptions::default() };
                    let parts = Parts::new(Bytes::new(), vec![(source, expected)]);
                    let (chk, length) = store.tree(options, parts).await.map_err(named)?;
                    nested += length;
                    builder.place(path.clone(), media, length, chk)
                }
            },
        };
        added.map_err(|error| Error::Unpublishable(format!("{path}: {error}")))?;
    }
    if let Some(default) = default {
        builder.default_document(default);
    }
    let manifest = builder.finish().map_err(|error| Error::Unpublishable(error.to_string()))?;
    let parts = manifest.packed().filter_map(|(path, _)| packed.remove(path));
    let parts = parts.map(|data| {
        let length = data.len() as u64;
        (Source::Bytes(data), Some(length))
    });
    let parts = Parts::new(manifest.encode().into(), parts.collect());
    let options = WriteOptions { kind: RootKind::Manifest, secrecy, ..WriteOptions::default() };
    let (chk, _) = store.tree(options, parts).await?;
    Ok((chk, all_packed + nested))
}

/// The error, with the path that it is about.
fn named(path: &Path, error: Error) -> Error {
    match error {
        Error::Io(error) => Error::Io(std::io::Error::new(error.kind(), format!("{path}: {error}"))),
        Error::Unpublishable(why) => Error::Unpublishable(format!("{path}: {why}")),
        other => other,
    }
}

/// Refuses, before anything is stored, what can't be a folder.
fn check(entries: &[Entry], default: Option<&Path>) -> Result<(), Error> {
    let refused = |path: &Path, why: &str| Err(Error::Unpublishable(format!("{path}: {why}")));
    let mut paths: Vec<_> = entries.iter().map(|(path, ..)| path).collect();
    paths.sort_unstable();
    for (path, next) in paths.iter().zip(paths.iter().skip(1)) {
        if path == next {
            return refused(path, "the path stands in the folder twice");
        }
        if next.is_inside(path) {
            return refused(path, "the name is both a file and a folder");
        }
    }
    if paths.first().is_some_and(|path| path.is_empty()) {
        return Err(Error::Unpublishable("a file of the folder has no path".to_owned()));
    }
    match default {
        Some(default) if paths.binary_search(&default).is_err() => {
            refused(default, "the default document is not in the folder")
        }
        _ => Ok(()),
    }
}

/// Reads a folder's manifest, or takes it from those that were read of late.
pub(super) async fn load(
    inner: &Inner,
    chk: &Chk,
    progress: &watch::Sender<Progress>,
) -> Result<Arc<Manifest>, Error> {
    if let Some(manifest) = inner.manifest(chk) {
        return Ok(manifest);
    }
    let manifest = Arc::new(read(Arc::clone(&inner.blocks), chk, progress).await?);
    inner.remember(chk, &manifest);
    Ok(manifest)
}

async fn read(
    blocks: Arc<dyn Blocks>,
    chk: &Chk,
    progress: &watch::Sender<Progress>,
) -> Result<Manifest, Error> {
    let invalid = |error: allium_content::manifest::Error| Error::Invalid(error.to_string());
    let mut fetch = Fetch::new(blocks, chk.clone(), false, progress.clone());
    // The first block says how many of the next ones are needed.
    let mut until = block::SIZE as u64;
    fetch.select(0..until);
    let mut loading = Loading::new(fetch.root().await?.length);
    loop {
        while let Some(bytes) = fetch.next().await? {
            if let Some(manifest) = loading.take(&bytes).map_err(invalid)? {
                return Ok(manifest);
            }
        }
        let needs = loading.needs().map_err(invalid)?;
        if needs <= until {
            return Err(Error::Invalid("the folder's index ends too early".to_owned()));
        }
        fetch.select(until..needs);
        until = needs;
    }
}

/// All files below a place in a folder.
pub(super) async fn list(
    inner: Arc<Inner>,
    folder: Folder,
    progress: watch::Sender<Progress>,
) -> Result<Vec<Listed>, Error> {
    let invalid = |error: allium_content::manifest::Error| Error::Invalid(error.to_string());
    let mut walk = Walk::new(folder.chk.clone()).map_err(invalid)?;
    let mut manifests = BTreeMap::new();
    let mut files = Vec::new();
    let mut first = Some(Arc::clone(&folder.manifest));
    while let Some(chk) = walk.want().cloned() {
        let manifest = match first.take() {
            Some(manifest) => manifest,
            None => load(&inner, &chk, &progress).await?,
        };
        walk.supply(&manifest).map_err(invalid)?;
        manifests.insert(chk, manifest.content_length());
        while let Some(file) = walk.file() {
            let below =
                if folder.at.is_empty() { Some(file.path.clone()) } else { file.path.strip(&folder.at) };
            if let Some(path) = below.filter(|path| !path.is_empty()) {
                files.push((path, file));
            }
        }
    }
    files.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut listed = Vec::with_capacity(files.len());
    for (path, file) in files {
        let media = file.entry.media(&path);
        let whole = folder.uri.path().join(&path);
        let uri = whole.map_or_else(|_| folder.uri.clone(), |whole| folder.uri.clone().with_path(whole));
        let body = match file.entry.place {
            Place::Link(uri) => {
                listed.push(Listed { path, file: ListedBody::Link(uri), media });
                continue;
            }
            Place::Packed(at) => FileBody::Range(file.manifest, at..at + file.entry.length),
            Place::File(chk) | Place::Folder(chk) => FileBody::Range(chk, 0..file.entry.length),
        };
        let found = File { uri, body, length: file.entry.length, media: media.clone(), hash: None };
        listed.push(Listed { path, file: ListedBody::File(found), media });
    }
    Ok(listed)
}
