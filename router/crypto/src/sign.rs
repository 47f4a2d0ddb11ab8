//! Signatures: Ed25519 both ways, RedDSA and ECDSA verification (common structures, "Signature").

use ed25519_dalek as dalek;
use ed25519_dalek::ed25519::signature::{MultipartSigner, MultipartVerifier};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, EcdsaVerificationAlgorithm, UnparsedPublicKey,
};
use zeroize::{Zeroize, Zeroizing};

use crate::{Error, Rng};

/// An Ed25519 key pair (signature type 7); wiped when dropped.
#[derive(Clone)]
pub struct SigningKey(dalek::SigningKey);

opaque_debug!(SigningKey);

impl zeroize::ZeroizeOnDrop for SigningKey {}

impl SigningKey {
    /// A new key pair.
    pub fn generate(rng: &mut Rng) -> Self {
        Self::from_seed(rng.array())
    }

    /// The key pair of a 32-byte seed, the form in which I2P stores private keys of this type.
    pub fn from_seed(mut seed: [u8; 32]) -> Self {
        let key = dalek::SigningKey::from_bytes(&seed);
        seed.zeroize();
        Self(key)
    }

    /// The 32-byte seed.
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public key.
    pub fn public(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    /// Signs the parts, one after the other.
    pub fn sign(&self, parts: &[&[u8]]) -> [u8; 64] {
        MultipartSigner::multipart_sign(&self.0, parts).to_bytes()
    }
}

/// A signature type, as key certificates number it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
pub enum SignatureType {
    /// DSA with SHA-1: identities without a key certificate.
    DsaSha1 = 0,
    /// ECDSA on P-256 with SHA-256.
    EcdsaP256 = 1,
    /// ECDSA on P-384 with SHA-384.
    EcdsaP384 = 2,
    /// ECDSA on P-521 with SHA-512.
    EcdsaP521 = 3,
    /// RSA, 2048 bits, with SHA-256.
    Rsa2048 = 4,
    /// RSA, 3072 bits, with SHA-384.
    Rsa3072 = 5,
    /// RSA, 4096 bits, with SHA-512: SU3 files only.
    Rsa4096 = 6,
    /// Ed25519 with SHA-512: every router and nearly every destination.
    Ed25519 = 7,
    /// Ed25519ph with SHA-512: SU3 files only.
    Ed25519ph = 8,
    /// RedDSA on Ed25519 with SHA-512: blinded keys of encrypted lease sets.
    RedDsa = 11,
}

impl TryFrom<u16> for SignatureType {
    type Error = Error;

    fn try_from(number: u16) -> Result<Self, Error> {
        Ok(match number {
            0 => Self::DsaSha1,
            1 => Self::EcdsaP256,
            2 => Self::EcdsaP384,
            3 => Self::EcdsaP521,
            4 => Self::Rsa2048,
            5 => Self::Rsa3072,
            6 => Self::Rsa4096,
            7 => Self::Ed25519,
            8 => Self::Ed25519ph,
            11 => Self::RedDsa,
            other => return Err(Error::UnsupportedSignature(other)),
        })
    }
}

impl From<SignatureType> for u16 {
    fn from(kind: SignatureType) -> Self {
        kind as Self
    }
}

impl SignatureType {
    /// Bytes of a public key.
    pub fn public_len(self) -> usize {
        match self {
            Self::DsaSha1 => 128,
            Self::EcdsaP256 => 64,
            Self::EcdsaP384 => 96,
            Self::EcdsaP521 => 132,
            Self::Rsa2048 => 256,
            Self::Rsa3072 => 384,
            Self::Rsa4096 => 512,
            Self::Ed25519 | Self::Ed25519ph | Self::RedDsa => 32,
        }
    }

    /// Bytes of a signature.
    pub fn signature_len(self) -> usize {
        match self {
            Self::DsaSha1 => 40,
            Self::Ed25519 | Self::Ed25519ph | Self::RedDsa => 64,
            other => other.public_len(),
        }
    }
}

/// Checks a signature over the parts, one after the other. ECDSA public keys are `x || y` and signatures
/// `r || s`, both of fixed length, as I2P has them.
///
/// # Errors
/// [`Error::Length`] for a key or signature of another length than its type has; [`Error::BadKey`] for an
/// Ed25519 key that is no point; [`Error::BadSignature`] if the signature does not verify;
/// [`Error::UnsupportedSignature`] for types other than Ed25519, RedDSA, ECDSA P-256 and P-384.
pub fn verify(kind: SignatureType, public: &[u8], message: &[&[u8]], signature: &[u8]) -> Result<(), Error> {
    if public.len() != kind.public_len() || signature.len() != kind.signature_len() {
        return Err(Error::Length);
    }
    match kind {
        // RedDSA differs in how keys and nonces are made; the equation that verifies is Ed25519's.
        SignatureType::Ed25519 | SignatureType::RedDsa => verify_edwards(public, message, signature),
        SignatureType::EcdsaP256 => verify_ecdsa(&ECDSA_P256_SHA256_FIXED, public, message, signature),
        SignatureType::EcdsaP384 => verify_ecdsa(&ECDSA_P384_SHA384_FIXED, public, message, signature),
        other => Err(Error::UnsupportedSignature(other.into())),
    }
}

fn verify_edwards(public: &[u8], message: &[&[u8]], signature: &[u8]) -> Result<(), Error> {
    let key = dalek::VerifyingKey::try_from(public).map_err(|_| Error::BadKey)?;
    let signature = dalek::Signature::from_slice(signature).map_err(|_| Error::Length)?;
    key.multipart_verify(message, &signature).map_err(|_| Error::BadSignature)
}

fn verify_ecdsa(
    algorithm: &'static EcdsaVerificationAlgorithm,
    public: &[u8],
    message: &[&[u8]],
    signature: &[u8],
) -> Result<(), Error> {
    let point = [&[4], public].concat(); // the mark of an uncompressed point
    let message = message.concat();
    UnparsedPublicKey::new(algorithm, point).verify(&message, signature).map_err(|_| Error::BadSignature)
}

#[cfg(test)]
mod tests;
