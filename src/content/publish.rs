//! `allium put`.

use std::path::{Path, PathBuf};

use allium_content::Name;
use allium_content::uri::{Edition, Insert};
use anyhow::{Context, bail};
use http_body_util::Either;
use hyper::Method;
use hyper::header::{HeaderName, HeaderValue};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio_tar::{Builder, EntryType, Header};

use super::bar::Bar;
use super::client::{self, Client, Upload};
use super::{Put, walk};

const TO: HeaderName = HeaderName::from_static("allium-to");
/// Bytes of an archive between the one who makes it and the connection.
const BUFFER: usize = 256 * 1024;

/// What is published.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Folder,
    Stdin,
}

/// Publishes; gives the router's answer.
pub(super) async fn run(client: &mut Client, put: Put) -> anyhow::Result<Value> {
    let kind = kind(&put.source)?;
    if kind != Kind::Folder && put.default.is_some() {
        bail!("--default names a file of a folder, and this is none");
    }
    let to = insert(&put, kind)?;
    let (upload, length, default) = match kind {
        Kind::Stdin => (Upload::new(Box::new(tokio::io::stdin()), None), None, None),
        Kind::File => {
            let file = tokio::fs::File::open(&put.source).await.with_context(|| unreadable(&put.source))?;
            let length = file.metadata().await?.len();
            (Upload::new(Box::new(file), Some(length)), Some(length), None)
        }
        Kind::Folder => {
            let files = walk::files(&put.source)?;
            let length = files.iter().map(|file| file.length).sum();
            let index: allium_content::Path = "index.html".parse()?;
            let has_index = files.iter().any(|file| file.path == index);
            let (near, far) = tokio::io::duplex(BUFFER);
            let maker = tokio::spawn(archive(files, near));
            let default = put.default.clone().or_else(|| has_index.then_some(index));
            (Upload::new(Box::new(far), None).made_by(maker), Some(length), default)
        }
    };
    let mut query = Vec::new();
    let switches = [("private", put.private), ("pin", put.pin), ("only_key", put.only_key)];
    query.extend(switches.into_iter().filter(|(_, on)| *on).map(|(name, _)| (name, "1")));
    if let Some(media) = &put.media {
        query.push(("media", media.as_str()));
    }
    if let Some(default) = &default {
        query.push(("default", default.as_str()));
    }
    let path = if kind == Kind::Folder { "/v1/folder" } else { "/v1/file" };
    let why = upload.why();
    let mut request = client::request(Method::PUT, path, &query);
    let mut secret = HeaderValue::from_str(&to.expose()).context("the key to publish with")?;
    secret.set_sensitive(true);
    request.headers_mut().insert(TO, secret);
    *request.body_mut() = Either::Right(upload);
    let bar = Bar::bytes(length);
    let published = async { client::done(client.send(request).await?, &bar).await };
    // If what is published could not be read, that is the reason, and not what the router made of it.
    published.await.map_err(|error| why.get().map_or(error, |why| anyhow::anyhow!("{why}")))
}

fn unreadable(path: &Path) -> String {
    format!("{} can't be read", path.display())
}

fn kind(source: &Path) -> anyhow::Result<Kind> {
    if source == Path::new("-") {
        return Ok(Kind::Stdin);
    }
    let metadata = source.metadata().with_context(|| unreadable(source))?;
    match metadata.file_type() {
        kind if kind.is_dir() => Ok(Kind::Folder),
        kind if kind.is_file() => Ok(Kind::File),
        _ => bail!("{} is neither a file nor a folder; - reads standard input", source.display()),
    }
}

/// Under which key.
fn insert(put: &Put, kind: Kind) -> anyhow::Result<Insert> {
    if let Some(word) = &put.ksk {
        if put.name.is_some() {
            bail!("a KSK has no name but its word: leave out --name");
        }
        return Ok(Insert::Ksk { word: word.clone() });
    }
    let name = match &put.name {
        Some(name) => Some(name.clone()),
        None => file_name(&put.source, kind)?,
    };
    let named = || name.clone().context("an SSK or USK has a name: give it with --name");
    Ok(match (&put.ssk, &put.usk) {
        (Some(file), _) => Insert::Ssk { owner: super::owner(file)?, name: named()? },
        (None, Some(file)) => {
            Insert::Usk { owner: super::owner(file)?, name: named()?, edition: Edition::Newest(0) }
        }
        (None, None) if kind == Kind::Folder => {
            if put.name.is_some() {
                bail!("a folder's CHK has no name: leave out --name, or publish under --ssk or --usk");
            }
            Insert::Chk { path: allium_content::Path::default() }
        }
        (None, None) => Insert::Chk { path: name.map(Into::into).unwrap_or_default() },
    })
}

/// The name that a file or folder has on disk.
fn file_name(source: &Path, kind: Kind) -> anyhow::Result<Option<Name>> {
    if kind == Kind::Stdin {
        return Ok(None);
    }
    let real: PathBuf =
        if source.file_name().is_some() { source.to_owned() } else { source.canonicalize()? };
    let Some(name) = real.file_name() else { return Ok(None) };
    let name = name.to_str().context("the file's name is not UTF-8: give one with --name")?;
    name.parse().map(Some).with_context(|| format!("{name:?} can't stand in a key: give a name with --name"))
}

/// Writes a folder's files as an archive.
async fn archive(files: Vec<walk::Found>, to: DuplexStream) -> anyhow::Result<()> {
    let mut builder = Builder::new(to);
    for found in files {
        let file = tokio::fs::File::open(&found.real).await.with_context(|| unreadable(&found.real))?;
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o644);
        header.set_size(found.length);
        let mut file = file.take(found.length);
        builder.append_data(&mut header, found.path.as_str(), &mut file).await?;
        if file.limit() > 0 {
            bail!("{} became shorter while it was read", found.real.display());
        }
    }
    builder.into_inner().await?.shutdown().await?;
    Ok(())
}
