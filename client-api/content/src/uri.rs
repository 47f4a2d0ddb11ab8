//! Key URIs: `allium:CHK@…`, `SSK@…`, `USK@…`, `KSK@…`.
//!
//! ```text
//! CHK@routing,crypto,extra[/path]             content that never changes
//! SSK@owner,crypto,extra/name[/path]          a document of an owner, by name
//! USK@owner,crypto,extra/name/EDITION[/path]  one of its editions; -N looks for the newest, N at least
//! KSK@word[/path]                             a document that whoever knows the word can read and replace
//! ```
//!
//! The keys are 32 bytes in Freenet's base64 (43 letters), `extra` is 5 bytes (7 letters) that no key of Freenet's
//! has. Before the kind may stand `allium:`, or `freenet:` as Freenet's programs write it. Names are percent-encoded.
//! A [`Uri`] reads; an [`Insert`] publishes, and is a secret but for CHK and KSK.

mod insert;

use std::fmt;
use std::str::FromStr;

pub use insert::Insert;
use zeroize::Zeroizing;

use crate::base64::{self, Wrong};
use crate::block::Key;
use crate::keys::{Chk, CryptoKey, Extra, ExtraError, OwnerKey, SskKey, push_fields};
use crate::name::{Name, NameError, Path, decoded, push_encoded};

/// The scheme that URIs are written with.
pub const SCHEME: &str = "allium:";

/// Most characters of a URI.
pub const MAX: usize = 4096;

/// Why a text is no URI: the fault is in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It doesn't begin with a kind of key.
    #[error("not a key: a key begins with CHK@, SSK@, USK@ or KSK@, with or without allium: before it")]
    Kind,
    /// More than [`MAX`] characters.
    #[error("longer than 4096 characters")]
    Long,
    /// Not three fields with commas between them.
    #[error("not a whole key: after the @ come three fields with commas between them")]
    Fields,
    /// A field is too short or too long, probably cut when it was copied.
    #[error("the key's {0} is too short or too long: was all of it copied?")]
    Length(&'static str),
    /// A character that no key has.
    #[error("the key's {0} has a character that does not belong there")]
    Letter(&'static str),
    /// A key of Freenet's (Hyphanet's) network.
    #[error("this is a key of Freenet (Hyphanet), another network: allium can't reach it")]
    Freenet,
    /// A key of a later allium, or the `extra` of another kind of key.
    #[error("the key's last field is of a kind or version that this program doesn't know")]
    Unknown,
    /// A name or path in it is not allowed.
    #[error("the name in the key: {0}")]
    Name(#[from] NameError),
    /// No name where one has to be.
    #[error("after the key comes a slash and a name")]
    NoName,
    /// No edition, or none that is a number.
    #[error("after a USK's name come a slash and its edition, a number such as 0 or -1")]
    Edition,
    /// A key to publish with, where one to read is asked for.
    #[error("this key is for publishing, and secret: give the public one, to read")]
    Private,
    /// A key to read, where one to publish with is asked for.
    #[error("this key is for reading: publishing needs the private one")]
    Public,
    /// A path behind a key to publish with.
    #[error("a key to publish with has no path behind its name")]
    Path,
}

/// Which edition of a USK is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Edition {
    /// This one; there may be newer ones.
    Known(u64),
    /// The newest, which is this one or a later one (written with a minus).
    Newest(u64),
}

impl Edition {
    /// The largest edition.
    pub const MAX: u64 = i64::MAX as u64;

    /// The number, whatever it means.
    pub fn number(self) -> u64 {
        match self {
            Self::Known(number) | Self::Newest(number) => number,
        }
    }
}

impl fmt::Display for Edition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(number) => write!(formatter, "{number}"),
            Self::Newest(number) => write!(formatter, "-{number}"),
        }
    }
}

impl FromStr for Edition {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (newest, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let canonical = digits == "0" || !digits.starts_with('0');
        if digits.is_empty() || !canonical || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Error::Edition);
        }
        let number = digits.parse().ok().filter(|number| *number <= Self::MAX).ok_or(Error::Edition)?;
        Ok(if newest { Self::Newest(number) } else { Self::Known(number) })
    }
}

/// A key to read with.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Uri {
    /// Content that never changes.
    Chk {
        /// The key.
        chk: Chk,
        /// Of a folder, the path in it; of a file, a name for people, which says nothing.
        path: Path,
    },
    /// A document of an owner.
    Ssk {
        /// Whose.
        key: SskKey,
        /// Which.
        name: Name,
        /// In it.
        path: Path,
    },
    /// An edition of what an owner updates.
    Usk {
        /// Whose.
        key: SskKey,
        /// Of what.
        name: Name,
        /// Which edition.
        edition: Edition,
        /// In it.
        path: Path,
    },
    /// A document under a word.
    Ksk {
        /// The word.
        word: Name,
        /// In it.
        path: Path,
    },
}

/// The name that the document of a USK's edition has as an SSK: `name-N`.
///
/// # Errors
/// [`NameError::Long`] if the name leaves no room for the number.
pub fn edition_name(name: &Name, edition: u64) -> Result<Name, NameError> {
    format!("{name}-{edition}").parse()
}

impl Uri {
    /// The URI without `allium:`, as Freenet's programs and the gateway's paths have it.
    pub fn bare(&self) -> String {
        let mut out = String::with_capacity(128);
        match self {
            Self::Chk { chk, path } => {
                out.push_str("CHK@");
                let extra = Extra { private: false, root: Some(chk.root) };
                push_fields(&mut out, &chk.routing.0, chk.crypto.as_bytes(), extra);
                push_path(&mut out, path);
            }
            Self::Ssk { key, name, path } => {
                push_reader(&mut out, "SSK@", key);
                push_part(&mut out, name.as_str());
                push_path(&mut out, path);
            }
            Self::Usk { key, name, edition, path } => {
                push_reader(&mut out, "USK@", key);
                push_part(&mut out, name.as_str());
                push_part(&mut out, &edition.to_string());
                push_path(&mut out, path);
                if path.is_empty() {
                    out.push('/');
                }
            }
            Self::Ksk { word, path } => {
                out.push_str("KSK@");
                push_encoded(&mut out, word.as_str());
                push_path(&mut out, path);
            }
        }
        out
    }

    /// What follows the key: the path in a folder.
    pub fn path(&self) -> &Path {
        match self {
            Self::Chk { path, .. }
            | Self::Ssk { path, .. }
            | Self::Usk { path, .. }
            | Self::Ksk { path, .. } => path,
        }
    }

    /// The same key with another path.
    #[must_use]
    pub fn with_path(mut self, new: Path) -> Self {
        match &mut self {
            Self::Chk { path, .. }
            | Self::Ssk { path, .. }
            | Self::Usk { path, .. }
            | Self::Ksk { path, .. } => *path = new,
        }
        self
    }

    /// The owner's key and the document's name under which a signed block leads on: of an SSK, of a KSK, and of the
    /// edition that a USK names. `None` for a CHK.
    ///
    /// # Errors
    /// [`NameError::Long`] as [`edition_name`].
    pub fn document(&self) -> Result<Option<(SskKey, Name)>, NameError> {
        Ok(match self {
            Self::Chk { .. } => None,
            Self::Ssk { key, name, .. } => Some((key.clone(), name.clone())),
            Self::Usk { key, name, edition, .. } => {
                Some((key.clone(), edition_name(name, edition.number())?))
            }
            Self::Ksk { word, .. } => Some((OwnerKey::from_word(word.as_str()).reader(), word.clone())),
        })
    }
}

impl From<Chk> for Uri {
    fn from(chk: Chk) -> Self {
        Self::Chk { chk, path: Path::default() }
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(SCHEME)?;
        formatter.write_str(&self.bare())
    }
}

impl FromStr for Uri {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (kind, rest) = split_kind(text)?;
        let (head, tail) = split_slash(rest);
        match kind {
            Kind::Ksk => Ok(Self::Ksk { word: word(head)?, path: path(tail)? }),
            Kind::Chk => {
                let fields = Fields::parse(head)?;
                let root = fields.extra.root.ok_or(Error::Unknown)?;
                let chk = Chk { routing: Key(*fields.first), crypto: fields.crypto, root };
                Ok(Self::Chk { chk, path: path(tail)? })
            }
            Kind::Ssk => {
                let key = Fields::parse(head)?.reader()?;
                let (first, tail) = split_slash(tail.ok_or(Error::NoName)?);
                Ok(Self::Ssk { key, name: name(first)?, path: path(tail)? })
            }
            Kind::Usk => {
                let key = Fields::parse(head)?.reader()?;
                let (first, tail) = split_slash(tail.ok_or(Error::NoName)?);
                let (edition, tail) = split_slash(tail.ok_or(Error::Edition)?);
                Ok(Self::Usk { key, name: name(first)?, edition: edition.parse()?, path: path(tail)? })
            }
        }
    }
}

impl fmt::Display for SskKey {
    /// `SSK@owner,crypto,extra/`, to which a name is appended.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::with_capacity(128);
        push_reader(&mut out, "SSK@", self);
        write!(formatter, "{SCHEME}{out}/")
    }
}

impl FromStr for SskKey {
    type Err = Error;

    /// Reads the key of an SSK or USK, whatever name follows it.
    fn from_str(text: &str) -> Result<Self, Error> {
        match split_kind(text)? {
            (Kind::Ssk | Kind::Usk, rest) => Fields::parse(split_slash(rest).0)?.reader(),
            _ => Err(Error::Kind),
        }
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Chk,
    Ssk,
    Usk,
    Ksk,
}

fn split_kind(text: &str) -> Result<(Kind, &str), Error> {
    if text.len() > MAX {
        return Err(Error::Long);
    }
    let bare = text.strip_prefix(SCHEME).or_else(|| text.strip_prefix("freenet:")).unwrap_or(text);
    let (kind, rest) = bare.split_once('@').ok_or(Error::Kind)?;
    let kind = match kind {
        "CHK" => Kind::Chk,
        "SSK" => Kind::Ssk,
        "USK" => Kind::Usk,
        "KSK" => Kind::Ksk,
        _ => return Err(Error::Kind),
    };
    Ok((kind, rest))
}

/// What is before the first slash, and what is behind it if there is one.
fn split_slash(text: &str) -> (&str, Option<&str>) {
    text.split_once('/').map_or((text, None), |(head, tail)| (head, Some(tail)))
}

fn name(part: &str) -> Result<Name, Error> {
    match part {
        "" => Err(Error::NoName),
        _ => Ok(decoded(part)?.parse()?),
    }
}

fn word(part: &str) -> Result<Name, Error> {
    name(part)
}

fn path(text: Option<&str>) -> Result<Path, Error> {
    let Some(text) = text else { return Ok(Path::default()) };
    let mut parts = Vec::new();
    for part in text.strip_suffix('/').unwrap_or(text).split('/') {
        if part.is_empty() && text.is_empty() {
            return Ok(Path::default());
        }
        // Each part is checked alone, so that an encoded slash does not become one between parts.
        parts.push(decoded(part)?.parse::<Name>()?.to_string());
    }
    Ok(parts.join("/").parse()?)
}

/// The three fields between the `@` and the first slash.
struct Fields {
    /// A seed, if the key is one to publish with.
    first: Zeroizing<[u8; 32]>,
    crypto: CryptoKey,
    extra: Extra,
}

impl Fields {
    fn parse(text: &str) -> Result<Self, Error> {
        let mut fields = text.split(',');
        let (Some(first), Some(second), Some(extra), None) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            return Err(Error::Fields);
        };
        // The extra comes first: of Freenet's keys, the other fields have lengths of their own.
        let extra = match Extra::decode(field(extra, "last field")?) {
            Ok(extra) => extra,
            Err(ExtraError::Foreign) => return Err(Error::Freenet),
            Err(ExtraError::Unknown) => return Err(Error::Unknown),
        };
        let first = Zeroizing::new(field(first, "first field")?);
        Ok(Self { first, crypto: CryptoKey::from_bytes(field(second, "second field")?), extra })
    }

    /// The key of one who reads an owner's documents.
    fn reader(self) -> Result<SskKey, Error> {
        match self.extra {
            Extra { private: false, root: None } => {
                Ok(SskKey { public_hash: Key(*self.first), crypto: self.crypto })
            }
            Extra { private: true, root: None } => Err(Error::Private),
            Extra { .. } => Err(Error::Unknown),
        }
    }

    /// The key of an owner.
    fn owner(self) -> Result<OwnerKey, Error> {
        match self.extra {
            Extra { private: true, root: None } => Ok(OwnerKey::from_parts(*self.first, self.crypto)),
            Extra { private: false, root: None } => Err(Error::Public),
            Extra { .. } => Err(Error::Unknown),
        }
    }
}

fn field<const N: usize>(text: &str, what: &'static str) -> Result<[u8; N], Error> {
    base64::decode(text).map_err(|wrong| match wrong {
        Wrong::Length => Error::Length(what),
        Wrong::Letter => Error::Letter(what),
    })
}

fn push_reader(out: &mut String, kind: &str, key: &SskKey) {
    out.push_str(kind);
    push_fields(out, &key.public_hash.0, key.crypto.as_bytes(), Extra { private: false, root: None });
}

fn push_part(out: &mut String, part: &str) {
    out.push('/');
    push_encoded(out, part);
}

fn push_path(out: &mut String, path: &Path) {
    if !path.is_empty() {
        push_part(out, path.as_str());
    }
}

#[cfg(test)]
mod tests;
