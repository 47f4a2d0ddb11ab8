//! LeaseSets: through which tunnels a destination can be reached (common structures, "LeaseSet", "LeaseSet2").

use bytes::Bytes;

use allium_crypto::x25519::PublicKey;

use crate::identity::X25519;
use crate::offline::Transient;
use crate::signed::SelfSigned;
use crate::{
    Date, DestHash, Destination, DestinationKeys, Error, Mapping, Reader, RouterHash, Signed, TunnelId,
};

/// The most leases of a set.
const LEASES: usize = 16;
/// The most bytes of a set that are accepted.
const MAX: usize = 8192;
/// A LeaseSet2's flag that its signature was made by a transient key.
const OFFLINE: u16 = 1;
/// A LeaseSet2's flag that floodfills are not to have it.
const UNPUBLISHED: u16 = 2;

/// The types under which the network database stores lease sets.
pub mod lease_set_type {
    /// The first kind.
    pub const LEASE_SET: u8 = 1;
    /// Today's.
    pub const LEASE_SET_2: u8 = 3;
    /// Readable only by those who know the destination.
    pub const ENCRYPTED: u8 = 5;
    /// One that refers to others.
    pub const META: u8 = 7;
}

/// A tunnel into a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lease {
    /// The tunnel's gateway.
    pub gateway: RouterHash,
    /// The tunnel's id there.
    pub tunnel: TunnelId,
    /// When it ends.
    pub expires: Date,
}

/// Today's lease set (type 3), signed. Keeps its exact bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseSet2 {
    bytes: Bytes,
    destination: Destination,
    published: Date,
    expires: Date,
    flags: u16,
    transient: Option<Transient>,
    options: Mapping,
    encryption_keys: Vec<(u16, Bytes)>,
    leases: Vec<Lease>,
}

impl LeaseSet2 {
    /// Reads a LeaseSet2 that is all of `bytes`.
    ///
    /// # Errors
    /// Where it is malformed, or has more than 16 leases. Its signature is not checked.
    pub fn decode(bytes: Bytes) -> Result<Signed<Self>, Error> {
        if bytes.len() > MAX {
            return Err(Error::TooLong("a LeaseSet2"));
        }
        let mut reader = Reader::of(&bytes, "a LeaseSet2");
        let destination = Destination::decode(&mut reader)?;
        let seconds = reader.u32()?;
        let published = Date::from_seconds(u64::from(seconds));
        let expires = Date::from_seconds(u64::from(seconds) + u64::from(reader.u16()?));
        let flags = reader.u16()?;
        let transient = if flags & OFFLINE != 0 {
            Some(Transient::decode(&mut reader, bytes.len(), destination.signature_type()?)?)
        } else {
            None
        };
        let options = Mapping::decode(&mut reader)?;
        let mut encryption_keys = Vec::new();
        for _ in 0..reader.u8()? {
            let kind = reader.u16()?;
            let length = usize::from(reader.u16()?);
            encryption_keys.push((kind, bytes.slice_ref(reader.take(length)?)));
        }
        let count = reader.u8()?;
        if usize::from(count) > LEASES {
            return Err(Error::TooLong("a LeaseSet2's leases"));
        }
        let mut leases = Vec::with_capacity(usize::from(count));
        for _ in 0..count {
            let gateway = RouterHash(reader.array()?);
            let tunnel = TunnelId(reader.u32()?);
            leases.push(Lease { gateway, tunnel, expires: Date::from_seconds(u64::from(reader.u32()?)) });
        }
        let signer = transient.as_ref().map_or_else(|| destination.signature_type(), |t| Ok(t.kind()))?;
        reader.take(signer.signature_len())?;
        reader.finish()?;
        Ok(Signed::new(Self {
            bytes,
            destination,
            published,
            expires,
            flags,
            transient,
            options,
            encryption_keys,
            leases,
        }))
    }

    /// Makes and signs a set with one X25519 key. It expires with its last lease.
    pub fn sign(keys: &DestinationKeys, key: &PublicKey, published: Date, leases: &[Lease]) -> Self {
        let leases: Vec<Lease> = leases.iter().take(LEASES).copied().collect();
        let published = Date::from_seconds(u64::from(published.seconds()));
        let last = leases.iter().map(|lease| lease.expires).max().unwrap_or(published);
        let lifetime = last.since(published).as_secs().min(u64::from(u16::MAX));
        let mut out = keys.destination().bytes().to_vec();
        out.extend_from_slice(&published.seconds().to_be_bytes());
        out.extend_from_slice(&(lifetime as u16).to_be_bytes());
        out.extend_from_slice(&[0, 0]); // flags
        out.extend_from_slice(&[0, 0]); // options
        out.push(1);
        out.extend_from_slice(&X25519.to_be_bytes());
        out.extend_from_slice(&32u16.to_be_bytes());
        let key_at = out.len();
        out.extend_from_slice(key.as_bytes());
        out.push(leases.len() as u8);
        for lease in &leases {
            out.extend_from_slice(lease.gateway.as_bytes());
            out.extend_from_slice(&lease.tunnel.0.to_be_bytes());
            out.extend_from_slice(&lease.expires.seconds().to_be_bytes());
        }
        let signature = keys.signing().sign(&[&[lease_set_type::LEASE_SET_2], &out]);
        out.extend_from_slice(&signature);
        let bytes = Bytes::from(out);
        Self {
            destination: keys.destination().clone(),
            published,
            expires: published + std::time::Duration::from_secs(lifetime),
            flags: 0,
            transient: None,
            options: Mapping::new(),
            encryption_keys: vec![(X25519, bytes.slice(key_at..key_at + 32))],
            leases: leases
                .into_iter()
                .map(|lease| Lease {
                    expires: Date::from_seconds(u64::from(lease.expires.seconds())),
                    ..lease
                })
                .collect(),
            bytes,
        }
    }

    /// Its exact bytes, signature included (and the type not: that is not part of it).
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Whose it is.
    pub fn destination(&self) -> &Destination {
        &self.destination
    }

    /// Whose it is.
    pub fn hash(&self) -> DestHash {
        self.destination.dest_hash()
    }

    /// When it was signed.
    pub fn published(&self) -> Date {
        self.published
    }

    /// When it ends.
    pub fn expires(&self) -> Date {
        self.expires
    }

    /// Whether its owner does not want it in the network database.
    pub fn is_unpublished(&self) -> bool {
        self.flags & UNPUBLISHED != 0
    }

    /// Its options, service records among them.
    pub fn options(&self) -> &Mapping {
        &self.options
    }

    /// The keys that garlic for it may be sealed to, by type, the owner's favourite first.
    pub fn encryption_keys(&self) -> &[(u16, Bytes)] {
        &self.encryption_keys
    }

    /// Its X25519 key (type 4).
    pub fn x25519(&self) -> Option<PublicKey> {
        let (_, key) = self.encryption_keys.iter().find(|(kind, key)| *kind == X25519 && key.len() == 32)?;
        Some(PublicKey(key.as_ref().try_into().ok()?))
    }

    /// The tunnels.
    pub fn leases(&self) -> &[Lease] {
        &self.leases
    }
}

impl SelfSigned for LeaseSet2 {
    fn check(&self) -> Result<(), Error> {
        let cut = Error::Truncated("a LeaseSet2");
        let wrong = |error| match error {
            Error::Signature(_) => Error::Signature("a LeaseSet2"),
            other => other,
        };
        let kind =
            self.transient.as_ref().map_or_else(|| self.destination.signature_type(), |t| Ok(t.kind()))?;
        let split = self.bytes.len().saturating_sub(kind.signature_len());
        let (signed, signature) = self.bytes.split_at_checked(split).ok_or(cut)?;
        let prefix: &[u8] = &[lease_set_type::LEASE_SET_2];
        let Some(transient) = &self.transient else {
            return self.destination.verify(&[prefix, signed], signature).map_err(wrong);
        };
        if transient.expires() < self.published {
            return Err(Error::Invalid("a LeaseSet2 signed by an expired key"));
        }
        transient.verify(&self.bytes, &self.destination, &[prefix, signed], signature).map_err(wrong)
    }
}

/// The first kind of lease set (type 1): read, never made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseSet1 {
    bytes: Bytes,
    destination: Destination,
    leases: Vec<Lease>,
}

impl LeaseSet1 {
    /// Reads a LeaseSet that is all of `bytes`.
    ///
    /// # Errors
    /// Where it is malformed, or has more than 16 leases. Its signature is not checked.
    pub fn decode(bytes: Bytes) -> Result<Signed<Self>, Error> {
        if bytes.len() > MAX {
            return Err(Error::TooLong("a LeaseSet"));
        }
        let mut reader = Reader::of(&bytes, "a LeaseSet");
        let destination = Destination::decode(&mut reader)?;
        reader.take(256)?; // an ElGamal key
        reader.take(destination.signature_type()?.public_len())?; // a key for revocation, unused
        let count = reader.u8()?;
        if usize::from(count) > LEASES {
            return Err(Error::TooLong("a LeaseSet's leases"));
        }
        let mut leases = Vec::with_capacity(usize::from(count));
        for _ in 0..count {
            let gateway = RouterHash(reader.array()?);
            let tunnel = TunnelId(reader.u32()?);
            leases.push(Lease { gateway, tunnel, expires: Date(reader.u64()?) });
        }
        reader.take(destination.signature_len()?)?;
        reader.finish()?;
        Ok(Signed::new(Self { bytes, destination, leases }))
    }
}

impl SelfSigned for LeaseSet1 {
    fn check(&self) -> Result<(), Error> {
        let split = self.bytes.len().saturating_sub(self.destination.signature_len()?);
        let (signed, signature) = self.bytes.split_at_checked(split).ok_or(Error::Truncated("a LeaseSet"))?;
        self.destination.verify(&[signed], signature)
    }
}

/// A lease set of either kind that names its destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseSet {
    /// The first kind.
    V1(LeaseSet1),
    /// Today's.
    V2(LeaseSet2),
}

impl LeaseSet {
    /// Reads a lease set of a [`lease_set_type`], and checks its signature.
    ///
    /// # Errors
    /// Where it is malformed, not signed by its destination, or encrypted.
    pub fn decode_verified(store_type: u8, bytes: Bytes) -> Result<Self, Error> {
        match store_type {
            lease_set_type::LEASE_SET => Ok(Self::V1(LeaseSet1::decode(bytes)?.verify()?)),
            lease_set_type::LEASE_SET_2 => Ok(Self::V2(LeaseSet2::decode(bytes)?.verify()?)),
            _ => Err(Error::Unsupported("a lease set's type")),
        }
    }

    /// The type under which the network database stores it.
    pub fn store_type(&self) -> u8 {
        match self {
            Self::V1(_) => lease_set_type::LEASE_SET,
            Self::V2(_) => lease_set_type::LEASE_SET_2,
        }
    }

    /// Its exact bytes.
    pub fn bytes(&self) -> &Bytes {
        match self {
            Self::V1(set) => &set.bytes,
            Self::V2(set) => &set.bytes,
        }
    }

    /// Whose it is.
    pub fn destination(&self) -> &Destination {
        match self {
            Self::V1(set) => &set.destination,
            Self::V2(set) => &set.destination,
        }
    }

    /// Whose it is.
    pub fn hash(&self) -> DestHash {
        self.destination().dest_hash()
    }

    /// The tunnels.
    pub fn leases(&self) -> &[Lease] {
        match self {
            Self::V1(set) => &set.leases,
            Self::V2(set) => &set.leases,
        }
    }

    /// The key to seal garlic to; `None` for a destination that can't be reached by ECIES.
    pub fn x25519(&self) -> Option<PublicKey> {
        match self {
            Self::V1(_) => None,
            Self::V2(set) => set.x25519(),
        }
    }

    /// When it ends.
    pub fn expires(&self) -> Date {
        match self {
            Self::V1(set) => set.leases.iter().map(|lease| lease.expires).max().unwrap_or_default(),
            Self::V2(set) => set.expires,
        }
    }

    /// What tells a newer set from an older one: when it was signed, or (first kind) when its first lease ends.
    pub fn published(&self) -> Date {
        match self {
            Self::V1(set) => set.leases.iter().map(|lease| lease.expires).min().unwrap_or_default(),
            Self::V2(set) => set.published,
        }
    }
}

#[cfg(test)]
mod tests;
