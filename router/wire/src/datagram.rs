//! Datagrams: repliable ones of the kinds 1, 2 and 3 (datagrams). Raw ones have no layout.
//!
//! What comes out of `open` was signed by whom it says; what comes out of [`Datagram3::decode`] was signed by nobody.

use allium_crypto::hash::sha256;
use allium_crypto::sign::SignatureType;
use bytes::Bytes;

use crate::offline::Transient;
use crate::{Date, DestHash, Destination, DestinationKeys, Error, Mapping, Reader};

/// The most bytes of options that are sent or accepted.
const OPTIONS: usize = 4096;

/// Bits of the flags of kinds 2 and 3; the low four are the kind. Others mean nothing yet, and are not looked at.
mod flags {
    pub(super) const KIND: u16 = 0x0f;
    pub(super) const OPTIONS: u16 = 1 << 4;
    pub(super) const OFFLINE: u16 = 1 << 5;
}

/// A datagram of kind 1 (protocol 17): its signature covers the payload alone, so that whoever got it can send it on
/// to others as if it was meant for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram1 {
    /// Who sent it.
    pub from: Destination,
    /// What.
    pub payload: Bytes,
}

impl Datagram1 {
    /// Signs a payload: destination, signature, payload.
    pub fn sign(keys: &DestinationKeys, payload: &[u8]) -> Vec<u8> {
        let from = keys.destination().bytes();
        let signature = keys.signing().sign(&[payload]);
        let mut out = Vec::with_capacity(from.len() + signature.len() + payload.len());
        out.extend_from_slice(from);
        out.extend_from_slice(&signature);
        out.extend_from_slice(payload);
        out
    }

    /// Reads a datagram that is all of `bytes`, and checks its signature.
    ///
    /// # Errors
    /// Where it is cut short; [`Error::Signature`] where the signature does not verify, [`Error::Unsupported`] where
    /// its type is unknown here.
    pub fn open(bytes: &Bytes) -> Result<Self, Error> {
        let mut reader = Reader::of(bytes, "a datagram");
        let from = Destination::decode(&mut reader)?;
        let signature = reader.take(from.signature_len()?)?;
        let payload = bytes.slice_ref(reader.rest());
        let checked = if from.signature_type()? == SignatureType::DsaSha1 {
            from.verify(&[&sha256(&payload)], signature)
        } else {
            from.verify(&[&payload], signature)
        };
        checked.map_err(of_datagram)?;
        Ok(Self { from, payload })
    }
}

/// A datagram of kind 2 (protocol 19): its signature covers all of it, and for whom it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram2 {
    /// Who sent it.
    pub from: Destination,
    /// Whatever its sender wrote there.
    pub options: Mapping,
    /// What.
    pub payload: Bytes,
}

impl Datagram2 {
    /// Signs a payload for the destination `to`: destination, flags, options, payload, signature.
    ///
    /// # Errors
    /// [`Error::TooLong`] for more than 4096 bytes of options.
    pub fn sign(
        keys: &DestinationKeys,
        to: &DestHash,
        options: &Mapping,
        payload: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let from = keys.destination().bytes();
        let mut out = Vec::with_capacity(from.len() + 2 + payload.len() + 64);
        out.extend_from_slice(from);
        write_options(&mut out, 2, options)?;
        out.extend_from_slice(payload);
        let signed = out.get(from.len()..).unwrap_or_default();
        let signature = keys.signing().sign(&[to.as_bytes(), signed]);
        out.extend_from_slice(&signature);
        Ok(out)
    }

    /// Reads a datagram to the destination `to` that is all of `bytes`, and checks its signature.
    ///
    /// # Errors
    /// Where it is cut short, of another kind, or its options are malformed or longer than 4096 bytes;
    /// [`Error::Signature`] where the signature does not verify, be it because the datagram was meant for another
    /// destination; [`Error::Unsupported`] where its type is unknown here; [`Error::Invalid`] where a transient key
    /// made it that has expired.
    pub fn open(bytes: &Bytes, to: &DestHash, now: Date) -> Result<Self, Error> {
        const CUT: Error = Error::Truncated("a datagram");
        let mut reader = Reader::of(bytes, "a datagram");
        let from = Destination::decode(&mut reader)?;
        let own = from.signature_type()?;
        let (flags, options) = read_options(&mut reader, 2)?;
        let transient = if flags & flags::OFFLINE != 0 {
            Some(Transient::decode(&mut reader, bytes.len(), own)?)
        } else {
            None
        };
        let kind = transient.as_ref().map_or(own, Transient::kind);
        let length = reader.remaining().checked_sub(kind.signature_len()).ok_or(CUT)?;
        let payload = bytes.slice_ref(reader.take(length)?);
        let signature = reader.rest();
        let signed = bytes.get(from.bytes().len()..bytes.len() - signature.len()).ok_or(CUT)?;
        let message: [&[u8]; 2] = [to.as_bytes(), signed];
        let checked = match &transient {
            Some(transient) if transient.expires() < now => {
                return Err(Error::Invalid("a datagram signed by an expired key"));
            }
            Some(transient) => transient.verify(bytes, &from, &message, signature),
            None => from.verify(&message, signature),
        };
        checked.map_err(of_datagram)?;
        Ok(Self { from, options, payload })
    }
}

/// A datagram of kind 3 (protocol 20). Nothing in it proves who sent it: the hash is a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram3 {
    /// Who claims to have sent it.
    pub from: DestHash,
    /// Whatever its sender wrote there.
    pub options: Mapping,
    /// What.
    pub payload: Bytes,
}

impl Datagram3 {
    /// The bytes of a datagram: hash, flags, options, payload.
    ///
    /// # Errors
    /// [`Error::TooLong`] for more than 4096 bytes of options.
    pub fn encode(from: &DestHash, options: &Mapping, payload: &[u8]) -> Result<Vec<u8>, Error> {
        let mut out = Vec::with_capacity(32 + 2 + payload.len());
        out.extend_from_slice(from.as_bytes());
        write_options(&mut out, 3, options)?;
        out.extend_from_slice(payload);
        Ok(out)
    }

    /// Reads a datagram that is all of `bytes`.
    ///
    /// # Errors
    /// Where it is cut short, of another kind, or its options are malformed or longer than 4096 bytes.
    pub fn decode(bytes: &Bytes) -> Result<Self, Error> {
        let mut reader = Reader::of(bytes, "a datagram");
        let from = DestHash(reader.array()?);
        let (_, options) = read_options(&mut reader, 3)?;
        Ok(Self { from, options, payload: bytes.slice_ref(reader.rest()) })
    }
}

/// Appends the flags, and options where there are any.
fn write_options(out: &mut Vec<u8>, kind: u16, options: &Mapping) -> Result<(), Error> {
    let bit = if options.is_empty() { 0 } else { flags::OPTIONS };
    out.extend_from_slice(&(kind | bit).to_be_bytes());
    if !options.is_empty() {
        let start = out.len();
        options.encode(out);
        if out.len() - start > 2 + OPTIONS {
            return Err(Error::TooLong("a datagram's options"));
        }
    }
    Ok(())
}

/// Takes flags, which must be of this kind, and options.
fn read_options(reader: &mut Reader<'_>, kind: u16) -> Result<(u16, Mapping), Error> {
    let flags = reader.u16()?;
    if flags & flags::KIND != kind {
        return Err(Error::Unsupported("a datagram's version"));
    }
    if flags & flags::OPTIONS == 0 {
        return Ok((flags, Mapping::new()));
    }
    if usize::from(Reader::of(reader.peek(), "a datagram").u16()?) > OPTIONS {
        return Err(Error::TooLong("a datagram's options"));
    }
    Ok((flags, Mapping::decode(reader)?))
}

fn of_datagram(error: Error) -> Error {
    match error {
        Error::Signature(_) => Error::Signature("a datagram"),
        other => other,
    }
}

#[cfg(test)]
mod tests;
