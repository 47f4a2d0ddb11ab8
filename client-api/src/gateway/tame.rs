//! What the policy of content does not stop: in a page, a few tags by which browsers reach out of the gateway though
//! nothing may be loaded.
//!
//! Browsers open connections for `<link rel="preconnect">` and for the address of a frame, whatever the policy says, and
//! `referrerpolicy` and `<meta name="referrer">` overrule the one that is stated. Such tags become others of the same
//! length that do nothing. It is looked for bytes, wherever they are: what is no tag is changed rather than a tag left.
//! That holds in encodings in which these letters are these bytes, so others are not stated, nor a byte order mark left.

use std::mem;

use bytes::Bytes;

/// A tag that is longer than this does nothing.
const TAG: usize = 4096;
/// The longest that is looked for, but for whole tags, and what has to follow it.
const AHEAD: usize = 16;
/// An attribute by which a link says where it is on.
const REFERRER: &[u8] = b"referrerpolicy";
/// What a `link` may be.
const RELATIONS: &[&str] = &[
    "alternate",
    "apple-touch-icon",
    "author",
    "bookmark",
    "canonical",
    "first",
    "help",
    "icon",
    "last",
    "license",
    "mask-icon",
    "next",
    "prev",
    "shortcut",
    "stylesheet",
    "up",
];
/// What a `meta` may tell by name.
const NAMES: &[&str] = &[
    "application-name",
    "author",
    "color-scheme",
    "date",
    "description",
    "generator",
    "keywords",
    "robots",
    "theme-color",
    "viewport",
];
/// What a `meta` may stand for.
const HEADERS: &[&str] = &["content-language", "content-type", "x-ua-compatible"];

/// A page on its way. Its length does not change.
#[derive(Default)]
pub(super) struct Tame {
    held: Vec<u8>,
    begun: bool,
}

/// What is at a place in a page.
enum Found {
    /// Nothing that matters.
    Nothing,
    /// More bytes are needed to know.
    Open,
    /// Something, to be replaced by these bytes.
    Replace(&'static [u8]),
}

impl Tame {
    /// Takes the next bytes, and gives those that can be sent; at the end all of them.
    pub(super) fn next(&mut self, bytes: &[u8], end: bool) -> Bytes {
        let mut page = mem::take(&mut self.held);
        page.extend_from_slice(bytes);
        if !self.begun {
            if page.len() < 2 && !end {
                self.held = page;
                return Bytes::new();
            }
            self.begun = true;
            if let Some(mark @ ([0xfe, 0xff] | [0xff, 0xfe])) = page.first_chunk_mut() {
                *mark = *b"  ";
            }
        }
        let mut at = 0;
        while let Some(rest) = page.get_mut(at..).filter(|rest| !rest.is_empty()) {
            let Some(skip) = rest.iter().position(|byte| matches!(byte, b'<' | b'r' | b'R')) else { break };
            at += skip;
            let rest = rest.get_mut(skip..).unwrap_or_default();
            match found(rest, end) {
                Found::Nothing => {}
                Found::Open => {
                    self.held = page.split_off(at);
                    break;
                }
                Found::Replace(with) => rest.iter_mut().zip(with).for_each(|(place, byte)| *place = *byte),
            }
            at += 1;
        }
        page.into()
    }
}

/// What begins with these bytes.
fn found(rest: &[u8], end: bool) -> Found {
    let open = rest.len() < AHEAD && !end;
    let begins = |with: &[u8]| {
        let length = with.len().min(rest.len());
        let alike = rest
            .get(..length)
            .is_some_and(|front| with.get(..length).is_some_and(|w| front.eq_ignore_ascii_case(w)));
        alike && (length == with.len() || open)
    };
    let tag =
        |name: &[u8]| begins(name) && rest.get(name.len()).is_none_or(|next| b"\t\n\x0c\r />".contains(next));
    let replace = |with| if open { Found::Open } else { Found::Replace(with) };
    if begins(REFERRER) {
        return replace(b"r-ferrerpolicy");
    }
    if tag(b"<iframe") {
        return replace(b"<legend");
    }
    if tag(b"</iframe") {
        return replace(b"</legend");
    }
    if tag(b"<frame") {
        return replace(b"<track");
    }
    let (link, meta) = (tag(b"<link"), tag(b"<meta"));
    if !link && !meta {
        return Found::Nothing;
    }
    match Attributes::of(rest.get(5..).unwrap_or_default()) {
        Err(Unread::Open) if !end && rest.len() < TAG => Found::Open,
        Ok(attributes) if link && attributes.is_tame_link() => Found::Nothing,
        Ok(attributes) if meta && attributes.is_tame_meta() => Found::Nothing,
        // Like the two it has no content and may stand anywhere; alone it does nothing.
        _ => Found::Replace(b"<area"),
    }
}

/// Why a tag's attributes were not read.
enum Unread {
    /// Its end is not there.
    Open,
    /// It is not written as all browsers read it alike.
    Odd,
}

/// The attributes of a tag, in small letters.
struct Attributes(Vec<(String, String)>);

impl Attributes {
    /// Those between a tag's name and its end.
    fn of(mut text: &[u8]) -> Result<Self, Unread> {
        let mut found: Vec<(String, String)> = Vec::new();
        loop {
            let spaces = text.iter().position(|byte| !b"\t\n\x0c\r ".contains(byte)).ok_or(Unread::Open)?;
            text = text.get(spaces..).unwrap_or_default();
            match text {
                [b'>', ..] | [b'/', b'>', ..] => return Ok(Self(found)),
                [b'/'] => return Err(Unread::Open),
                _ if spaces == 0 => return Err(Unread::Odd),
                _ => {}
            }
            let name = taken(&mut text, |byte| byte.is_ascii_alphanumeric() || b"-:_.".contains(&byte))?;
            let mut value = String::new();
            if let [b'=', rest @ ..] = text {
                text = rest;
                value = match text.first().ok_or(Unread::Open)? {
                    quote @ (b'"' | b'\'') => {
                        text = text.get(1..).unwrap_or_default();
                        let value = taken(&mut text, |byte| byte != *quote)?;
                        text = text.get(1..).unwrap_or_default();
                        value
                    }
                    _ => taken(&mut text, |byte| !b"\t\n\x0c\r \"'=<>`".contains(&byte))?,
                };
            }
            if name.is_empty() || found.iter().any(|(known, _)| *known == name) {
                return Err(Unread::Odd);
            }
            found.push((name, value));
        }
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn is_tame_link(&self) -> bool {
        self.get("rel").is_some_and(|rel| rel.split_ascii_whitespace().all(|rel| RELATIONS.contains(&rel)))
    }

    fn is_tame_meta(&self) -> bool {
        let is_none_or_in =
            |name, list: &[&str]| self.get(name).is_none_or(|value| list.contains(&value.trim()));
        is_none_or_in("name", NAMES) && is_none_or_in("http-equiv", HEADERS)
    }
}

/// Takes what is in front as long as `part` holds; something has to follow it.
fn taken(text: &mut &[u8], part: impl Fn(u8) -> bool) -> Result<String, Unread> {
    let length = text.iter().position(|byte| !part(*byte)).ok_or(Unread::Open)?;
    let (front, rest) = text.split_at_checked(length).ok_or(Unread::Open)?;
    *text = rest;
    Ok(String::from_utf8_lossy(front).to_ascii_lowercase())
}
