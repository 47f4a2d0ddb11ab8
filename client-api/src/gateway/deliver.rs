//! Content by its key.

use allium_content::uri::{Edition, Uri};
use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};

use super::address::{Host, Wanted};
use super::body::Reading;
use super::pages::Page;
use super::range::{self, Part};
use super::tame::Tame;
use super::{Gateway, Reply, form, guard, media};
use crate::content::{File, FileBody, OpenOptions, Opened};

/// What never changes may be kept for a year.
const IMMUTABLE: &str = "private, max-age=31536000, immutable";
/// What may change is asked for each time; the entity tag saves sending it again.
const CHANGES: &str = "no-cache";

/// Answers a request for a key.
pub(super) async fn deliver(
    gateway: &Gateway,
    host: &Host,
    head: &Parts,
    wanted: Wanted,
) -> Result<Reply, Page> {
    let viewed = guard::is_page_view(&head.headers);
    if let Some(url) = host.better(&wanted).filter(|_| viewed) {
        return Err(Page::redirect(&url));
    }
    if wanted.moved {
        return Err(Page::redirect(&wanted.path()));
    }
    let newer = newer(gateway, &wanted);
    if let Some(newer) = newer.as_ref().filter(|_| viewed) {
        return Err(Page::redirect(&newer.path()));
    }
    let options = OpenOptions { default_document: wanted.slash, ..OpenOptions::default() };
    let opened = gateway.content.open(wanted.uri.clone(), options).end().await;
    let opened = opened.map_err(|error| Page::error(&error))?;
    let resolved = match &opened {
        Opened::File(file) => &file.uri,
        Opened::Folder(folder) => &folder.uri,
    };
    if let Some(found) = other_edition(&wanted, resolved) {
        return Err(Page::redirect(&found.path()));
    }
    match opened {
        Opened::File(file) => {
            let mut reply = self::file(gateway, head, &wanted, &file).await?;
            if let Some(newer) = newer {
                let link = format!("<{}>; rel=\"latest-version\"", newer.path());
                reply.headers_mut().extend(HeaderValue::try_from(link).ok().map(|link| (header::LINK, link)));
            }
            Ok(reply)
        }
        Opened::Folder(_) if !wanted.slash => Err(Page::redirect(&Wanted { slash: true, ..wanted }.path())),
        Opened::Folder(folder) => Err(Page::folder(&folder)),
    }
}

/// The same path in a newer edition that is known.
fn newer(gateway: &Gateway, wanted: &Wanted) -> Option<Wanted> {
    let Uri::Usk { key, name, edition: Edition::Known(here), path } = &wanted.uri else { return None };
    let newest = gateway.editions.newest(&gateway.content, &wanted.uri).filter(|newest| newest > here)?;
    let (key, name, edition) = (key.clone(), name.clone(), Edition::Known(newest));
    Some(wanted.with(Uri::Usk { key, name, edition, path: path.clone() }))
}

/// The same path in the edition that was found, where another one was asked for.
fn other_edition(wanted: &Wanted, resolved: &Uri) -> Option<Wanted> {
    match (&wanted.uri, resolved) {
        (Uri::Usk { key, name, edition, .. }, Uri::Usk { key: k, name: n, edition: found, .. })
            if key == k && name == n && edition != found =>
        {
            Some(wanted.with(resolved.clone()))
        }
        _ => None,
    }
}

/// The entity tag of a file: of its bytes, or of the key that names them.
fn tag(file: &File) -> String {
    let hash = match (&file.hash, &file.body) {
        (Some(hash), _) => blake3::Hash::from_bytes(*hash),
        (None, FileBody::Inline(bytes)) => blake3::hash(bytes),
        (None, FileBody::Range(chk, range)) => {
            let mut hasher = blake3::Hasher::new();
            hasher.update(&chk.encode()).update(&range.start.to_be_bytes()).update(&range.end.to_be_bytes());
            hasher.finalize()
        }
    };
    format!("\"{}\"", hash.to_hex().get(..32).unwrap_or_default())
}

async fn file(gateway: &Gateway, head: &Parts, wanted: &Wanted, file: &File) -> Result<Reply, Page> {
    let tag = tag(file);
    let page = media::is_page(file.media.as_ref()) && !is_saved(head) && guard::is_browser(&head.headers);
    // What is made tame is so from its beginning on.
    let part = if page { Part::Whole } else { range::wanted(&head.headers, file.length, &tag) };
    let (status, range) = match &part {
        _ if range::is_known(&head.headers, &tag) => (StatusCode::NOT_MODIFIED, 0..0),
        Part::Whole => (StatusCode::OK, 0..file.length),
        Part::Range(range) => (StatusCode::PARTIAL_CONTENT, range.clone()),
        Part::Beyond => (StatusCode::RANGE_NOT_SATISFIABLE, 0..0),
    };
    let length = range.end - range.start;
    let body = if length == 0 || head.method == Method::HEAD {
        Either::Left(Full::new(Bytes::new()))
    } else {
        let reading = gateway.content.read(file, range.clone());
        let reading = Reading::start(reading, length, page.then(Tame::default)).await;
        Either::Right(reading.map_err(|error| Page::error(&error))?)
    };
    let mut reply = Reply::new(body);
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    headers_of(headers, head, wanted, file);
    headers.extend(HeaderValue::try_from(tag).ok().map(|tag| (header::ETAG, tag)));
    let said = match status {
        StatusCode::PARTIAL_CONTENT => {
            Some(format!("bytes {}-{}/{}", range.start, range.end.saturating_sub(1), file.length))
        }
        StatusCode::RANGE_NOT_SATISFIABLE => Some(format!("bytes */{}", file.length)),
        _ => None,
    };
    headers.extend(said.and_then(|s| HeaderValue::try_from(s).ok()).map(|s| (header::CONTENT_RANGE, s)));
    if status != StatusCode::NOT_MODIFIED {
        headers.insert(header::CONTENT_LENGTH, length.into());
    }
    Ok(reply)
}

/// Whether a file is to be saved, by the request.
fn is_saved(head: &Parts) -> bool {
    form::query(head.uri.query(), "download").is_some()
}

/// What the headers say of a file, whatever part of it is sent.
fn headers_of(headers: &mut HeaderMap, head: &Parts, wanted: &Wanted, file: &File) {
    guard::for_content(headers);
    let shown = media::shown(file.media.as_ref());
    let saved = shown.attachment || is_saved(head);
    headers.extend(HeaderValue::try_from(shown.media).ok().map(|media| (header::CONTENT_TYPE, media)));
    if saved {
        let attachment = media::attachment(wanted.uri.path().name());
        let value = HeaderValue::try_from(attachment).ok();
        headers.extend(value.map(|value| (header::CONTENT_DISPOSITION, value)));
    }
    // An edition never changes. Its pages are asked for again all the same, as that leads to newer editions.
    let fixed = match &wanted.uri {
        Uri::Chk { .. } => true,
        Uri::Usk { .. } => !media::is_page(file.media.as_ref()),
        Uri::Ssk { .. } | Uri::Ksk { .. } => false,
    };
    let cached = HeaderValue::from_static(if fixed { IMMUTABLE } else { CHANGES });
    headers.insert(header::CACHE_CONTROL, cached);
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
}
