//! Which content types a browser may show, and as what.

use std::fmt::Write;

use allium_content::MediaType;

/// What a browser is told of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Shown {
    /// The content type.
    pub(super) media: String,
    /// Whether it is to be saved rather than shown.
    pub(super) attachment: bool,
}

const PAGE: &str = "text/html";
/// Shown inside pages all the same; alone it would be a page of its own, with all that pages can have in it.
const DRAWING: &str = "image/svg+xml";
/// Encodings of pages in which ASCII is ASCII, and nothing can stand between its letters unseen.
const CHARSETS: &[&str] = &["utf-8", "us-ascii", "iso-8859-", "windows-125", "koi8-"];

/// Types that browsers show without giving them any power that the policy does not take away.
const INLINE: &[&str] = &[
    "audio/aac",
    "audio/flac",
    "audio/mp4",
    "audio/mpeg",
    "audio/ogg",
    "audio/wav",
    "audio/webm",
    "font/otf",
    "font/ttf",
    "font/woff",
    "font/woff2",
    "image/apng",
    "image/avif",
    "image/bmp",
    "image/gif",
    "image/jpeg",
    "image/png",
    "image/vnd.microsoft.icon",
    "image/webp",
    "image/x-icon",
    "text/css",
    "text/plain",
    "video/mp4",
    "video/ogg",
    "video/webm",
];

/// Types that are text for people, and are shown as nothing but that: among them all that browsers would run,
/// transform or subscribe to.
const AS_TEXT: &[&str] = &[
    "application/atom+xml",
    "application/javascript",
    "application/json",
    "application/manifest+json",
    "application/rss+xml",
    "application/toml",
    "application/x-sh",
    "application/xhtml+xml",
    "application/xml",
    "application/yaml",
];

/// How a file of this type is shown.
pub(super) fn shown(media: Option<&MediaType>) -> Shown {
    let Some(media) = media else {
        return Shown { media: allium_content::media::UNKNOWN.to_owned(), attachment: true };
    };
    let essence = media.essence().to_ascii_lowercase();
    if is_page(Some(media)) {
        return Shown { media: format!("{PAGE}; charset={}", charset(media)), attachment: false };
    }
    if essence == DRAWING {
        return Shown { media: essence, attachment: true };
    }
    if INLINE.contains(&essence.as_str()) {
        return Shown { media: media.as_str().to_owned(), attachment: false };
    }
    if essence.starts_with("text/") || AS_TEXT.contains(&essence.as_str()) {
        return Shown { media: "text/plain; charset=utf-8".to_owned(), attachment: false };
    }
    Shown { media: essence, attachment: true }
}

/// Whether it is a page, with links that people follow.
pub(super) fn is_page(media: Option<&MediaType>) -> bool {
    media.is_some_and(|media| media.essence().eq_ignore_ascii_case(PAGE))
}

/// The encoding of a page: always stated, so that the page can't state another.
fn charset(media: &MediaType) -> String {
    let lower = media.as_str().to_ascii_lowercase();
    let stated =
        lower.split_once("charset=").map(|(_, rest)| rest.trim_start_matches('"')).unwrap_or_default();
    let letter = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let stated = stated.split(|c| !letter(c)).next().unwrap_or_default();
    let known = CHARSETS.iter().any(|known| stated.starts_with(known));
    if known { stated } else { "utf-8" }.to_owned()
}

/// `Content-Disposition` of a file that is to be saved (RFC 6266).
pub(super) fn attachment(name: Option<&str>) -> String {
    let mut out = "attachment".to_owned();
    if let Some(name) = name {
        out.push_str("; filename*=UTF-8''");
        for byte in name.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                out.push(char::from(byte));
            } else {
                // Writing to a string does not fail.
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}
