//! A manifest's bytes.

use std::collections::BTreeMap;

use super::{Entry, Error, HEAD, MAX_ENTRIES, MAX_INDEX, Manifest, Place};
use crate::codec::Reader;
use crate::keys::{Chk, RootKind};
use crate::media::MediaType;
use crate::name::{NameError, Path};
use crate::uri::Uri;

pub(super) const MAGIC: [u8; 4] = *b"amf\x01";

/// Bytes of the shortest entry: path of one letter, no type, packed.
const SHORTEST: usize = 2 + 1 + 1 + 8 + 1;

impl Manifest {
    /// Head and index; the packed files' bytes follow.
    pub fn encode(&self) -> Vec<u8> {
        let index = self.encode_index();
        let mut out = Vec::with_capacity(HEAD + index.len());
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&(index.len() as u32).to_be_bytes());
        out.extend_from_slice(&index);
        out
    }

    pub(super) fn encode_index(&self) -> Vec<u8> {
        let mut out = Vec::new();
        push_text(&mut out, self.default.as_ref().map_or("", Path::as_str));
        out.extend_from_slice(&(self.entries.len() as u32).to_be_bytes());
        for (path, entry) in &self.entries {
            push_text(&mut out, path.as_str());
            let media = entry.media.as_ref().map_or("", MediaType::as_str);
            out.push(media.len() as u8); // 127 at most
            out.extend_from_slice(media.as_bytes());
            out.extend_from_slice(&entry.length.to_be_bytes());
            match &entry.place {
                Place::Packed(_) => out.push(0),
                Place::File(chk) => {
                    out.push(1);
                    out.extend_from_slice(&chk.encode());
                }
                Place::Folder(chk) => {
                    out.push(2);
                    out.extend_from_slice(&chk.encode());
                }
                Place::Link(uri) => {
                    out.push(3);
                    push_text(&mut out, &uri.to_string());
                }
            }
        }
        out
    }

    /// How many bytes of index follow the head, of content of this length.
    ///
    /// # Errors
    /// [`Error::Version`] if it is no manifest; [`Error::Index`], [`Error::Lengths`].
    pub fn index_length(head: &[u8; HEAD], content_length: u64) -> Result<usize, Error> {
        let [a, b, c, version, length @ ..] = *head;
        let length = u32::from_be_bytes(length) as usize;
        if [a, b, c, version] != MAGIC {
            return Err(Error::Version);
        }
        if length > MAX_INDEX {
            return Err(Error::Index);
        }
        if (HEAD + length) as u64 > content_length {
            return Err(Error::Lengths);
        }
        Ok(length)
    }

    /// Reads an index, of content of this length.
    ///
    /// # Errors
    /// What is wrong with it; its publisher's fault.
    pub fn decode(index: &[u8], content_length: u64) -> Result<Self, Error> {
        if index.len() > MAX_INDEX {
            return Err(Error::Index);
        }
        let mut reader = Reader::new(index);
        let default = match reader.text().ok_or(Error::Malformed("the default document"))? {
            "" => None,
            path => Some(read_path(path)?),
        };
        let count = reader.u32().ok_or(Error::Malformed("the number of entries"))? as usize;
        if count > MAX_ENTRIES {
            return Err(Error::Entries);
        }
        if count * SHORTEST > reader.rest().len() {
            return Err(Error::Malformed("the number of entries"));
        }
        let mut entries = BTreeMap::new();
        for _ in 0..count {
            let (path, entry) = read_entry(&mut reader)?;
            if entries.last_key_value().is_some_and(|(last, _)| *last >= path) {
                return Err(Error::Twice);
            }
            entries.insert(path, entry);
        }
        if !reader.rest().is_empty() {
            return Err(Error::Malformed("its end"));
        }
        let mut manifest = Self { entries, default, index: index.len() as u64, packed: 0, total: 0 };
        manifest.check()?;
        if manifest.content_length() == content_length { Ok(manifest) } else { Err(Error::Lengths) }
    }
}

pub(super) fn push_text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u16).to_be_bytes()); // a path or URI: 12288 at most
    out.extend_from_slice(text.as_bytes());
}

/// A path in the spelling that is written.
fn read_path(text: &str) -> Result<Path, Error> {
    let path: Path = text.parse()?;
    if path.is_empty() || path.as_str() != text { Err(NameError::Slash.into()) } else { Ok(path) }
}

fn read_entry(reader: &mut Reader<'_>) -> Result<(Path, Entry), Error> {
    let path = read_path(reader.text().ok_or(Error::Malformed("a path"))?)?;
    let media = match reader.short_text().ok_or(Error::Malformed("a content type"))? {
        "" => None,
        text => Some(text.parse().map_err(|_| Error::Malformed("a content type"))?),
    };
    let length = reader.u64().ok_or(Error::Malformed("a length"))?;
    let malformed = Error::Malformed("where a file is");
    let chk = |reader: &mut Reader<'_>, kind| {
        let chk = Chk::decode(&reader.array().ok_or(malformed)?).ok_or(malformed)?;
        if chk.root == kind { Ok(chk) } else { Err(Error::Kind) }
    };
    let place = match reader.u8().ok_or(malformed)? {
        0 => Place::Packed(0),
        1 => Place::File(chk(reader, RootKind::Data)?),
        2 => Place::Folder(chk(reader, RootKind::Manifest)?),
        3 => {
            let text = reader.text().ok_or(malformed)?;
            let uri: Uri = text.parse().map_err(|_| malformed)?;
            if uri.to_string() != text {
                return Err(malformed);
            }
            Place::Link(uri)
        }
        _ => return Err(malformed),
    };
    let nothing = matches!(place, Place::Folder(_)) && media.is_some()
        || matches!(place, Place::Folder(_) | Place::Link(_)) && length != 0;
    if nothing {
        Err(Error::Malformed("a length or type"))
    } else {
        Ok((path, Entry { media, length, place }))
    }
}

/// Takes a manifest's content from its beginning until the index is complete.
#[derive(Debug)]
pub struct Loading {
    content_length: u64,
    held: Vec<u8>,
}

impl Loading {
    /// Of content of this length.
    pub fn new(content_length: u64) -> Self {
        Self { content_length, held: Vec::new() }
    }

    /// Bytes from the beginning that are needed, as far as is known.
    pub fn needs(&self) -> Result<u64, Error> {
        let Some(head) = self.held.first_chunk() else { return Ok(HEAD as u64) };
        Ok((HEAD + Manifest::index_length(head, self.content_length)?) as u64)
    }

    /// Takes the next bytes; gives the manifest once they are enough. What follows the index is left out.
    ///
    /// # Errors
    /// As [`Manifest::index_length`] and [`Manifest::decode`].
    pub fn take(&mut self, bytes: &[u8]) -> Result<Option<Manifest>, Error> {
        let mut rest = bytes;
        loop {
            let needs = self.needs()? as usize;
            if needs == self.held.len() && needs >= HEAD {
                break;
            }
            let (taken, after) = rest.split_at(rest.len().min(needs - self.held.len()));
            if taken.is_empty() {
                return Ok(None);
            }
            self.held.extend_from_slice(taken);
            rest = after;
        }
        Manifest::decode(self.held.get(HEAD..).unwrap_or_default(), self.content_length).map(Some)
    }
}
