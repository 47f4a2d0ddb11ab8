//! X25519 key pairs and key agreement (RFC 7748).

use std::fmt;
use std::ops::Deref;

use x25519_dalek as dalek;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{Error, Rng};

/// A public key: the u coordinate, little-endian.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(pub [u8; 32]);

impl PublicKey {
    /// The 32 bytes as they go over the wire.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for PublicKey {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl AsRef<[u8]> for PublicKey {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PublicKey(")?;
        for byte in self.0 {
            write!(formatter, "{byte:02x}")?;
        }
        formatter.write_str(")")
    }
}

/// A private key with its public key; wiped when dropped.
#[derive(Clone)]
pub struct StaticSecret {
    secret: dalek::StaticSecret,
    public: PublicKey,
}

opaque_debug!(StaticSecret, Shared);

impl ZeroizeOnDrop for StaticSecret {}

impl StaticSecret {
    /// A new key pair.
    pub fn generate(rng: &mut Rng) -> Self {
        Self::from_bytes(rng.array())
    }

    /// The key pair of these 32 private bytes; they are clamped when used, and kept as given.
    pub fn from_bytes(mut bytes: [u8; 32]) -> Self {
        let secret = dalek::StaticSecret::from(bytes);
        bytes.zeroize();
        let public = PublicKey(dalek::PublicKey::from(&secret).to_bytes());
        Self { secret, public }
    }

    /// The private bytes, as they were given or drawn.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.secret.to_bytes())
    }

    /// The public key (computed once, when the pair was made).
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// The secret shared with the owner of `public`.
    ///
    /// # Errors
    /// [`Error::BadKey`] if the peer's key has a small order, so that the result would be known to anyone.
    pub fn dh(&self, public: &PublicKey) -> Result<Shared, Error> {
        let shared = self.secret.diffie_hellman(&dalek::PublicKey::from(public.0));
        if shared.was_contributory() { Ok(Shared(shared.to_bytes())) } else { Err(Error::BadKey) }
    }
}

/// A shared secret; wiped when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Shared([u8; 32]);

impl Deref for Shared {
    type Target = [u8; 32];

    fn deref(&self) -> &[u8; 32] {
        &self.0
    }
}

#[cfg(test)]
mod tests;
