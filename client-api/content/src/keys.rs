//! What URIs carry: routing keys, encryption keys, signing keys, and the mark of allium's own algorithms.

use std::fmt;

use allium_crypto::Rng;
use allium_crypto::sign::SigningKey;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::base64;
use crate::block::Key;

/// BLAKE3's contexts, one for each use, so that no hash of one kind is ever one of another.
pub(crate) mod context {
    pub(crate) const CONTENT_KEY: &str = "allium content 1: routing key of a content block";
    pub(crate) const ROOT_CRYPTO: &str = "allium content 1: encryption key of a root";
    pub(crate) const SEGMENT_CRYPTO: &str = "allium content 1: encryption key of a segment";
    pub(crate) const PRIVATE: &str = "allium content 1: keys of private content";
    pub(crate) const PUBLIC_HASH: &str = "allium content 1: hash of a public key";
    pub(crate) const HIDDEN_NAME: &str = "allium content 1: hidden name of a signed block";
    pub(crate) const SIGNED_KEY: &str = "allium content 1: routing key of a signed block";
    pub(crate) const SIGNED_CRYPTO: &str = "allium content 1: encryption key of a signed block";
    pub(crate) const SIGNED_NONCE: &str = "allium content 1: nonce of a signed block";
    pub(crate) const SIGNED_VERSION: &str = "allium content 1: order of equal versions";
    pub(crate) const WORD_SIGNING: &str = "allium content 1: signing key of a word";
    pub(crate) const WORD_CRYPTO: &str = "allium content 1: encryption key of a word";
}

/// BLAKE3 in key derivation mode over the parts, one after the other.
pub(crate) fn derive(context: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key(context);
    for part in parts {
        hasher.update(part);
    }
    *hasher.finalize().as_bytes()
}

/// A key that content is encrypted under. Whoever has it can read that content; wiped when dropped, never printed
/// but inside a URI.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Zeroize, ZeroizeOnDrop)]
pub struct CryptoKey(pub(crate) [u8; 32]);

impl CryptoKey {
    /// The key of these bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key's bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for CryptoKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("CryptoKey").finish_non_exhaustive()
    }
}

/// Whether others who publish the same bytes get the same keys.
///
/// Every encryption key is a hash of what it encrypts, so the same bytes are the same blocks for everybody. That also
/// means: who has the same bytes can tell that they are stored. Private content mixes a secret in, and only who has
/// the secret gets the same keys for the same bytes again (a put that was interrupted goes on where it stopped).
#[derive(Clone, Default)]
pub enum Secrecy {
    /// The same bytes have the same keys for everybody.
    #[default]
    Convergent,
    /// The same bytes have the same keys only with the same secret.
    Private(Zeroizing<[u8; 32]>),
}

impl fmt::Debug for Secrecy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if matches!(self, Self::Convergent) { "Convergent" } else { "Private" })
    }
}

impl Secrecy {
    /// Private, with a new secret.
    pub fn private(rng: &mut Rng) -> Self {
        Self::Private(Zeroizing::new(rng.array()))
    }

    /// The encryption key of these bytes.
    pub(crate) fn key(&self, context: &str, plain: &[&[u8]]) -> CryptoKey {
        let convergent = Zeroizing::new(derive(context, plain));
        CryptoKey(match self {
            Self::Convergent => *convergent,
            Self::Private(secret) => derive(context::PRIVATE, &[&secret[..], &convergent[..]]),
        })
    }
}

/// What a CHK is the key of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RootKind {
    /// One file.
    Data,
    /// A folder: a [`manifest`](crate::manifest).
    Manifest,
}

impl RootKind {
    /// The byte that stands for it.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Data => 0,
            Self::Manifest => 1,
        }
    }

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Data),
            1 => Some(Self::Manifest),
            _ => None,
        }
    }
}

/// The five bytes of a URI's third field: mark, private or public, version, what the key is of, zero.
///
/// Freenet's own begin with 0 (CHK) or 1 (SSK), so none of its keys is taken for one of these; its programs take the
/// second byte for "private", as it is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extra {
    pub(crate) private: bool,
    /// `None` for signed keys.
    pub(crate) root: Option<RootKind>,
}

/// What `extra` says when it isn't for this version of allium.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExtraError {
    /// No mark of allium: a key of Freenet's (or nobody's).
    Foreign,
    /// Allium's, but of a kind or version not known here.
    Unknown,
}

impl Extra {
    /// The first byte of every allium key's `extra`.
    pub(crate) const MARK: u8 = 0xa1;
    const VERSION: u8 = 1;
    const SIGNED: u8 = 2;

    pub(crate) fn encode(self) -> [u8; 5] {
        let kind = self.root.map_or(Self::SIGNED, RootKind::code);
        [Self::MARK, u8::from(self.private), Self::VERSION, kind, 0]
    }

    pub(crate) fn decode(bytes: [u8; 5]) -> Result<Self, ExtraError> {
        match bytes {
            [Self::MARK, private @ 0..=1, Self::VERSION, kind, 0] => {
                let root = RootKind::from_code(kind);
                if root.is_none() && kind != Self::SIGNED || root.is_some() && private == 1 {
                    return Err(ExtraError::Unknown);
                }
                Ok(Self { private: private == 1, root })
            }
            [Self::MARK, ..] => Err(ExtraError::Unknown),
            _ => Err(ExtraError::Foreign),
        }
    }
}

/// The key of immutable content: where its root block is, and how to read it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Chk {
    /// The root block's name.
    pub routing: Key,
    /// What the root block is encrypted under.
    pub crypto: CryptoKey,
    /// What it is the key of; the root says so too, and must agree.
    pub root: RootKind,
}

impl Chk {
    /// Bytes of an encoded CHK.
    pub const LEN: usize = 69;

    /// Routing key, encryption key, extra.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let extra = Extra { private: false, root: Some(self.root) }.encode();
        let mut out = [0; Self::LEN];
        let fields = self.routing.0.iter().chain(&self.crypto.0).chain(&extra);
        for (place, byte) in out.iter_mut().zip(fields) {
            *place = *byte;
        }
        out
    }

    /// Reads what [`Self::encode`] wrote; `None` if it is no CHK of this version.
    pub fn decode(bytes: &[u8; Self::LEN]) -> Option<Self> {
        let (routing, rest) = bytes.split_first_chunk()?;
        let (crypto, extra) = rest.split_first_chunk()?;
        let extra = Extra::decode(*extra.first_chunk()?).ok()?;
        Some(Self { routing: Key(*routing), crypto: CryptoKey(*crypto), root: extra.root? })
    }
}

/// What reads the documents of one owner: the hash of the owner's public key, and what names and documents are
/// encrypted under.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SskKey {
    /// BLAKE3 hash of the public key, in its own context.
    pub public_hash: Key,
    /// Hides the names and the documents.
    pub crypto: CryptoKey,
}

impl SskKey {
    /// The hash that stands for a public key.
    pub(crate) fn hash(public: &[u8; 32]) -> Key {
        Key(derive(context::PUBLIC_HASH, &[public]))
    }
}

/// What publishes documents: the signing key of an owner, and what hides the documents. Both are secret.
#[derive(Clone)]
pub struct OwnerKey {
    signing: SigningKey,
    crypto: CryptoKey,
}

impl fmt::Debug for OwnerKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("OwnerKey").finish_non_exhaustive()
    }
}

impl PartialEq for OwnerKey {
    fn eq(&self, other: &Self) -> bool {
        allium_crypto::ct_eq(&self.signing.seed()[..], &other.signing.seed()[..])
            & allium_crypto::ct_eq(&self.crypto.0, &other.crypto.0)
    }
}

impl Eq for OwnerKey {}

impl OwnerKey {
    /// A new key pair.
    pub fn generate(rng: &mut Rng) -> Self {
        Self { signing: SigningKey::generate(rng), crypto: CryptoKey(rng.array()) }
    }

    /// The key pair of a word: everybody who guesses the word has it, can read and can publish under it.
    pub fn from_word(word: &str) -> Self {
        Self {
            signing: SigningKey::from_seed(derive(context::WORD_SIGNING, &[word.as_bytes()])),
            crypto: CryptoKey(derive(context::WORD_CRYPTO, &[word.as_bytes()])),
        }
    }

    pub(crate) fn from_parts(seed: [u8; 32], crypto: CryptoKey) -> Self {
        Self { signing: SigningKey::from_seed(seed), crypto }
    }

    pub(crate) fn signing(&self) -> &SigningKey {
        &self.signing
    }

    pub(crate) fn crypto(&self) -> &CryptoKey {
        &self.crypto
    }

    /// What reads this owner's documents.
    pub fn reader(&self) -> SskKey {
        SskKey { public_hash: SskKey::hash(&self.signing.public()), crypto: self.crypto.clone() }
    }
}

/// Appends `first,second,extra`.
pub(crate) fn push_fields(out: &mut String, first: &[u8; 32], second: &[u8; 32], extra: Extra) {
    base64::push(out, first);
    out.push(',');
    base64::push(out, second);
    out.push(',');
    base64::push(out, &extra.encode());
}
