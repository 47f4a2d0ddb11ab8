//! What a request is for: which of the gateway's names, and which key.

use std::net::IpAddr;

use allium_content::uri::{Error, SCHEME, Uri};
use allium_wire::text::base32_encode;
use hyper::header;
use hyper::http::request::Parts;
use hyper::http::uri::Authority;

/// Letters of a site's label: 32 bytes in base32, which is below DNS' limit of 63.
const LABEL: usize = 52;
/// What sets a site's label apart from other hashes.
const LABEL_HASH: &str = "allium gateway: the label of a site's origin";

/// The name by which the gateway was reached. No other name is answered, as one that leads here by the tricks of its
/// owner (DNS rebinding) would let that owner's pages read what is here; an address can't be redirected so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Host {
    name: Name,
    /// With its colon; empty where there is none.
    port: String,
    authority: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Name {
    Address,
    Localhost,
    Site(String),
}

impl Host {
    /// The host of a request; `None` for one that the gateway does not answer to.
    pub(super) fn of(head: &Parts) -> Option<Self> {
        let mut hosts = head.headers.get_all(header::HOST).iter();
        let stated = hosts.next().and_then(|host| host.to_str().ok());
        if hosts.next().is_some() {
            return None;
        }
        Self::parse(head.uri.authority().map(Authority::as_str).or(stated)?)
    }

    fn parse(text: &str) -> Option<Self> {
        let authority: Authority = text.to_ascii_lowercase().parse().ok()?;
        if authority.as_str().contains('@') {
            return None;
        }
        let host = authority.host();
        let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let name = if host == "localhost" {
            Name::Localhost
        } else if let Some(label) = host.strip_suffix(".localhost") {
            let base32 = |byte: u8| matches!(byte, b'a'..=b'z' | b'2'..=b'7');
            if label.len() != LABEL || !label.bytes().all(base32) {
                return None;
            }
            Name::Site(label.to_owned())
        } else {
            address.parse::<IpAddr>().ok()?;
            Name::Address
        };
        let port = authority.port_u16().map_or_else(String::new, |port| format!(":{port}"));
        Some(Self { name, port, authority: authority.as_str().to_owned() })
    }

    /// Whether it is the origin of a site's content, where the gateway's own pages are not.
    pub(super) fn is_site(&self) -> bool {
        matches!(self.name, Name::Site(_))
    }

    /// The origin as browsers write it.
    pub(super) fn origin(&self) -> String {
        format!("http://{}", self.authority)
    }

    /// The URL of one of the gateway's own pages.
    pub(super) fn plain(&self, path: &str) -> String {
        format!("http://localhost{}{path}", self.port)
    }

    /// The URL at which a browser should open a site, where that is another host than this one.
    pub(super) fn better(&self, wanted: &Wanted) -> Option<String> {
        let label = wanted.label();
        let there = match &self.name {
            Name::Address => true,
            Name::Localhost => false,
            Name::Site(here) => *here == label,
        };
        (!there).then(|| format!("http://{label}.localhost{}{}", self.port, wanted.path()))
    }
}

/// The key that a request is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) uri: Uri,
    /// Whether a slash stands at the end, as behind a folder.
    pub(super) slash: bool,
    /// Whether it was written in another way than the gateway writes it.
    pub(super) moved: bool,
}

impl Wanted {
    /// Reads the path of a request; `None` for one that is no key's.
    pub(super) fn of(path: &str) -> Option<Result<Self, Error>> {
        let text = path.strip_prefix('/')?;
        let head = text.split('/').next().unwrap_or_default();
        let lower = head.to_ascii_lowercase();
        let prefixed =
            ["allium:", "freenet:", "allium%3a", "freenet%3a"].iter().any(|p| lower.starts_with(p));
        if !prefixed && !["@", "%40"].iter().any(|at| lower.get(3..).is_some_and(|l| l.starts_with(at))) {
            return None;
        }
        Some(Self::typed(text))
    }

    /// Reads a key as people paste it: with or without scheme, and perhaps as a link to a gateway.
    pub(super) fn typed(text: &str) -> Result<Self, Error> {
        let pasted = text.strip_prefix("http://").and_then(|url| url.split_once('/')).map(|(_, path)| path);
        let text = pasted.unwrap_or(text).trim_start_matches('/');
        let (head, tail) = text.split_at(text.find('/').unwrap_or(text.len()));
        let mut bare = replaced(head, "%3A", ":");
        for scheme in [SCHEME, "freenet:"] {
            // The scheme of an URI may be written in capitals, and a browser may have done so.
            if bare.get(..scheme.len()).is_some_and(|front| front.eq_ignore_ascii_case(scheme)) {
                bare = bare.split_off(scheme.len());
            }
        }
        let bare = replaced(&bare, "%40", "@").replace("%2C", ",").replace("%2c", ",");
        let changed = bare != head;
        let uri: Uri = format!("{bare}{tail}").parse()?;
        let slash = tail.ends_with('/');
        let edition = matches!(&uri, Uri::Usk { path, .. } if path.is_empty());
        Ok(Self { uri, slash: slash || edition, moved: changed || edition && !slash })
    }

    /// The path under which the gateway has it.
    pub(super) fn path(&self) -> String {
        let mut path = format!("/{}", self.uri.bare());
        if self.slash && !path.ends_with('/') {
            path.push('/');
        }
        path
    }

    /// The same with another key.
    pub(super) fn with(&self, uri: Uri) -> Self {
        Self { uri: uri.with_path(self.uri.path().clone()), slash: self.slash, moved: false }
    }

    /// What names the site's origin: a hash of its key and name, the same for all its paths and editions.
    fn label(&self) -> String {
        let site = match self.uri.clone().with_path(allium_content::Path::default()) {
            Uri::Usk { key, name, .. } => format!("{key}{name}"),
            other => other.bare(),
        };
        base32_encode(&blake3::derive_key(LABEL_HASH, site.as_bytes()))
    }
}

/// With the first `escape` decoded, in whichever case it is written.
fn replaced(text: &str, escape: &str, letter: &str) -> String {
    text.replacen(escape, letter, 1).replacen(&escape.to_ascii_lowercase(), letter, 1)
}
