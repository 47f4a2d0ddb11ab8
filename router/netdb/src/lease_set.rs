//! LeaseSets of every kind as a floodfill sees them: signed bytes under a key, with dates.

use allium_crypto::hash::sha256_of;
use allium_crypto::sign::{self, SignatureType};
use allium_wire::{Date, Identity, LeaseSet, LeaseSet2, Reader};
use bytes::Bytes;

use crate::Error;
use crate::limits::{MAX_FUTURE, MAX_LEASE, MAX_LEASE_SET};

const OFFLINE: u16 = 1;
const UNPUBLISHED: u16 = 2;

/// A LeaseSet that is known to be well signed, of any store type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseSetRecord {
    /// What it is stored under: the destination's hash, or that of the blinded key (type 5).
    pub key: [u8; 32],
    /// Store type: 1 LeaseSet, 3 LeaseSet2, 5 EncryptedLeaseSet, 7 MetaLeaseSet.
    pub store_type: u8,
    /// The LeaseSet as signed, without a store type.
    pub bytes: Bytes,
    /// When it was made. A LeaseSet of type 1 has no such date and carries its expiry here.
    pub published: Date,
    /// When it ends.
    pub expires: Date,
    /// Whether its owner wants it flooded and handed out.
    pub public: bool,
}

/// What a header of types 3, 5 and 7 says.
struct Header {
    published: Date,
    expires: Date,
    flags: u16,
    /// Who signed: the transient key, if there is one.
    signer: (SignatureType, Bytes),
}

impl LeaseSetRecord {
    /// Decodes and verifies what a DatabaseStore of this type carries. Dates are not judged: see
    /// [`LeaseSetRecord::check_dates`].
    pub fn verify(store_type: u8, bytes: Bytes) -> Result<Self, Error> {
        if bytes.len() > MAX_LEASE_SET {
            return Err(Error::Misbehaved("oversized LeaseSet"));
        }
        match store_type {
            1 | 3 => Ok(Self::from(&decode(store_type, bytes)?)),
            5 => Self::encrypted(&bytes),
            7 => Self::meta(&bytes),
            _ => Err(Error::Misbehaved("unknown store type")),
        }
    }

    /// Whether a floodfill or a lookup may use it at `now`.
    pub fn check_dates(&self, now: Date) -> Result<(), Error> {
        if self.expires <= now {
            return Err(Error::Stale("LeaseSet expired"));
        }
        if self.store_type != 1 && self.published > now + MAX_FUTURE {
            return Err(Error::Stale("LeaseSet from the future"));
        }
        if matches!(self.store_type, 1 | 3) && self.expires > now + MAX_LEASE {
            return Err(Error::Stale("LeaseSet ends too late"));
        }
        Ok(())
    }

    /// The LeaseSet itself, for types 1 and 3.
    pub fn lease_set(&self) -> Option<LeaseSet> {
        decode(self.store_type, self.bytes.clone()).ok()
    }

    /// EncryptedLeaseSet: signed by the blinded key it begins with.
    fn encrypted(bytes: &Bytes) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes);
        let kind = reader.u16()?;
        let kind_type = SignatureType::try_from(kind).map_err(|_| Error::Unsupported)?;
        let blinded = reader.take(kind_type.public_len())?;
        let key = sha256_of(&[&kind.to_be_bytes(), blinded]);
        let header = header(&mut reader, (kind_type, Bytes::copy_from_slice(blinded)), None)?;
        let inner = usize::from(reader.u16()?);
        reader.take(inner)?;
        let signature = reader.take(header.signer.0.signature_len())?;
        reader.finish()?;
        finish(5, key, bytes, signature.len(), &header)
    }

    /// MetaLeaseSet: signed by its destination.
    fn meta(bytes: &Bytes) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes);
        let destination = Identity::decode(&mut reader)?;
        let key = destination.hash();
        let kind = destination.signature_type().map_err(|_| Error::Unsupported)?;
        let public = destination.signing_key()?;
        let header = header(&mut reader, (kind, Bytes::from(public)), Some(&destination))?;
        let length = header.signer.0.signature_len();
        if reader.remaining() < length + 4 {
            return Err(Error::Misbehaved("short MetaLeaseSet"));
        }
        finish(7, key, bytes, length, &header)
    }
}

impl From<&LeaseSet> for LeaseSetRecord {
    fn from(set: &LeaseSet) -> Self {
        Self {
            key: set.hash().0,
            store_type: set.store_type(),
            bytes: set.bytes().clone(),
            published: set.published(),
            expires: set.expires(),
            public: !matches!(set, LeaseSet::V2(set) if set.is_unpublished()),
        }
    }
}

impl From<&LeaseSet2> for LeaseSetRecord {
    fn from(set: &LeaseSet2) -> Self {
        Self {
            key: set.hash().0,
            store_type: 3,
            bytes: set.bytes().clone(),
            published: set.published(),
            expires: set.expires(),
            public: !set.is_unpublished(),
        }
    }
}

/// The LeaseSet of type 1 or 3 in the bytes, verified.
fn decode(store_type: u8, bytes: Bytes) -> Result<LeaseSet, Error> {
    Ok(LeaseSet::decode_verified(store_type, bytes)?)
}

/// Reads published (seconds), expires (seconds after it), flags, and the offline signature block, whose
/// signature by `owner` is checked (type 7; an encrypted LeaseSet's is by the blinded key, given as
/// `signer`).
fn header(
    reader: &mut Reader<'_>,
    signer: (SignatureType, Bytes),
    owner: Option<&Identity>,
) -> Result<Header, Error> {
    let published = reader.u32()?;
    let life = reader.u16()?;
    let flags = reader.u16()?;
    let start = Date::from_seconds(u64::from(published));
    let expires = Date::from_seconds(u64::from(published) + u64::from(life));
    if flags & OFFLINE == 0 {
        return Ok(Header { published: start, expires, flags, signer });
    }
    let until = reader.u32()?;
    let kind = reader.u16()?;
    let transient = SignatureType::try_from(kind).map_err(|_| Error::Unsupported)?;
    let key = reader.take(transient.public_len())?;
    let signature = reader.take(signer.0.signature_len())?;
    let signed = [&until.to_be_bytes()[..], &kind.to_be_bytes(), key];
    match owner {
        Some(owner) => owner.verify(&signed, signature)?,
        None => sign::verify(signer.0, &signer.1, &signed, signature).map_err(|_| Error::BadSignature)?,
    }
    let expires = expires.min(Date::from_seconds(u64::from(until)));
    Ok(Header { published: start, expires, flags, signer: (transient, Bytes::copy_from_slice(key)) })
}

/// Checks the signature at the end over the store type and everything before.
fn finish(
    store_type: u8,
    key: [u8; 32],
    bytes: &Bytes,
    signature_len: usize,
    header: &Header,
) -> Result<LeaseSetRecord, Error> {
    let (signed, signature) = bytes.split_at(bytes.len().saturating_sub(signature_len));
    sign::verify(header.signer.0, &header.signer.1, &[&[store_type], signed], signature)
        .map_err(|_| Error::BadSignature)?;
    Ok(LeaseSetRecord {
        key,
        store_type,
        bytes: bytes.clone(),
        published: header.published,
        expires: header.expires,
        public: header.flags & UNPUBLISHED == 0,
    })
}

#[cfg(test)]
mod tests;
