//! Primitives of the I2P protocols: keys, AEAD, DH, signatures, Noise state, tunnel layer cipher, Elligator2.
//!
//! Nothing in here reads a clock, the operating system's randomness or a global: all randomness comes from
//! an [`Rng`] that the caller seeds and forks. Byte orders are the protocols' own: X25519 and Ed25519 keys,
//! SipHash words and AEAD nonces (four zero bytes, then the counter) are little-endian.

/// A `Debug` that shows the type's name and none of its (secret) contents.
macro_rules! opaque_debug {
    ($($name:ident),+) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    )+};
}

pub mod aead;
pub mod aes_cbc;
pub mod chacha;
pub mod elligator2;
mod field;
pub mod hash;
pub mod layer;
pub mod noise;
mod rng;
pub mod sign;
pub mod sip;
#[cfg(test)]
mod vectors;
pub mod x25519;

pub use rng::{Rng, Seeded};
pub use zeroize;

/// A hash map whose order and collisions depend only on the [`Rng`] that made its hasher:
/// `HashMap::with_hasher(rng.hasher())`.
pub type HashMap<K, V> = hashbrown::HashMap<K, V, Seeded>;

/// A hash set whose order and collisions depend only on the [`Rng`] that made its hasher.
pub type HashSet<K> = hashbrown::HashSet<K, Seeded>;

/// What can go wrong with a peer's bytes (or, for [`Error::BadKey`], with a stored key).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The tag of a sealed message does not fit: the sender used another key, or someone changed it.
    #[error("the sender's message does not authenticate")]
    Authentication,
    /// A public key of the peer (or a stored key) is no key, or is one of small order.
    #[error("not a usable key")]
    BadKey,
    /// The signature was not made by the owner of the key over these bytes.
    #[error("the signature does not verify")]
    BadSignature,
    /// A signature type that this router cannot check; the sender may be honest.
    #[error("signature type {0} is not supported")]
    UnsupportedSignature(u16),
    /// The sender's bytes are too few or too many for what they claim to be.
    #[error("wrong length")]
    Length,
}

/// Whether two byte strings are equal, in a time that depends on their lengths alone.
pub fn ct_eq(a: &[u8], b: &[u8]) -> bool {
    subtle::ConstantTimeEq::ct_eq(a, b).into()
}
