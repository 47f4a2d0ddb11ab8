//! RouterInfo: what a router tells the network of itself (common structures, "RouterInfo").

use bytes::Bytes;

use allium_crypto::x25519::PublicKey;

use crate::signed::SelfSigned;
use crate::{
    Capabilities, Date, Error, Mapping, Ntcp2Address, Reader, RouterAddress, RouterHash, RouterIdentity,
    RouterKeys, Signed,
};

/// The most bytes of a RouterInfo.
pub(crate) const MAX: usize = 4096;

/// A router's signed description of itself. Keeps its exact bytes, which it is passed on as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouterInfo {
    bytes: Bytes,
    identity: RouterIdentity,
    published: Date,
    addresses: Vec<RouterAddress>,
    options: Mapping,
}

impl RouterInfo {
    /// The most bytes of a RouterInfo that is accepted.
    pub const MAX: usize = MAX;

    /// Reads a RouterInfo that is all of `bytes`.
    ///
    /// # Errors
    /// Where it is malformed or longer than 4096 bytes. Its signature is not checked.
    pub fn decode(bytes: Bytes) -> Result<Signed<Self>, Error> {
        if bytes.len() > MAX {
            return Err(Error::TooLong("a RouterInfo"));
        }
        let mut reader = Reader::of(&bytes, "a RouterInfo");
        let identity = RouterIdentity::decode(&mut reader)?;
        let published = Date(reader.u64()?);
        let count = reader.u8()?;
        let mut addresses = Vec::with_capacity(usize::from(count).min(8));
        for _ in 0..count {
            addresses.push(RouterAddress::decode(&mut reader)?);
        }
        let peers = usize::from(reader.u8()?);
        reader.take(peers * 32)?;
        let options = Mapping::decode(&mut reader)?;
        reader.take(identity.signature_len()?)?;
        reader.finish()?;
        Ok(Signed::new(Self { bytes, identity, published, addresses, options }))
    }

    /// Makes and signs one.
    pub fn sign(keys: &RouterKeys, published: Date, addresses: Vec<RouterAddress>, options: Mapping) -> Self {
        let mut out = keys.identity().bytes().to_vec();
        out.extend_from_slice(&published.0.to_be_bytes());
        out.push(addresses.len().min(255) as u8);
        for address in &addresses {
            address.encode(&mut out);
        }
        out.push(0);
        options.encode(&mut out);
        let signature = keys.signing().sign(&[&out]);
        out.extend_from_slice(&signature);
        Self { bytes: out.into(), identity: keys.identity().clone(), published, addresses, options }
    }

    /// Its exact bytes, signature included.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Whose it is.
    pub fn identity(&self) -> &RouterIdentity {
        &self.identity
    }

    /// Whose it is.
    pub fn hash(&self) -> RouterHash {
        self.identity.router_hash()
    }

    /// When it was signed.
    pub fn published(&self) -> Date {
        self.published
    }

    /// Where the router can be reached.
    pub fn addresses(&self) -> &[RouterAddress] {
        &self.addresses
    }

    /// Everything else it says.
    pub fn options(&self) -> &Mapping {
        &self.options
    }

    /// What the router offers and is.
    pub fn caps(&self) -> Capabilities {
        Capabilities::parse(self.options.get("caps").unwrap_or_default())
    }

    /// The level of the protocols that it speaks, such as 0.9.68.
    pub fn version(&self) -> Option<(u8, u8, u8)> {
        let mut parts = self.options.get("router.version")?.split('.').map(str::parse);
        Some((parts.next()?.ok()?, parts.next()?.ok()?, parts.next().unwrap_or(Ok(0)).ok()?))
    }

    /// The network it belongs to.
    pub fn net_id(&self) -> Option<u8> {
        self.options.get("netId")?.parse().ok()
    }

    /// The family that it says it belongs to.
    pub fn family(&self) -> Option<&str> {
        self.options.get("family")
    }

    /// The key that build records and router garlic for it are sealed to; `None` for routers of old types.
    pub fn encryption_key(&self) -> Option<PublicKey> {
        self.identity.encryption_key()
    }

    /// Its NTCP2 addresses, published or not.
    pub fn ntcp2(&self) -> impl Iterator<Item = Ntcp2Address> {
        self.addresses.iter().filter_map(RouterAddress::ntcp2)
    }
}

impl SelfSigned for RouterInfo {
    fn check(&self) -> Result<(), Error> {
        let length = self.identity.signature_len()?;
        let (signed, signature) = self
            .bytes
            .split_at_checked(self.bytes.len().saturating_sub(length))
            .ok_or(Error::Truncated("a RouterInfo"))?;
        self.identity.verify(&[signed], signature).map_err(|error| match error {
            Error::Signature(_) => Error::Signature("a RouterInfo"),
            other => other,
        })
    }
}

#[cfg(test)]
mod tests;
