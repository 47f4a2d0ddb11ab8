//! Signed blocks: documents that their owner can name and replace, at a key that only readers can work out.
//!
//! A node that stores one sees a public key, a hidden name, a version and a signature over all of it. It can check
//! that the block belongs at its key and comes from the key's owner; it can neither read it nor learn its name, nor
//! find other documents of the same owner without seeing that they bear the same public key.

use std::cmp::Ordering;
use std::fmt;

use allium_crypto::chacha;
use allium_crypto::sign::{SignatureType, verify};
use bytes::Bytes;
use zeroize::Zeroizing;

use crate::block::{Error, Key};
use crate::codec::{Reader, is_zero};
use crate::keys::{Chk, CryptoKey, OwnerKey, SskKey, context, derive};
use crate::media::MediaType;
use crate::uri::Uri;

/// Bytes of the sealed payload.
pub const PAYLOAD: usize = 1024;

/// Most bytes of a document that is in the block itself, its content type (and a byte) included.
pub const INLINE: usize = PAYLOAD - 4;

const VERSION: u8 = 1;
const SIGNATURE: usize = 64;
const UNSIGNED: usize = 1 + 32 + 32 + 8 + 12 + PAYLOAD;
/// What is signed before the block's own bytes, so that no signature for something else fits.
const SIGNED_AS: &[u8] = b"allium content 1: signed block";

/// What a document is called, before the name is hidden.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot<'a> {
    /// The document of an SSK, or of one edition of a USK (`name-N`).
    Document(&'a str),
    /// The newest edition of the USK of this name: a document that its owner replaces with every edition, and whose
    /// version is that edition. A hint, which spares readers the search.
    Newest(&'a str),
}

impl Slot<'_> {
    /// The hidden name: a hash that only readers can make.
    fn hidden(self, crypto: &CryptoKey) -> [u8; 32] {
        let (kind, name) = match self {
            Self::Document(name) => (0, name),
            Self::Newest(name) => (1, name),
        };
        derive(context::HIDDEN_NAME, &[&crypto.0, &[kind], name.as_bytes()])
    }
}

impl SskKey {
    /// The routing key of a document.
    pub fn locate(&self, slot: Slot<'_>) -> Key {
        routing(&self.public_hash, &slot.hidden(&self.crypto))
    }
}

fn routing(public_hash: &Key, hidden: &[u8; 32]) -> Key {
    Key(derive(context::SIGNED_KEY, &[&public_hash.0, hidden]))
}

/// What a document says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The content is at a CHK.
    Redirect(Chk),
    /// The content is here: together with its type [`INLINE`] bytes at most.
    Inline {
        /// Its type, if it was given.
        media: Option<MediaType>,
        /// All of it.
        data: Bytes,
    },
    /// The content is at another key of any kind.
    Link(Uri),
}

impl Target {
    const REDIRECT: u8 = 1;
    const INLINE: u8 = 2;
    const LINK: u8 = 3;

    /// Kind (1 byte), length (2), body, zeros.
    fn encode(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        let (kind, body) = match self {
            Self::Redirect(chk) => (Self::REDIRECT, chk.encode().to_vec()),
            Self::Inline { media, data } => {
                let media = media.as_ref().map_or("", MediaType::as_str);
                let mut body = vec![media.len() as u8]; // 127 at most
                body.extend_from_slice(media.as_bytes());
                body.extend_from_slice(data);
                (Self::INLINE, body)
            }
            Self::Link(uri) => (Self::LINK, uri.to_string().into_bytes()),
        };
        if body.len() > PAYLOAD - 3 {
            return Err(Error::TooLarge(body.len()));
        }
        let mut out = Zeroizing::new(Vec::with_capacity(PAYLOAD));
        out.push(kind);
        out.extend_from_slice(&(body.len() as u16).to_be_bytes());
        out.extend_from_slice(&body);
        out.resize(PAYLOAD, 0);
        Ok(out)
    }

    /// Reads the payload of a signed block, whose owner may have put anything there.
    pub fn decode(plain: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(plain);
        let kind = reader.u8()?;
        let length = usize::from(reader.u16()?);
        let mut body = Reader::new(reader.take(length)?);
        if !is_zero(reader.rest()) {
            return None;
        }
        match kind {
            Self::REDIRECT => {
                let chk = Chk::decode(&body.array()?)?;
                body.rest().is_empty().then_some(Self::Redirect(chk))
            }
            Self::INLINE => {
                let media = match body.short_text()? {
                    "" => None,
                    text => Some(text.parse().ok()?),
                };
                Some(Self::Inline { media, data: Bytes::copy_from_slice(body.rest()) })
            }
            Self::LINK => std::str::from_utf8(body.rest()).ok()?.parse().ok().map(Self::Link),
            _ => None,
        }
    }

    /// Whether a document of this type and length can be in the block itself.
    pub fn fits(media: Option<&MediaType>, length: usize) -> bool {
        length.saturating_add(media.map_or(0, |media| media.as_str().len())) <= INLINE
    }
}

/// A document, sealed and signed. Its signature has been checked.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedBlock {
    key: Key,
    version: u64,
    bytes: Bytes,
}

impl fmt::Debug for SignedBlock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SignedBlock({}, version {})", self.key, self.version)
    }
}

/// The fields of the bytes: `VERSION public[32] hidden[32] version[8] nonce[12] payload[1024] signature[64]`.
struct Fields<'a> {
    public: &'a [u8; 32],
    hidden: &'a [u8; 32],
    version: u64,
    nonce: &'a [u8; 12],
    payload: &'a [u8],
}

impl<'a> Fields<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let (public, rest) = bytes.get(1..)?.split_first_chunk()?;
        let (hidden, rest) = rest.split_first_chunk()?;
        let (version, rest) = rest.split_first_chunk()?;
        let (nonce, rest) = rest.split_first_chunk()?;
        let version = u64::from_be_bytes(*version);
        Some(Self { public, hidden, version, nonce, payload: rest.get(..PAYLOAD)? })
    }
}

impl SignedBlock {
    /// Bytes of every signed block.
    pub const LEN: usize = UNSIGNED + SIGNATURE;

    /// Seals and signs a document. The same arguments give the same block. `version` says which of two blocks at the
    /// same key is newer; documents that stay as they are have 0, [`Slot::Newest`] has the edition.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if the target does not fit.
    pub fn seal(owner: &OwnerKey, slot: Slot<'_>, version: u64, target: &Target) -> Result<Self, Error> {
        let mut payload = target.encode()?;
        let public = owner.signing().public();
        let hidden = slot.hidden(owner.crypto());
        let key = Zeroizing::new(derive(context::SIGNED_CRYPTO, &[&owner.crypto().0, &hidden]));
        // A hash of all that is sealed, under a secret: two documents never share a key stream.
        let seed = derive(context::SIGNED_NONCE, &[&key[..], &version.to_be_bytes(), &payload]);
        let nonce: [u8; 12] = seed.first_chunk().copied().unwrap_or_default();
        chacha::xor(&key, &nonce, 0, &mut payload);
        let mut bytes = Vec::with_capacity(Self::LEN);
        bytes.push(VERSION);
        for field in [&public[..], &hidden, &version.to_be_bytes(), &nonce, &payload] {
            bytes.extend_from_slice(field);
        }
        let signature = owner.signing().sign(&[SIGNED_AS, &bytes]);
        bytes.extend_from_slice(&signature);
        Ok(Self { key: routing(&SskKey::hash(&public), &hidden), version, bytes: bytes.into() })
    }

    /// Reads a signed block and checks its signature.
    ///
    /// # Errors
    /// [`Error::Length`], [`Error::Version`], [`Error::Signature`].
    pub fn decode(bytes: Bytes) -> Result<Self, Error> {
        if bytes.len() != Self::LEN {
            return Err(Error::Length(bytes.len()));
        }
        let version = bytes.first().copied().unwrap_or_default();
        if version != VERSION {
            return Err(Error::Version(version));
        }
        let fields = Fields::read(&bytes).ok_or(Error::Length(bytes.len()))?;
        let (signed, signature) = bytes.split_at_checked(UNSIGNED).ok_or(Error::Length(bytes.len()))?;
        verify(SignatureType::Ed25519, fields.public, &[SIGNED_AS, signed], signature)
            .map_err(|_| Error::Signature)?;
        let key = routing(&SskKey::hash(fields.public), fields.hidden);
        Ok(Self { key, version: fields.version, bytes })
    }

    /// The block's name.
    pub fn key(&self) -> Key {
        self.key
    }

    /// Which of the owner's versions this is: a higher one replaces a lower one at the same key.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// All of it, as [`Self::decode`] reads it.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// How two blocks at the same key are ordered: by version, then by a hash of their bytes. The greater one is the
    /// one to keep; equal blocks are the same.
    pub fn order(&self, other: &Self) -> Ordering {
        let rank = |block: &Self| derive(context::SIGNED_VERSION, &[&block.bytes]);
        self.version.cmp(&other.version).then_with(|| {
            if self.bytes == other.bytes { Ordering::Equal } else { rank(self).cmp(&rank(other)) }
        })
    }

    /// Reads the document as one who has the owner's URI.
    ///
    /// # Errors
    /// [`Error::OtherKey`] if it is another owner's or another document; [`Error::Malformed`] if its owner put
    /// nothing valid into it.
    pub fn open(&self, reader: &SskKey, slot: Slot<'_>) -> Result<Target, Error> {
        let fields = Fields::read(&self.bytes).ok_or(Error::Malformed)?;
        let hidden = slot.hidden(&reader.crypto);
        if self.key != routing(&reader.public_hash, &hidden) {
            return Err(Error::OtherKey);
        }
        let key = Zeroizing::new(derive(context::SIGNED_CRYPTO, &[&reader.crypto.0, &hidden]));
        let mut plain = Zeroizing::new(fields.payload.to_vec());
        chacha::xor(&key, fields.nonce, 0, &mut plain);
        Target::decode(&plain).ok_or(Error::Malformed)
    }
}

#[cfg(test)]
mod tests;
