//! Where a request leads.

use hyper::Uri;
use hyper::header::HeaderValue;

use super::Page;
use crate::names::{Host, hash_of};

/// The site that a request is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Site {
    /// The host as it was written, but names and hashes in lower case.
    pub(super) host: String,
    /// The port.
    pub(super) port: u16,
    /// What the site is told that it was asked as.
    pub(super) header: HeaderValue,
}

impl Site {
    /// The site of a request in absolute form.
    ///
    /// # Errors
    /// The page that says why this proxy does not lead there.
    pub(super) fn of(uri: &Uri) -> Result<Self, Page> {
        match uri.scheme_str() {
            Some("http") => {}
            Some(scheme) => return Err(Page::bad_scheme(scheme)),
            None => return Err(Page::about()),
        }
        Self::named(uri, 80)
    }

    /// The site that `uri`'s authority names.
    ///
    /// # Errors
    /// The page that says why this proxy does not lead there.
    pub(super) fn named(uri: &Uri, default_port: u16) -> Result<Self, Page> {
        let authority = uri.authority().ok_or_else(Page::about)?;
        let port = match authority.port_u16() {
            Some(port) => port,
            // What follows the colon is no port.
            None if authority.as_str().ends_with(authority.host()) => default_port,
            None => return Err(Page::bad_port()),
        };
        let host = authority.host();
        if host.eq_ignore_ascii_case("proxy.i2p") {
            return Err(Page::about());
        }
        let shown = match Host::read(host) {
            Ok(Host::Address(target)) => hash_of(&target).b32(),
            Ok(Host::Name(name)) => name,
            Err(error) => return Err(Page::name(host, &error)),
        };
        let written = if port == default_port { shown.clone() } else { format!("{shown}:{port}") };
        // A name and a port are always visible ASCII.
        let header = HeaderValue::from_str(&written).map_err(|_| Page::bad_port())?;
        // A whole destination is kept as it is: it says more than its hash.
        let host = if host.len() > shown.len() { host.to_owned() } else { shown };
        Ok(Self { host, port, header })
    }

    /// The URL of a path at this site.
    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.header.to_str().unwrap_or_default())
    }
}

/// A path and query as the request line's target.
pub(super) fn origin_form(path: &str) -> Uri {
    path.parse().unwrap_or_else(|_| Uri::from_static("/"))
}
