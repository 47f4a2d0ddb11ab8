//! Which headers pass.
//!
//! To the site goes nothing that tells browsers, systems or languages apart, nothing about other proxies, and no
//! page of another site. <https://geti2p.net/en/docs/api/i2ptunnel#client-mode-http>

use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::site::Site;

/// What every I2P proxy says it is.
const USER_AGENT: HeaderValue = HeaderValue::from_static("MYOB/6.66 (AN+XXX1)");

/// Headers of one hop, which are never passed on. RFC 9110 section 7.6.1
const HOP: [&str; 10] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-authentication-info",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Headers that tell the site about the user, or the path to it.
const PRIVATE: [&str; 14] = [
    "via",
    "from",
    "forwarded",
    "x-real-ip",
    "client-ip",
    "x-client-ip",
    "true-client-ip",
    "x-forwarded",
    "x-originating-ip",
    "x-wap-profile",
    "dnt",
    "save-data",
    "device-memory",
    "viewport-width",
];

/// The same, by how they begin. `Accept` itself and `Accept-Encoding` pass.
const PRIVATE_STARTS: [&str; 4] = ["accept-", "x-forwarded-", "sec-ch-", "proxy-"];

/// The protocol that a request wants to switch to.
pub(super) fn upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let asked = listed(headers).any(|name| name == "upgrade");
    asked.then(|| headers.get(header::UPGRADE).cloned()).flatten()
}

/// The headers that the site gets.
pub(super) fn for_site(headers: &HeaderMap, site: &Site, upgrade: Option<&HeaderValue>) -> HeaderMap {
    let named: Vec<String> = listed(headers).collect();
    let mut clean = HeaderMap::with_capacity(headers.len());
    clean.insert(header::HOST, site.header.clone());
    clean.insert(header::USER_AGENT, USER_AGENT);
    for (name, value) in headers {
        let hop = HOP.contains(&name.as_str()) || named.iter().any(|listed| listed == name.as_str());
        if !hop && passes(name, value, site) {
            clean.append(name.clone(), value.clone());
        }
    }
    if let Some(to) = upgrade {
        clean.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        clean.insert(header::UPGRADE, to.clone());
    }
    clean
}

fn passes(name: &HeaderName, value: &HeaderValue, site: &Site) -> bool {
    match name.as_str() {
        "host" | "user-agent" | "expect" => false,
        "accept-encoding" => true,
        "referer" => same_site(value, site),
        // These carry the machine's and the user's names.
        "authorization" => !scheme_is(value, "ntlm") && !scheme_is(value, "negotiate"),
        other => !PRIVATE.contains(&other) && !PRIVATE_STARTS.iter().any(|start| other.starts_with(start)),
    }
}

/// Takes out of a response what is not for the client.
pub(super) fn for_client(headers: &mut HeaderMap) {
    let named: Vec<String> = listed(headers).collect();
    let all = std::mem::take(headers);
    headers.reserve(all.len());
    for (name, value) in &all {
        let hop = HOP.contains(&name.as_str()) || named.iter().any(|listed| listed == name.as_str());
        // `Alt-Svc` would lead the browser elsewhere, past this proxy.
        if name == header::CONTENT_LENGTH || !(hop || name == header::ALT_SVC) {
            headers.append(name.clone(), value.clone());
        }
    }
}

/// The header names that `Connection` lists.
fn listed(headers: &HeaderMap) -> impl Iterator<Item = String> {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
}

/// Whether a referring page is of the site itself.
fn same_site(referer: &HeaderValue, site: &Site) -> bool {
    let Some(rest) = referer.to_str().ok().and_then(|url| url.strip_prefix("http://")) else { return false };
    let host = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    site.header.to_str().is_ok_and(|own| own.eq_ignore_ascii_case(host))
        && !rest.contains("i2paddresshelper=")
}

fn scheme_is(value: &HeaderValue, scheme: &str) -> bool {
    value.as_bytes().get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme.as_bytes()))
}

#[cfg(test)]
mod tests;
