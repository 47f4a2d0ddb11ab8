//! What keeps content, and pages from elsewhere, away from the gateway and the network.

use allium_crypto::Rng;
use hyper::HeaderMap;
use hyper::header::{self, HeaderName, HeaderValue};

use super::address::Host;

/// For content: nothing runs, nothing is sent, and what is loaded comes from the same origin. Without `allow-scripts`
/// a sandbox ignores `<meta http-equiv="refresh">` too. `allow-same-origin` gives nothing to a page without scripts,
/// and lets the gateway see which requests are a page's own.
const CONTENT: &str = "default-src 'none'; img-src 'self' data:; media-src 'self' data:; font-src 'self' data:; \
                       style-src 'self' 'unsafe-inline'; script-src 'none'; object-src 'none'; connect-src 'none'; \
                       base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox allow-same-origin";
/// For the gateway's own pages. What a form leads to may be a site's own origin. No sandbox, in which a job's page would
/// not renew itself.
const OWN: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'; \
                   form-action 'self' http://*.localhost:*";
const PERMISSIONS: &str = "accelerometer=(), autoplay=(), browsing-topics=(), camera=(), clipboard-read=(), \
                           display-capture=(), fullscreen=(), geolocation=(), gyroscope=(), hid=(), \
                           microphone=(), midi=(), payment=(), serial=(), usb=(), xr-spatial-tracking=()";

/// Headers of every response.
fn common(headers: &mut HeaderMap, policy: &'static str) {
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("origin-agent-cluster"), "?1"),
        (HeaderName::from_static("permissions-policy"), PERMISSIONS),
        (HeaderName::from_static("x-dns-prefetch-control"), "off"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// Headers of content.
pub(super) fn for_content(headers: &mut HeaderMap) {
    common(headers, CONTENT);
}

/// Headers of the gateway's own pages.
pub(super) fn for_own(headers: &mut HeaderMap) {
    common(headers, OWN);
    // Without a referrer a browser would not state the origin of a form either.
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

fn fetch<'a>(headers: &'a HeaderMap, name: &'static str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap_or("?"))
}

/// Whether a GET may be answered: one that a person made, by a link or the address bar, or one of the same origin's
/// page; no image or frame of a page from elsewhere, which would learn what is here. Programs state nothing.
pub(super) fn may_read(headers: &HeaderMap) -> bool {
    match fetch(headers, "sec-fetch-site") {
        None | Some("none" | "same-origin") => true,
        Some(_) => {
            fetch(headers, "sec-fetch-mode") == Some("navigate")
                && fetch(headers, "sec-fetch-dest") == Some("document")
        }
    }
}

/// Whether a POST may come from one of the gateway's own pages, as far as the browser says where it comes from.
pub(super) fn may_act(headers: &HeaderMap, host: &Host) -> bool {
    let origin = headers.get(header::ORIGIN).map(|origin| origin.as_bytes() == host.origin().as_bytes());
    let site = fetch(headers, "sec-fetch-site").map(|site| site == "same-origin");
    origin.unwrap_or(true) && site.unwrap_or(true)
}

/// Whether a browser asks, that will show the answer as a page of its own.
pub(super) fn is_page_view(headers: &HeaderMap) -> bool {
    matches!(fetch(headers, "sec-fetch-dest"), Some("document" | "iframe" | "frame" | "object" | "embed"))
}

/// Whether a browser asks, rather than a program that wants what was published.
pub(super) fn is_browser(headers: &HeaderMap) -> bool {
    let agent = headers.get(header::USER_AGENT).map(HeaderValue::as_bytes).unwrap_or_default();
    fetch(headers, "sec-fetch-dest").is_some() || agent.starts_with(b"Mozilla/")
}

/// What only the gateway's own pages know: without it nothing is done. New at each start.
pub(super) struct Token(String);

impl Token {
    pub(super) fn new(rng: &mut Rng) -> Self {
        Self(allium_wire::text::base32_encode(&rng.array::<20>()))
    }

    /// As it stands in a form.
    pub(super) fn text(&self) -> &str {
        &self.0
    }

    /// Whether that is it; takes the same time whatever is wrong.
    pub(super) fn is(&self, text: &str) -> bool {
        blake3::hash(self.0.as_bytes()) == blake3::hash(text.as_bytes())
    }
}
