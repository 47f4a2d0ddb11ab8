//! `GET /v1/get`, `/v1/open`, `/v1/list`.

use std::time::Duration;

use allium_content::MediaType;
use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_RANGE,
    RANGE,
};
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;
use serde_json::json;
use tokio::time::timeout;

use super::answer::{self, Failure, Pipe, Reply};
use super::query::Query;
use super::range::{self, Asked};
use crate::content::{
    Content, Error, File, FileBody, Folder, Listed, ListedBody, OpenOptions, Opened, Reading,
};

/// Nobody has what no block came of for so long. With the command's own work that is within a minute.
const PATIENCE: Duration = Duration::from_secs(50);
/// Lines of a list that are sent together.
const TOGETHER: usize = 256;

const RESOLVED: HeaderName = HeaderName::from_static("x-allium-uri");

/// What a URI leads to.
async fn opened(query: &Query, content: &Content) -> Result<Opened, Failure> {
    let options = OpenOptions {
        max_length: query.maybe("max")?.unwrap_or(u64::MAX),
        default_document: query.switch("default_document")?,
        newest: query.switch("newest")?,
    };
    answer::quiet(content.open(query.uri()?, options), PATIENCE).await
}

/// `GET /v1/open`: what a URI leads to, as JSON.
pub(super) async fn open(query: &Query, content: &Content) -> Result<Reply, Failure> {
    query.only(&["uri", "max", "default_document", "newest"])?;
    Ok(match opened(query, content).await? {
        Opened::File(file) => answer::json(&json!({
            "kind": "file",
            "uri": file.uri.to_string(),
            "length": file.length,
            "media": file.media.as_ref().map(MediaType::as_str),
            "hash": file.hash.map(|hash| blake3::Hash::from_bytes(hash).to_hex().to_string()),
            "etag": etag(&file),
        })),
        Opened::Folder(folder) => answer::json(&json!({
            "kind": "folder",
            "uri": folder.uri.to_string(),
            "chk": allium_content::uri::Uri::from(folder.chk).to_string(),
        })),
    })
}

/// A file's or link's line in a list.
#[derive(Serialize)]
struct Line {
    path: String,
    kind: &'static str,
    uri: String,
    length: Option<u64>,
    media: Option<String>,
    hash: Option<String>,
    etag: Option<String>,
}

impl From<Listed> for Line {
    fn from(listed: Listed) -> Self {
        let path = listed.path.to_string();
        let media = listed.media.as_ref().map(ToString::to_string);
        match listed.file {
            ListedBody::File(file) => Self {
                path,
                kind: "file",
                uri: file.uri.to_string(),
                length: Some(file.length),
                media,
                hash: file.hash.map(|hash| blake3::Hash::from_bytes(hash).to_hex().to_string()),
                etag: Some(etag(&file)),
            },
            ListedBody::Link(uri) => {
                Self { path, kind: "link", uri: uri.to_string(), length: None, media, hash: None, etag: None }
            }
        }
    }
}

/// `GET /v1/list`: the files of a folder, a line of JSON each.
pub(super) async fn list(query: &Query, content: &Content) -> Result<Reply, Failure> {
    query.only(&["uri", "newest"])?;
    let folder: Folder = match opened(query, content).await? {
        Opened::Folder(folder) => folder,
        Opened::File(_) => return Err(Error::WrongKind("this is a file, not a folder".to_owned()).into()),
    };
    let files = answer::quiet(content.list(&folder), PATIENCE).await?;
    Ok(answer::lines(Pipe::new(None, |sender| async move {
        let mut files = files.into_iter().peekable();
        while files.peek().is_some() {
            let mut text = Vec::new();
            for listed in files.by_ref().take(TOGETHER) {
                text.extend_from_slice(&answer::line(&Line::from(listed)));
            }
            if sender.send(Ok(text.into())).await.is_err() {
                return;
            }
        }
    })))
}

/// A mark of a file's bytes: the same for the same bytes, whatever URI led to them.
fn etag(file: &File) -> String {
    let mut hasher = blake3::Hasher::new();
    match &file.body {
        FileBody::Inline(bytes) => hasher.update(bytes),
        FileBody::Range(chk, range) => {
            hasher.update(&chk.routing.0);
            hasher.update(&range.start.to_be_bytes()).update(&range.end.to_be_bytes())
        }
    };
    let hex = hasher.finalize().to_hex();
    format!("\"{}\"", hex.get(..32).unwrap_or_default())
}

/// `GET /v1/get`: a file's bytes, all or a range.
pub(super) async fn get(
    request: &Request<Incoming>,
    query: &Query,
    content: Content,
) -> Result<Reply, Failure> {
    query.only(&["uri", "max", "default_document", "newest"])?;
    let file = match opened(query, &content).await? {
        Opened::File(file) => file,
        Opened::Folder(_) => {
            let said = "this is a folder: ask for one of its files, or for /v1/list".to_owned();
            return Err(Error::WrongKind(said).into());
        }
    };
    let etag = etag(&file);
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let same = header(IF_RANGE).is_none_or(|known| known == etag);
    let asked = range::asked(header(RANGE).filter(|_| same), file.length);
    let (status, range) = match asked {
        Asked::All => (StatusCode::OK, 0..file.length),
        Asked::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        Asked::Unsatisfiable => return Ok(unsatisfiable(file.length)),
    };
    let length = range.end - range.start;
    let whole = format!("bytes {}-{}/{}", range.start, range.end.saturating_sub(1), file.length);
    let body = if request.method() == Method::HEAD || length == 0 {
        Either::Left(Full::new(Bytes::new()))
    } else {
        Either::Right(piped(content.read(&file, range), length).await?)
    };
    let mut reply = Response::new(body);
    *reply.status_mut() = status;
    let media = file.media.as_ref().map_or("application/octet-stream", MediaType::as_str);
    let mut set = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            reply.headers_mut().insert(name, value);
        }
    };
    set(CONTENT_TYPE, media);
    set(CONTENT_LENGTH, &length.to_string());
    set(ACCEPT_RANGES, "bytes");
    set(ETAG, &etag);
    set(RESOLVED, &file.uri.to_string());
    if status == StatusCode::PARTIAL_CONTENT {
        set(CONTENT_RANGE, &whole);
    }
    Ok(reply)
}

fn unsatisfiable(length: u64) -> Reply {
    let mut reply = Failure::request("the range begins behind the end".to_owned()).reply();
    *reply.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
    if let Ok(value) = HeaderValue::from_str(&format!("bytes */{length}")) {
        reply.headers_mut().insert(CONTENT_RANGE, value);
    }
    reply
}

/// The bytes of a reading. The first of them are waited for, so that what is missing at once is told with a status.
async fn piped(mut reading: Reading, length: u64) -> Result<Pipe, Failure> {
    let first = next(&mut reading).await?.ok_or_else(short)?;
    Ok(Pipe::new(Some(length), move |sender| async move {
        let mut left = length.saturating_sub(first.len() as u64);
        let mut piece = Ok(first);
        loop {
            let failed = piece.is_err();
            if sender.send(piece).await.is_err() || failed || left == 0 {
                return;
            }
            piece = match next(&mut reading).await {
                Ok(Some(bytes)) => {
                    left = left.saturating_sub(bytes.len() as u64);
                    Ok(bytes)
                }
                Ok(None) => Err(std::io::Error::other("the content ended too early")),
                Err(failure) => Err(std::io::Error::other(format!("{failure:?}"))),
            };
        }
    }))
}

fn short() -> Failure {
    Error::Invalid("the content ended too early".to_owned()).into()
}

/// The next bytes, unless no block comes for too long.
async fn next(reading: &mut Reading) -> Result<Option<Bytes>, Failure> {
    let mut blocks = reading.progress().borrow().blocks;
    loop {
        if let Ok(bytes) = timeout(PATIENCE, reading.next()).await {
            return Ok(bytes.transpose()?);
        }
        let now = reading.progress().borrow().blocks;
        if now == blocks {
            return Err(Failure::late(PATIENCE.as_secs()));
        }
        blocks = now;
    }
}
