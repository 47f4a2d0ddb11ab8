//! Ranges of content (RFC 9110, section 14).

use std::ops::Range;

use hyper::HeaderMap;
use hyper::header::{self, HeaderName};

/// What part of a file a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it.
    Whole,
    /// These bytes.
    Range(Range<u64>),
    /// Bytes that are not there.
    Beyond,
}

/// The part that `headers` ask for, of `length` bytes with this entity tag. Several ranges at once get the whole.
pub(super) fn wanted(headers: &HeaderMap, length: u64, tag: &str) -> Part {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(range) = text(header::RANGE) else { return Part::Whole };
    if headers.contains_key(header::IF_RANGE) && text(header::IF_RANGE) != Some(tag) {
        return Part::Whole;
    }
    let Some((from, to)) = range.strip_prefix("bytes=").and_then(|range| range.trim().split_once('-')) else {
        return Part::Whole;
    };
    let number = |text: &str| -> Option<u64> {
        // More digits than a u64 has are a number past every end.
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().unwrap_or(u64::MAX))
    };
    let part = match (number(from), number(to)) {
        (Some(from), Some(to)) if from <= to => from..to.saturating_add(1).min(length),
        (Some(from), None) if to.is_empty() => from..length,
        (None, Some(last)) if from.is_empty() => length.saturating_sub(last)..length,
        _ => return Part::Whole,
    };
    if part.start >= part.end { Part::Beyond } else { Part::Range(part) }
}

/// Whether the client has this already.
pub(super) fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok()).any(|known| {
        known
            .split(',')
            .any(|known| matches!(known.trim(), k if k == "*" || k.trim_start_matches("W/") == tag))
    })
}
