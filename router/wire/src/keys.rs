//! Private keys, and the files in which routers keep them.

use allium_crypto::Rng;
use allium_crypto::sign::{SignatureType, SigningKey};
use allium_crypto::x25519::StaticSecret;
use allium_crypto::zeroize::Zeroizing;

use crate::{Destination, Error, Identity, Reader, RouterHash, RouterIdentity, text};

/// Bytes of the private encryption key's place in a key file, by the type of the identity.
fn slot(encryption_type: u16) -> usize {
    if encryption_type == 0 { 256 } else { 32 }
}

/// A router's identity with its private keys.
#[derive(Clone)]
pub struct RouterKeys {
    identity: RouterIdentity,
    encryption: StaticSecret,
    signing: SigningKey,
}

impl RouterKeys {
    /// New keys.
    pub fn generate(rng: &mut Rng) -> Self {
        let (encryption, signing) = (StaticSecret::generate(rng), SigningKey::generate(rng));
        let identity = Identity::make(Some(&encryption.public()), &signing.public(), &rng.array());
        Self { identity, encryption, signing }
    }

    /// The public half.
    pub fn identity(&self) -> &RouterIdentity {
        &self.identity
    }

    /// The router's hash.
    pub fn hash(&self) -> RouterHash {
        self.identity.router_hash()
    }

    /// The key that build records and router garlic are sealed to.
    pub fn encryption(&self) -> &StaticSecret {
        &self.encryption
    }

    /// The key that signs the RouterInfo.
    pub fn signing(&self) -> &SigningKey {
        &self.signing
    }

    /// The content of a `router.keys` file: identity, encryption key, signing key.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(Vec::with_capacity(455));
        out.extend_from_slice(self.identity.bytes());
        out.extend_from_slice(&*self.encryption.to_bytes());
        out.extend_from_slice(&*self.signing.seed());
        out
    }

    /// Reads a `router.keys` file.
    ///
    /// # Errors
    /// Where it is cut short, of other types than X25519 and Ed25519, or where private and public keys do not
    /// belong together.
    pub fn decode(file: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::of(file, "router.keys");
        let identity = Identity::decode(&mut reader)?;
        let public = identity.encryption_key().ok_or(Error::Unsupported("the router's encryption type"))?;
        if identity.signature_type()? != SignatureType::Ed25519 {
            return Err(Error::Unsupported("the router's signature type"));
        }
        let encryption = StaticSecret::from_bytes(reader.array()?);
        let signing = SigningKey::from_seed(reader.array()?);
        reader.finish()?;
        if encryption.public() != public || identity.signing_key()? != signing.public() {
            return Err(Error::Invalid("router.keys: the private keys do not fit the identity"));
        }
        Ok(Self { identity, encryption, signing })
    }
}

/// A destination with its private signing key. (What its garlic is sealed to is in the LeaseSet, a key apart.)
#[derive(Clone)]
pub struct DestinationKeys {
    destination: Destination,
    signing: SigningKey,
    unused: Zeroizing<Vec<u8>>,
}

impl DestinationKeys {
    /// A new destination.
    pub fn generate(rng: &mut Rng) -> Self {
        let signing = SigningKey::generate(rng);
        let destination = Identity::make(None, &signing.public(), &rng.array());
        let mut unused = Zeroizing::new(vec![0; slot(destination.encryption_type())]);
        rng.fill(&mut unused);
        Self { destination, signing, unused }
    }

    /// The public half.
    pub fn destination(&self) -> &Destination {
        &self.destination
    }

    /// The key that signs for the destination.
    pub fn signing(&self) -> &SigningKey {
        &self.signing
    }

    /// The content of a key file, as i2pd and Java I2P write them: destination, the unused encryption key's place,
    /// signing key.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(Vec::with_capacity(679));
        out.extend_from_slice(self.destination.bytes());
        out.extend_from_slice(&self.unused);
        out.extend_from_slice(&*self.signing.seed());
        out
    }

    /// Reads a key file, binary or base64.
    ///
    /// # Errors
    /// Where it is cut short, signs with another type than Ed25519, signs offline, or where the private key does not
    /// belong to the destination.
    pub fn decode(file: &[u8]) -> Result<Self, Error> {
        let text = std::str::from_utf8(file).ok().map(str::trim);
        match text.and_then(|text| text::base64_decode(text).ok()).map(Zeroizing::new) {
            Some(binary) => Self::decode_binary(&binary),
            None => Self::decode_binary(file),
        }
    }

    fn decode_binary(file: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::of(file, "the key file");
        let destination = Identity::decode(&mut reader)?;
        if destination.signature_type()? != SignatureType::Ed25519 {
            return Err(Error::Unsupported("the destination's signature type"));
        }
        let unused = Zeroizing::new(reader.take(slot(destination.encryption_type()))?.to_vec());
        let seed: Zeroizing<[u8; 32]> = Zeroizing::new(reader.array()?);
        if *seed == [0; 32] {
            return Err(Error::Unsupported("a destination that signs offline"));
        }
        reader.finish()?;
        let signing = SigningKey::from_seed(*seed);
        if destination.signing_key()? != signing.public() {
            return Err(Error::Invalid("the key file: the private key does not fit the destination"));
        }
        Ok(Self { destination, signing, unused })
    }
}

#[cfg(test)]
mod tests;
