//! Keys to publish with.

use std::fmt;
use std::str::FromStr;

use zeroize::Zeroizing;

use super::{Edition, Error, Fields, Kind, SCHEME, name, path, push_part, split_kind, split_slash, word};
use crate::keys::{Extra, OwnerKey, push_fields};
use crate::name::{Name, Path, push_encoded};
use crate::uri::Uri;

/// Where something is to be published. Has no `Display`, as most of these are secret: see [`Insert::expose`].
#[derive(Clone, PartialEq, Eq)]
pub enum Insert {
    /// Under the key that its bytes have (`CHK@`, or `CHK@/name`).
    Chk {
        /// A name for people, to stand behind the key; may be empty.
        path: Path,
    },
    /// As a document of an owner (`SSK@seed,crypto,extra/name`).
    Ssk {
        /// Whose.
        owner: OwnerKey,
        /// Which.
        name: Name,
    },
    /// As an edition of what an owner updates (`USK@seed,crypto,extra/name/EDITION`).
    Usk {
        /// Whose.
        owner: OwnerKey,
        /// Of what.
        name: Name,
        /// The edition, or where to look for the newest.
        edition: Edition,
    },
    /// Under a word (`KSK@word`).
    Ksk {
        /// The word.
        word: Name,
    },
}

impl fmt::Debug for Insert {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Chk { .. } => "Chk",
            Self::Ssk { .. } => "Ssk(..)",
            Self::Usk { .. } => "Usk(..)",
            Self::Ksk { .. } => "Ksk",
        })
    }
}

impl Insert {
    /// The key's text, with `allium:`; whoever has it can publish.
    pub fn expose(&self) -> Zeroizing<String> {
        let mut out = Zeroizing::new(String::with_capacity(512));
        out.push_str(SCHEME);
        match self {
            Self::Chk { path } => {
                out.push_str("CHK@");
                if !path.is_empty() {
                    push_part(&mut out, path.as_str());
                }
            }
            Self::Ssk { owner, name } => {
                push_owner(&mut out, "SSK@", owner);
                push_part(&mut out, name.as_str());
            }
            Self::Usk { owner, name, edition } => {
                push_owner(&mut out, "USK@", owner);
                push_part(&mut out, name.as_str());
                push_part(&mut out, &edition.to_string());
                out.push('/');
            }
            Self::Ksk { word } => {
                out.push_str("KSK@");
                push_encoded(&mut out, word.as_str());
            }
        }
        out
    }

    /// The key to read with what is published with this one; `None` for a CHK, which its bytes decide.
    pub fn public(&self) -> Option<Uri> {
        let path = Path::default();
        match self {
            Self::Chk { .. } => None,
            Self::Ssk { owner, name } => Some(Uri::Ssk { key: owner.reader(), name: name.clone(), path }),
            Self::Usk { owner, name, edition } => {
                Some(Uri::Usk { key: owner.reader(), name: name.clone(), edition: *edition, path })
            }
            Self::Ksk { word } => Some(Uri::Ksk { word: word.clone(), path }),
        }
    }
}

impl FromStr for Insert {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (kind, rest) = split_kind(text)?;
        let (head, tail) = split_slash(rest);
        let nothing =
            |tail: Option<&str>| if tail.is_none_or(str::is_empty) { Ok(()) } else { Err(Error::Path) };
        match kind {
            Kind::Chk if head.is_empty() => Ok(Self::Chk { path: path(tail)? }),
            Kind::Chk => Fields::parse(head).and(Err(Error::Public)),
            Kind::Ksk => {
                nothing(tail)?;
                Ok(Self::Ksk { word: word(head)? })
            }
            Kind::Ssk => {
                let owner = Fields::parse(head)?.owner()?;
                let (first, tail) = split_slash(tail.ok_or(Error::NoName)?);
                nothing(tail)?;
                Ok(Self::Ssk { owner, name: name(first)? })
            }
            Kind::Usk => {
                let owner = Fields::parse(head)?.owner()?;
                let (first, tail) = split_slash(tail.ok_or(Error::NoName)?);
                let (edition, tail) = split_slash(tail.ok_or(Error::Edition)?);
                nothing(tail)?;
                Ok(Self::Usk { owner, name: name(first)?, edition: edition.parse()? })
            }
        }
    }
}

impl OwnerKey {
    /// `allium:SSK@seed,crypto,extra/`, to which a name is appended; whoever has it can publish as this owner.
    pub fn expose(&self) -> Zeroizing<String> {
        let mut out = Zeroizing::new(String::with_capacity(128));
        out.push_str(SCHEME);
        push_owner(&mut out, "SSK@", self);
        out.push('/');
        out
    }
}

impl FromStr for OwnerKey {
    type Err = Error;

    /// Reads the key of an SSK or USK to publish with, whatever name follows it.
    fn from_str(text: &str) -> Result<Self, Error> {
        match split_kind(text)? {
            (Kind::Ssk | Kind::Usk, rest) => Fields::parse(split_slash(rest).0)?.owner(),
            _ => Err(Error::Kind),
        }
    }
}

fn push_owner(out: &mut String, kind: &str, owner: &OwnerKey) {
    out.push_str(kind);
    let extra = Extra { private: true, root: None };
    push_fields(out, &owner.signing().seed(), owner.crypto().as_bytes(), extra);
}
