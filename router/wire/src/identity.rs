//! Router identities and destinations: keys and a certificate (common structures, "KeysAndCert").

use std::fmt;

use allium_crypto::hash::sha256;
use allium_crypto::sign::{self, SignatureType};
use allium_crypto::x25519::PublicKey;
use bytes::Bytes;

use crate::{DestHash, Error, Reader, RouterHash, text};

/// Bytes of the two key fields together.
const KEYS: usize = 384;
/// Bytes of the field for the encryption key.
const ENCRYPTION_FIELD: usize = 256;
/// Bytes before a certificate's content.
const HEADER: usize = KEYS + 3;
/// The most bytes of an identity that are accepted: no type in use needs more.
const MAX: usize = 1024;

/// The encryption type of X25519 (ECIES).
pub(crate) const X25519: u16 = 4;

/// A router's identity.
pub type RouterIdentity = Identity;
/// A destination.
pub type Destination = Identity;

/// Public keys and a certificate that says of which types they are. Cheap to clone; the hash is known.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    bytes: Bytes,
    hash: [u8; 32],
    signature_type: u16,
    encryption_type: u16,
}

impl Identity {
    /// An identity of type X25519 (or 0, "unused", where there is no encryption key) and Ed25519. `padding` is
    /// repeated over the rest.
    pub(crate) fn make(encryption: Option<&PublicKey>, signing: &[u8; 32], padding: &[u8; 32]) -> Self {
        let mut bytes = Vec::with_capacity(HEADER + 4);
        if let Some(key) = encryption {
            bytes.extend_from_slice(key.as_bytes());
        }
        while bytes.len() < KEYS - 32 {
            bytes.extend_from_slice(padding);
        }
        bytes.extend_from_slice(signing);
        let kind = if encryption.is_some() { X25519 } else { 0 };
        bytes.extend_from_slice(&[5, 0, 4, 0, SignatureType::Ed25519 as u8]);
        bytes.extend_from_slice(&kind.to_be_bytes());
        let hash = sha256(&bytes);
        let signature_type = SignatureType::Ed25519.into();
        Self { bytes: bytes.into(), hash, signature_type, encryption_type: kind }
    }

    /// Takes an identity off a reader.
    ///
    /// # Errors
    /// Where it is cut short, or its certificate makes no sense. Types unknown here are no error: the identity is
    /// still somebody, whose signatures can't be checked.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let start = reader.peek();
        let mut inside = Reader::of(start, "an identity");
        inside.take(KEYS)?;
        let kind = inside.u8()?;
        let length = usize::from(inside.u16()?);
        let certificate = inside.take(length)?;
        if HEADER + length > MAX {
            return Err(Error::TooLong("an identity"));
        }
        let (signature_type, encryption_type) = match kind {
            0 if length == 0 => (0, 0),
            0 => return Err(Error::Invalid("a null certificate")),
            5 => {
                let mut certificate = Reader::of(certificate, "a key certificate");
                (certificate.u16()?, certificate.u16()?)
            }
            _ => (0, 0), // hidden, signed and multiple certificates: DSA keys, as before there were types
        };
        let bytes = Bytes::copy_from_slice(reader.take(HEADER + length)?);
        let hash = sha256(&bytes);
        let identity = Self { bytes, hash, signature_type, encryption_type };
        if let Ok(kind) = identity.signature_type() {
            // Keys longer than their field go on in the certificate.
            let excess = kind.public_len().saturating_sub(KEYS - ENCRYPTION_FIELD);
            if excess > length.saturating_sub(4) {
                return Err(Error::Truncated("an identity's signing key"));
            }
        }
        Ok(identity)
    }

    /// Reads an identity that is all of `bytes`.
    ///
    /// # Errors
    /// As [`Self::decode`], and where bytes are left over.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::of(bytes, "an identity");
        let identity = Self::decode(&mut reader)?;
        reader.finish()?;
        Ok(identity)
    }

    /// Reads an identity from I2P's base64.
    ///
    /// # Errors
    /// As [`Self::from_bytes`], and where the text is no base64.
    pub fn from_base64(base64: &str) -> Result<Self, Error> {
        if base64.len() > MAX * 2 {
            return Err(Error::TooLong("an identity"));
        }
        Self::from_bytes(&text::base64_decode(base64)?)
    }

    /// The identity as it goes over the wire: 391 bytes for today's types.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// I2P's base64 of it.
    pub fn to_base64(&self) -> String {
        text::base64_encode(&self.bytes)
    }

    /// SHA-256 of its bytes.
    pub fn hash(&self) -> [u8; 32] {
        self.hash
    }

    /// Its hash as a router's.
    pub fn router_hash(&self) -> RouterHash {
        RouterHash(self.hash)
    }

    /// Its hash as a destination's.
    pub fn dest_hash(&self) -> DestHash {
        DestHash(self.hash)
    }

    /// The number of its encryption type; 4 is X25519. Destinations do not use theirs: the LeaseSet has the keys.
    pub fn encryption_type(&self) -> u16 {
        self.encryption_type
    }

    /// Its X25519 key, where it is of that type.
    pub fn encryption_key(&self) -> Option<PublicKey> {
        let key = self.bytes.first_chunk::<32>()?;
        (self.encryption_type == X25519).then_some(PublicKey(*key))
    }

    /// The type of its signatures.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where the number is unknown here.
    pub fn signature_type(&self) -> Result<SignatureType, Error> {
        SignatureType::try_from(self.signature_type).map_err(|_| Error::Unsupported("a signature type"))
    }

    /// Bytes of its signatures.
    ///
    /// # Errors
    /// As [`Self::signature_type`].
    pub fn signature_len(&self) -> Result<usize, Error> {
        Ok(self.signature_type()?.signature_len())
    }

    /// Its signing key: right-aligned in its field, what does not fit there in the certificate.
    ///
    /// # Errors
    /// As [`Self::signature_type`].
    pub fn signing_key(&self) -> Result<Vec<u8>, Error> {
        let length = self.signature_type()?.public_len();
        let field = length.min(KEYS - ENCRYPTION_FIELD);
        let cut = || Error::Truncated("an identity's signing key");
        let mut key = self.bytes.get(KEYS - field..KEYS).ok_or_else(cut)?.to_vec();
        key.extend_from_slice(self.bytes.get(HEADER + 4..HEADER + 4 + length - field).unwrap_or_default());
        if key.len() == length { Ok(key) } else { Err(cut()) }
    }

    /// Checks a signature of this identity over the parts, one after the other.
    ///
    /// # Errors
    /// [`Error::Signature`] where it does not verify, [`Error::Unsupported`] where its type is unknown here.
    pub fn verify(&self, parts: &[&[u8]], signature: &[u8]) -> Result<(), Error> {
        let kind = self.signature_type()?;
        sign::verify(kind, &self.signing_key()?, parts, signature).map_err(|error| match error {
            allium_crypto::Error::UnsupportedSignature(_) => Error::Unsupported("a signature type"),
            _ => Error::Signature("an identity"),
        })
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", RouterHash(self.hash))
    }
}

impl std::hash::Hash for Identity {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.hash.hash(state);
    }
}
