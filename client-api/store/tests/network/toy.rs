//! Blocks of a few bytes that behave like the real ones, so that a network of hundreds of nodes fits a test.

use allium_store::{Flaw, Key, Stored, Version};
use bytes::Bytes;

/// A block: immutable, or signed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Toy {
    Content([u8; 16]),
    /// Anybody can make one in a test: the "signature" is a hash.
    Signed {
        signer: u64,
        version: u64,
    },
}

fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    *hasher.finalize().as_bytes()
}

impl Stored for Toy {
    const MAX: usize = 64;

    fn decode(bytes: &Bytes) -> Result<Self, Flaw> {
        Self::read(bytes).ok_or(Flaw::Junk)
    }

    fn encode(&self) -> Bytes {
        let mut out = Vec::new();
        match self {
            Self::Content(bytes) => {
                out.push(0);
                out.extend(bytes);
            }
            Self::Signed { signer, version } => {
                let (signer, version) = (signer.to_be_bytes(), version.to_be_bytes());
                out.push(1);
                out.extend(signer);
                out.extend(version);
                out.extend(&hash(&[b"signature", &signer, &version])[..8]);
            }
        }
        out.into()
    }

    fn key(&self) -> Key {
        match self {
            Self::Content(bytes) => Key(hash(&[b"content", bytes])),
            Self::Signed { signer, .. } => Key(hash(&[b"signer", &signer.to_be_bytes()])),
        }
    }

    fn version(&self) -> Version {
        match self {
            Self::Content(_) => Version::FIXED,
            Self::Signed { version, .. } => Version { number: version + 1, tie: 0 },
        }
    }
}

impl Toy {
    fn read(bytes: &[u8]) -> Option<Self> {
        match bytes.split_first()? {
            (0, rest) => Some(Self::Content(rest.try_into().ok()?)),
            (1, rest) => {
                let (signer, rest) = rest.split_first_chunk()?;
                let (version, signature) = rest.split_first_chunk()?;
                let right = hash(&[b"signature", signer, version]);
                let (signer, version) = (u64::from_be_bytes(*signer), u64::from_be_bytes(*version));
                (signature == &right[..8]).then_some(Self::Signed { signer, version })
            }
            _ => None,
        }
    }

    /// Bytes that a real block of this kind would have.
    pub(crate) fn real_size(encoded: &[u8]) -> u64 {
        if encoded.first() == Some(&1) { 1173 } else { 32 << 10 }
    }
}
