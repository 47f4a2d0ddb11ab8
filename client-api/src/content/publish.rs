//! Publishing: content to blocks, and its name.

use std::sync::Arc;

use allium_content::block::Block;
use allium_content::signed::{INLINE, Slot, Target};
use allium_content::tree::WriteOptions;
use allium_content::uri::{Edition, Insert, Uri, edition_name};
use allium_content::{Chk, MediaType, Name, OwnerKey, RootKind, Secrecy};
use bytes::Bytes;
use tokio::sync::watch;

use super::documents::{self, Care, seal};
use super::sending::{Parts, Store, length, peek};
use super::service::Inner;
use super::{Error, Progress, Published, PutOptions, Source, Upload};

/// How often another edition is tried if others publish at the same time.
const RACES: usize = 5;

/// What is to be published under a name.
struct Body {
    target: Target,
    chk: Option<Chk>,
    length: u64,
}

/// Publishes.
pub(super) async fn put(
    inner: Arc<Inner>,
    upload: Upload,
    options: PutOptions,
    progress: watch::Sender<Progress>,
) -> Result<Published, Error> {
    let pin = options.pin && !options.only_key;
    let mut store = Store::new(Arc::clone(&inner.blocks), options.only_key, pin, progress);
    let secrecy = if options.private { inner.secret() } else { Secrecy::Convergent };
    let body = match upload {
        Upload::File(source) => file(&mut store, source, &options, secrecy).await?,
        Upload::Folder { entries, default } => {
            let (chk, length) = super::folder::put(&mut store, entries, default, secrecy).await?;
            Body { target: Target::Redirect(chk.clone()), chk: Some(chk), length }
        }
        Upload::Redirect(uri) => redirect(uri, &options)?,
    };
    store.finalize();
    store.settle().await?;
    let uri = name(&inner, &mut store, &body, &options).await?;
    store.settle().await?;
    if let Some(keys) = store.keys.take() {
        inner.pins.keep(&inner.blocks, &uri, keys).await?;
    }
    Ok(Published { uri, chk: body.chk, length: body.length, blocks: store.count })
}

/// The content type to be stated: none where the name tells it.
fn stated(options: &PutOptions) -> Option<MediaType> {
    let name = match &options.to {
        Insert::Chk { path } => path.name().unwrap_or_default(),
        Insert::Ssk { name, .. } | Insert::Usk { name, .. } => name.as_str(),
        Insert::Ksk { word } => word.as_str(),
    };
    options.media.clone().filter(|media| MediaType::guess(name).as_ref() != Some(media))
}

async fn file(
    store: &mut Store,
    source: Source,
    options: &PutOptions,
    secrecy: Secrecy,
) -> Result<Body, Error> {
    let media = stated(options);
    let source = if matches!(options.to, Insert::Chk { .. }) {
        source
    } else {
        match peek(source, INLINE).await? {
            Ok(data) if Target::fits(media.as_ref(), data.len()) => {
                let length = data.len() as u64;
                store.expect(0, length);
                return Ok(Body { target: Target::Inline { media, data }, chk: None, length });
            }
            Ok(data) => Source::Bytes(data),
            Err(source) => source,
        }
    };
    let expected = length(&source).await?;
    let options = WriteOptions { kind: RootKind::Data, media, secrecy, ..WriteOptions::default() };
    let (chk, length) = store.tree(options, Parts::new(Bytes::new(), vec![(source, expected)])).await?;
    Ok(Body { target: Target::Redirect(chk.clone()), chk: Some(chk), length })
}

fn redirect(uri: Uri, options: &PutOptions) -> Result<Body, Error> {
    if matches!(options.to, Insert::Chk { .. }) {
        return Err(Error::Unpublishable(
            "a redirect needs a name: publish it under an SSK, a USK or a KSK".to_owned(),
        ));
    }
    Ok(match uri {
        Uri::Chk { chk, path } if path.is_empty() => {
            Body { target: Target::Redirect(chk.clone()), chk: Some(chk), length: 0 }
        }
        uri => Body { target: Target::Link(uri), chk: None, length: 0 },
    })
}

/// Gives the content its name; the URI to read it with.
async fn name(inner: &Inner, store: &mut Store, body: &Body, options: &PutOptions) -> Result<Uri, Error> {
    let owned;
    let (owner, name) = match &options.to {
        Insert::Chk { path } => {
            let chk = body.chk.clone().ok_or(Error::Stopped)?;
            return Ok(Uri::Chk { chk, path: path.clone() });
        }
        Insert::Ssk { owner, name } => (owner, name),
        Insert::Ksk { word } => {
            owned = OwnerKey::from_word(word.as_str());
            (&owned, word)
        }
        Insert::Usk { owner, name, edition } => {
            return update(inner, store, body, options, (owner, name, *edition)).await;
        }
    };
    document(inner, store, owner, name, body, options.only_key).await?;
    options.to.public().ok_or(Error::Stopped)
}

/// Stores a document that stays as it is; the same one again is no collision.
async fn document(
    inner: &Inner,
    store: &mut Store,
    owner: &OwnerKey,
    name: &Name,
    body: &Body,
    only_key: bool,
) -> Result<(), Error> {
    let slot = Slot::Document(name.as_str());
    let block = seal(owner, slot, 0, &body.target)?;
    if !only_key {
        // Whatever is there and not the same collides, even if its owner filled it with nothing valid.
        match documents::document(&*inner.blocks, &owner.reader(), slot, true).await {
            Ok(Some(found)) if found.target == body.target => {}
            Ok(Some(_)) | Err(Error::Invalid(_)) => return Err(Error::Collision),
            Ok(None) => {}
            Err(error) => return Err(error),
        }
    }
    store.put(Block::Signed(block)).await?;
    store.settle().await
}

/// Publishes an edition: that which is given, or the one after the newest.
async fn update(
    inner: &Inner,
    store: &mut Store,
    body: &Body,
    options: &PutOptions,
    (owner, name, edition): (&OwnerKey, &Name, Edition),
) -> Result<Uri, Error> {
    let reader = owner.reader();
    let mut number = match edition {
        Edition::Known(number) => number,
        Edition::Newest(from) => next(inner, owner, name, from).await?,
    };
    let mut race = 0;
    loop {
        race += 1;
        let own = edition_name(name, number).map_err(|error| Error::Unpublishable(error.to_string()))?;
        match document(inner, store, owner, &own, body, options.only_key).await {
            Err(Error::Collision) if matches!(edition, Edition::Newest(_)) && race < RACES => {
                number = next(inner, owner, name, number).await?;
            }
            other => break other?,
        }
    }
    if !options.only_key {
        let hint = seal(owner, Slot::Newest(name.as_str()), number, &body.target)?;
        if let Some(keys) = &mut store.keys {
            keys.push(hint.key());
        }
        // It spares readers the search, no more; and where a newer one is, this one is not wanted.
        if let Err(why) = super::sending::put(&*inner.blocks, Block::Signed(hint)).await {
            tracing::debug!("the hint to edition {number} was not stored: {why}");
        }
        inner.watches.tell(&reader, name, number);
    }
    Ok(Uri::Usk {
        key: reader,
        name: name.clone(),
        edition: Edition::Known(number),
        path: allium_content::Path::default(),
    })
}

/// The edition after the newest one.
async fn next(inner: &Inner, owner: &OwnerKey, name: &Name, from: u64) -> Result<u64, Error> {
    let newest = documents::newest(&inner.blocks, &owner.reader(), name, from, Care::Publisher).await?;
    match newest.map(|newest| newest.edition) {
        None => Ok(from),
        Some(newest) if newest < Edition::MAX => Ok(newest + 1),
        Some(_) => Err(Error::Unpublishable("there is no edition after the last one".to_owned())),
    }
}
