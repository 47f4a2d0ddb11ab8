//! What a URI leads to.

use std::sync::Arc;

use allium_content::manifest::{Entry, Found, MAX_DEPTH, Manifest, Place};
use allium_content::signed::{Slot, Target};
use allium_content::uri::{Edition, Uri};
use allium_content::{Chk, Key, MediaType, Name, Path, RootKind, SskKey};
use tokio::sync::watch;

use super::documents::{self, Care, Document};
use super::fetch::Fetch;
use super::service::Inner;
use super::{Error, File, FileBody, Folder, OpenOptions, Opened, Progress};

/// Most documents, links and folders that are followed one after the other.
const STEPS: usize = 24;

/// What was found, and the signed blocks on the way.
pub(super) struct Resolved {
    pub(super) opened: Opened,
    pub(super) documents: Vec<Key>,
}

/// Where the search is.
struct At {
    uri: Uri,
    /// What is to be sought in what the URI leads to, behind its own path.
    rest: Path,
    /// What the file is called, for its content type.
    name: String,
    /// The content type that a folder states for it.
    media: Option<MediaType>,
    /// Folders nested in each other so far.
    depth: usize,
}

/// Opens, step by step.
struct Opening<'a> {
    inner: &'a Inner,
    options: OpenOptions,
    progress: watch::Sender<Progress>,
    /// The URI with its edition resolved.
    shown: Uri,
    documents: Vec<Key>,
}

/// The end of the search, or the next place to look at.
enum Step {
    End(Opened),
    Next(At),
}

/// Follows a URI to its end.
pub(super) async fn open(
    inner: Arc<Inner>,
    uri: Uri,
    options: OpenOptions,
    progress: watch::Sender<Progress>,
) -> Result<Resolved, Error> {
    let mut opening = Opening { inner: &inner, options, progress, shown: uri.clone(), documents: Vec::new() };
    let mut at = At { uri, rest: Path::default(), name: String::new(), media: None, depth: 0 };
    let mut seen = Vec::new();
    for step in 0..STEPS {
        let place = (at.uri.clone(), at.rest.clone());
        if seen.contains(&place) {
            return Err(Error::Invalid("it leads to itself".to_owned()));
        }
        seen.push(place);
        match opening.step(at, step == 0).await? {
            Step::End(opened) => return Ok(Resolved { opened, documents: opening.documents }),
            Step::Next(next) => at = next,
        }
    }
    Err(Error::Invalid("it leads on and on".to_owned()))
}

fn joined(front: &Path, back: &Path) -> Result<Path, Error> {
    front.join(back).map_err(|error| allium_content::uri::Error::from(error).into())
}

impl Opening<'_> {
    async fn step(&mut self, at: At, first: bool) -> Result<Step, Error> {
        match &at.uri {
            Uri::Chk { chk, path } => match chk.root {
                RootKind::Data => self.file(chk.clone(), path, &at).await,
                RootKind::Manifest => {
                    let sought = joined(path, &at.rest)?;
                    self.folder(chk.clone(), sought, &at).await
                }
            },
            Uri::Usk { key, name, edition, .. } => {
                let (number, document) = self.edition(key, name, *edition).await?;
                if first && let Uri::Usk { edition, .. } = &mut self.shown {
                    *edition = Edition::Known(number);
                }
                let name = name.to_string();
                self.target(document, name, at)
            }
            uri => {
                let (key, name) =
                    uri.document().map_err(allium_content::uri::Error::from)?.ok_or(Error::Stopped)?;
                let slot = Slot::Document(name.as_str());
                let found = documents::document(&*self.inner.blocks, &key, slot, true).await?;
                let document = found.ok_or_else(|| Error::NotFound("the document".to_owned()))?;
                self.target(document, name.to_string(), at)
            }
        }
    }

    async fn edition(
        &mut self,
        key: &SskKey,
        name: &Name,
        edition: Edition,
    ) -> Result<(u64, Document), Error> {
        let number = edition.number();
        if self.options.newest || matches!(edition, Edition::Newest(_)) {
            let newest = documents::newest(&self.inner.blocks, key, name, number, Care::Reader).await?;
            let newest =
                newest.ok_or_else(|| Error::NotFound(format!("edition {number}, or a later one")))?;
            return Ok((newest.edition, newest.document));
        }
        let found = documents::edition(&*self.inner.blocks, key, name, number).await?;
        Ok((number, found.ok_or_else(|| Error::NotFound(format!("edition {number}")))?))
    }

    /// Goes where a document says.
    fn target(&mut self, document: Document, name: String, at: At) -> Result<Step, Error> {
        self.documents.push(document.key);
        let rest = joined(at.uri.path(), &at.rest)?;
        let uri = match document.target {
            Target::Inline { media, data } => {
                if !rest.is_empty() {
                    return Err(Error::NoSuchPath(rest.to_string()));
                }
                let length = data.len() as u64;
                self.allowed(length)?;
                let media = at.media.or(media).or_else(|| MediaType::guess(&name));
                let hash = Some(*blake3::hash(&data).as_bytes());
                let uri = self.shown.clone();
                let file = File { uri, body: FileBody::Inline(data), length, media, hash };
                return Ok(Step::End(Opened::File(file)));
            }
            Target::Redirect(chk) => Uri::from(chk),
            Target::Link(uri) => uri,
        };
        Ok(Step::Next(At { uri, rest, name, ..at }))
    }

    fn allowed(&self, length: u64) -> Result<(), Error> {
        let limit = self.options.max_length;
        if length > limit { Err(Error::TooLarge { length, limit }) } else { Ok(()) }
    }

    async fn file(&self, chk: Chk, path: &Path, at: &At) -> Result<Step, Error> {
        if !at.rest.is_empty() {
            return Err(Error::NoSuchPath(at.rest.to_string()));
        }
        let mut fetch = Fetch::new(self.inner, chk.clone(), false, self.progress.clone());
        fetch.select(0..0);
        let root = fetch.root().await?;
        self.allowed(root.length)?;
        let named = || MediaType::guess(path.name().unwrap_or(&at.name));
        Ok(Step::End(Opened::File(File {
            uri: self.shown.clone(),
            length: root.length,
            media: at.media.clone().or_else(|| root.media.clone()).or_else(named),
            hash: Some(root.hash),
            body: FileBody::Range(chk, 0..root.length),
        })))
    }

    async fn folder(&self, chk: Chk, sought: Path, at: &At) -> Result<Step, Error> {
        if at.depth > MAX_DEPTH {
            return Err(Error::Invalid(allium_content::manifest::Error::Depth.to_string()));
        }
        let manifest = super::folder::load(self.inner, &chk, &self.progress).await?;
        let (path, entry) = match manifest.find(&sought) {
            Found::Nested { chk, rest } => {
                let uri = Uri::from(chk.clone());
                let depth = at.depth + 1;
                return Ok(Step::Next(At { uri, rest, name: String::new(), media: None, depth }));
            }
            Found::File { path, entry } if *path == sought || self.options.default_document => (path, entry),
            Found::File { .. } | Found::Folder => {
                let (uri, manifest) = (self.shown.clone(), Arc::clone(&manifest));
                return Ok(Step::End(Opened::Folder(Folder { uri, chk, manifest, at: sought })));
            }
            Found::Nothing => return beyond(&manifest, &sought, at.depth),
        };
        if let Place::Link(uri) = &entry.place {
            return Ok(Step::Next(link(path, entry, uri, Path::default(), at.depth)));
        }
        self.allowed(entry.length)?;
        let body = match &entry.place {
            Place::Packed(from) => FileBody::Range(chk, *from..*from + entry.length),
            Place::File(own) | Place::Folder(own) => FileBody::Range(own.clone(), 0..entry.length),
            Place::Link(_) => return Err(Error::Stopped),
        };
        let (uri, media) = (self.shown.clone(), entry.media(path));
        Ok(Step::End(Opened::File(File { uri, body, length: entry.length, media, hash: None })))
    }
}

/// What is behind a link in a folder, if the path leads through one.
fn beyond(manifest: &Manifest, sought: &Path, depth: usize) -> Result<Step, Error> {
    let mut above = sought.parent();
    while let Some(path) = above {
        if let Some(entry) = manifest.get(&path)
            && let Place::Link(uri) = &entry.place
        {
            let rest = sought.strip(&path).unwrap_or_default();
            return Ok(Step::Next(link(&path, entry, uri, rest, depth)));
        }
        above = path.parent();
    }
    Err(Error::NoSuchPath(sought.to_string()))
}

fn link(path: &Path, entry: &Entry, to: &Uri, rest: Path, depth: usize) -> At {
    // Behind a link the folder's word on the type is of the link's own target only.
    let media = entry.media.clone().filter(|_| rest.is_empty());
    At { uri: to.clone(), rest, name: path.to_string(), media, depth }
}
