//! The pages with which the proxy answers itself: whole in themselves, without scripts, and escaped.

use std::fmt::Write;

use allium_wire::DestHash;
use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::StatusCode;
use hyper::header::{self, HeaderValue};

use super::helper::Link;
use super::site::Site;
use super::{Failure, Reply};
use crate::names::NameError;
use crate::router::ConnectError;

/// Nothing is loaded and nothing runs; the one style is in the page.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";
const STYLE: &str = "body{font:1rem/1.5 sans-serif;max-width:42rem;margin:3rem auto;padding:0 1rem;color:#222;\
                     background:#fafafa}h1{font-size:1.4rem}code{overflow-wrap:anywhere;background:#eee}\
                     footer{margin-top:2rem;color:#666;font-size:.85rem}\
                     @media(prefers-color-scheme:dark){body{color:#ddd;background:#1c1c1c}code{background:#333}\
                     a{color:#9cf}}";

/// A page, or a redirection.
#[derive(Debug)]
pub(super) struct Page {
    status: StatusCode,
    title: String,
    paragraphs: Vec<String>,
    links: Vec<(String, String)>,
    location: Option<String>,
}

impl Page {
    fn new(status: StatusCode, title: &str, paragraphs: &[&str]) -> Self {
        let paragraphs = paragraphs.iter().map(|text| (*text).to_owned()).collect();
        Self { status, title: title.to_owned(), paragraphs, links: Vec::new(), location: None }
    }

    /// For whoever opens the proxy's own address.
    pub(super) fn about() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "This is an HTTP proxy for I2P",
            &[
                "It works, but it is no web site: enter this address and port as the HTTP proxy (and for HTTPS, \
                 the same) in your browser's network settings, then open an address that ends in .i2p.",
                "It leads to I2P destinations only, never to the clear net.",
            ],
        )
    }

    /// For a scheme other than `http`.
    pub(super) fn bad_scheme(scheme: &str) -> Self {
        let said =
            format!("The request is for {scheme:?}; this proxy takes http, and CONNECT for everything else.");
        Self::new(StatusCode::BAD_REQUEST, "This kind of address is not supported", &[&said])
    }

    /// For an address with something after the colon that is no port.
    pub(super) fn bad_port() -> Self {
        let said = "What follows the colon in the address is no port number.";
        Self::new(StatusCode::BAD_REQUEST, "The address is not valid", &[said])
    }

    /// For a name that leads nowhere.
    pub(super) fn name(host: &str, error: &NameError) -> Self {
        let said = error.to_string();
        match error {
            NameError::NotI2p(_) => Self::new(
                StatusCode::FORBIDDEN,
                "This proxy leads to I2P only",
                &[&said, "Use another browser, or a browser profile without this proxy, for the clear net."],
            ),
            NameError::Invalid { .. } => {
                Self::new(StatusCode::BAD_REQUEST, "The address is not valid", &[&said])
            }
            NameError::Encrypted => Self::new(StatusCode::NOT_IMPLEMENTED, "Encrypted address", &[&said]),
            NameError::Unknown(_) => Self::new(
                StatusCode::BAD_GATEWAY,
                &format!("{host} is not known"),
                &[
                    &said,
                    "Names are known to each router for itself. Ask for the site's address that ends in .b32.i2p, \
                     follow a link with an address helper, or add the name to hosts.txt in the data folder.",
                ],
            ),
        }
    }

    /// For a request that its site did not answer.
    pub(super) fn failure(host: &str, failure: &Failure) -> Self {
        let said = failure.to_string();
        let said = match failure {
            Failure::Name(error) => return Self::name(host, error),
            Failure::Stream(error) => stream_trouble(error),
            _ => said,
        };
        let hint = match failure {
            Failure::Connect(ConnectError::NoTunnels(_)) => {
                "The cause is on this side: a router needs some minutes after its start. Try again soon."
            }
            Failure::Connect(ConnectError::Closed) => "This router is stopping.",
            Failure::Connect(ConnectError::LeaseSetNotFound | ConnectError::Expired) => {
                "The site is offline at the moment, or the address is wrong."
            }
            Failure::Connect(ConnectError::Incompatible(_)) => {
                "The site uses something that this version does not speak."
            }
            Failure::Connect(ConnectError::Refused) => "The site is there, and does not take connections.",
            _ => "The site is overloaded or offline, or the path to it broke. Trying again may help.",
        };
        let title = format!("{host} can't be reached");
        Self::new(status(failure), &title, &[&capitalized(&said), hint])
    }

    /// For an address helper that holds no address.
    pub(super) fn bad_helper(name: &str) -> Self {
        let said = format!("The link says where {name} is to be found, but what it says is no address.");
        Self::new(StatusCode::BAD_REQUEST, "The address helper is not valid", &[&said])
    }

    /// For an address helper that contradicts what is known.
    pub(super) fn conflict(site: &Site, link: &Link, name: &str, known: DestHash, token: u64) -> Self {
        let says = crate::names::address(&link.address).map_or_else(String::new, |hash| hash.b32());
        let mut page = Self::new(
            StatusCode::CONFLICT,
            &format!("Two destinations for {name}"),
            &[
                &format!("This router knows {name} as {}.", known.b32()),
                &format!("The link you followed says it is {says}."),
                "One of the two may be an impostor. If you are not sure, stay with the known one.",
            ],
        );
        page.links = vec![
            (site.url(&link.rest), "Go on to the known destination".to_owned()),
            (site.url(&link.confirming(token)), "Believe the link until this router stops".to_owned()),
        ];
        page
    }

    /// Sends the client to another address.
    pub(super) fn see_other(url: &str) -> Self {
        let mut page = Self::new(StatusCode::SEE_OTHER, "Moved", &[]);
        page.links = vec![(url.to_owned(), "Go on".to_owned())];
        page.location = Some(url.to_owned());
        page
    }

    /// The page as a response, after which the connection closes.
    pub(super) fn reply(self) -> Reply {
        let mut reply = Reply::new(Either::Left(Full::new(Bytes::from(self.html()))));
        *reply.status_mut() = self.status;
        let headers = reply.headers_mut();
        let fixed = [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "no-referrer"),
            (header::CACHE_CONTROL, "no-store"),
            (header::CONNECTION, "close"),
            (header::HeaderName::from_static("proxy-connection"), "close"),
        ];
        for (name, value) in fixed {
            headers.insert(name, HeaderValue::from_static(value));
        }
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("60"));
        }
        if let Some(location) = self.location.and_then(|url| HeaderValue::try_from(url).ok()) {
            headers.insert(header::LOCATION, location);
        }
        reply
    }

    fn html(&self) -> String {
        let title = escaped(&self.title);
        let mut html = format!(
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
             <style>{STYLE}</style></head>\n<body><h1>{title}</h1>\n"
        );
        for text in &self.paragraphs {
            // Writing to a string does not fail.
            let _ = writeln!(html, "<p>{}</p>", escaped(text));
        }
        for (url, text) in &self.links {
            let _ = writeln!(html, "<p><a href=\"{}\">{}</a></p>", escaped(url), escaped(text));
        }
        let _ = writeln!(html, "<footer>{} · allium</footer></body></html>", self.status);
        html
    }
}

fn status(failure: &Failure) -> StatusCode {
    match failure {
        Failure::Silent | Failure::Connect(ConnectError::TimedOut) => StatusCode::GATEWAY_TIMEOUT,
        Failure::Stream(error) if io_kind(error) == Some(std::io::ErrorKind::TimedOut) => {
            StatusCode::GATEWAY_TIMEOUT
        }
        Failure::Connect(
            ConnectError::NoTunnels(_)
            | ConnectError::LeaseSetNotFound
            | ConnectError::Expired
            | ConnectError::Closed,
        ) => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_GATEWAY,
    }
}

/// The I/O error beneath an error of hyper.
fn io_error(error: &hyper::Error) -> Option<&std::io::Error> {
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if let Some(io) = inner.downcast_ref() {
            return Some(io);
        }
        source = inner.source();
    }
    None
}

fn io_kind(error: &hyper::Error) -> Option<std::io::ErrorKind> {
    io_error(error).map(std::io::Error::kind)
}

/// What went wrong on a stream, in words.
fn stream_trouble(error: &hyper::Error) -> String {
    if error.is_parse() || error.is_parse_too_large() {
        return "the destination answered with something that is not HTTP".to_owned();
    }
    match io_kind(error) {
        Some(std::io::ErrorKind::TimedOut) => "the destination did not answer in time".to_owned(),
        Some(std::io::ErrorKind::ConnectionRefused) => "the destination refused the connection".to_owned(),
        Some(std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::ConnectionAborted) => {
            "the destination broke off the connection before it answered".to_owned()
        }
        Some(_) => io_error(error).map_or_else(String::new, ToString::to_string),
        None => "the destination closed the connection before it answered".to_owned(),
    }
}

fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_ascii_uppercase());
    let mut sentence: String = first.into_iter().chain(chars).collect();
    if !sentence.ends_with('.') {
        sentence.push('.');
    }
    sentence
}

/// Text as it may stand in HTML, in attributes too.
fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            c => html.push(c),
        }
    }
    html
}

#[cfg(test)]
mod tests;
