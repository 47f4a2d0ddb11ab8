//! Streaming packets (streaming, "Packet Format").

use std::ops::Range;

use allium_crypto::sign::SignatureType;
use bytes::Bytes;

use crate::offline::Transient;
use crate::{Date, Destination, Error, Reader};

/// Bits of a packet's flags.
pub mod flags {
    /// The first packet of a direction.
    pub const SYNCHRONIZE: u16 = 1;
    /// The last packet of a direction.
    pub const CLOSE: u16 = 1 << 1;
    /// The connection is torn down.
    pub const RESET: u16 = 1 << 2;
    /// A signature is among the options.
    pub const SIGNATURE_INCLUDED: u16 = 1 << 3;
    /// Unused.
    pub const SIGNATURE_REQUESTED: u16 = 1 << 4;
    /// The sender's destination is among the options.
    pub const FROM_INCLUDED: u16 = 1 << 5;
    /// A delay is among the options.
    pub const DELAY_REQUESTED: u16 = 1 << 6;
    /// The largest payload that the sender takes is among the options.
    pub const MAX_PACKET_SIZE_INCLUDED: u16 = 1 << 7;
    /// Unused.
    pub const PROFILE_INTERACTIVE: u16 = 1 << 8;
    /// A ping, or its answer.
    pub const ECHO: u16 = 1 << 9;
    /// The fields about acknowledgements mean nothing.
    pub const NO_ACK: u16 = 1 << 10;
    /// The signature is a transient key's, which is among the options.
    pub const OFFLINE_SIGNATURE: u16 = 1 << 11;
}

/// A packet as it was received. Keeps its bytes, over which its signature was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    bytes: Bytes,
    /// The receiver's number for the stream; 0 in the first packet.
    pub send_id: u32,
    /// The sender's number for the stream; 0 where it has none yet.
    pub receive_id: u32,
    /// The packet's number; 0 in the first, and in a plain acknowledgement.
    pub sequence: u32,
    /// Up to which packet all but the NACKed arrived.
    pub ack_through: u32,
    /// Packets that did not arrive; in a first packet, the receiver's hash (8 words).
    pub nacks: Vec<u32>,
    /// Seconds until the sender sends again.
    pub resend_delay: u8,
    /// The flags, of [`flags`].
    pub flags: u16,
    /// How long to wait before acknowledging, in milliseconds; above 60,000: send no more.
    pub delay_requested: Option<u16>,
    /// Who sends.
    pub from: Option<Destination>,
    /// The largest payload that the sender takes.
    pub max_size: Option<u16>,
    transient: Option<Transient>,
    signature: Option<Range<usize>>,
    /// What is sent.
    pub payload: Bytes,
}

impl Packet {
    /// Whether a flag of [`flags`] is set.
    pub fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    /// Reads a packet. `peer` is who the stream is known to be with: the length of a signature depends on its type.
    ///
    /// # Errors
    /// Where it is cut short, or its options do not add up. The signature is not checked.
    pub fn decode(bytes: &Bytes, peer: Option<&Destination>) -> Result<Self, Error> {
        let mut reader = Reader::of(bytes, "a streaming packet");
        let send_id = reader.u32()?;
        let receive_id = reader.u32()?;
        let sequence = reader.u32()?;
        let ack_through = reader.u32()?;
        let count = reader.u8()?;
        let nacks = (0..count).map(|_| reader.u32()).collect::<Result<_, _>>()?;
        let resend_delay = reader.u8()?;
        let flags = reader.u16()?;
        let options_len = usize::from(reader.u16()?);
        let mut packet = Self {
            bytes: bytes.clone(),
            send_id,
            receive_id,
            sequence,
            ack_through,
            nacks,
            resend_delay,
            flags,
            delay_requested: None,
            from: None,
            max_size: None,
            transient: None,
            signature: None,
            payload: Bytes::new(),
        };
        let options_at = bytes.len() - reader.remaining();
        let options = reader.take(options_len)?;
        packet.payload = bytes.slice(options_at + options_len..);
        packet.read_options(options, options_at, peer)?;
        Ok(packet)
    }

    fn read_options(&mut self, options: &[u8], at: usize, peer: Option<&Destination>) -> Result<(), Error> {
        let mut reader = Reader::of(options, "a streaming packet's options");
        let total = options.len();
        if self.has(flags::DELAY_REQUESTED) {
            self.delay_requested = Some(reader.u16()?);
        }
        if self.has(flags::FROM_INCLUDED) {
            self.from = Some(Destination::decode(&mut reader)?);
        }
        if self.has(flags::MAX_PACKET_SIZE_INCLUDED) {
            self.max_size = Some(reader.u16()?);
        }
        let signer = self.from.as_ref().or(peer).map(Destination::signature_type);
        let mut kind = signer.unwrap_or(Ok(SignatureType::Ed25519))?;
        if self.has(flags::OFFLINE_SIGNATURE) {
            let transient = Transient::decode(&mut reader, at + total, kind)?;
            kind = transient.kind();
            self.transient = Some(transient);
        }
        if self.has(flags::SIGNATURE_INCLUDED) {
            let start = at + total - reader.remaining();
            reader.take(kind.signature_len())?;
            self.signature = Some(start..at + total - reader.remaining());
        }
        Ok(())
    }

    /// Whether it carries a signature.
    pub fn is_signed(&self) -> bool {
        self.signature.is_some()
    }

    /// Checks its signature, which is `signer`'s over the whole packet with zeros in place of the signature.
    ///
    /// # Errors
    /// [`Error::Signature`] where there is none, or it does not verify; [`Error::Unsupported`] where its type is
    /// unknown here; [`Error::Invalid`] where a transient key made it that has expired.
    pub fn verify(&self, signer: &Destination, now: Date) -> Result<(), Error> {
        const WRONG: Error = Error::Signature("a streaming packet");
        let range = self.signature.clone().ok_or(WRONG)?;
        let before = self.bytes.get(..range.start).ok_or(WRONG)?;
        let signature = self.bytes.get(range.clone()).ok_or(WRONG)?;
        let after = self.bytes.get(range.end..).ok_or(WRONG)?;
        let zeros = vec![0; signature.len()];
        let message: [&[u8]; 3] = [before, &zeros, after];
        let wrong = |error| match error {
            Error::Signature(_) => WRONG,
            other => other,
        };
        let Some(transient) = &self.transient else {
            return signer.verify(&message, signature).map_err(wrong);
        };
        if transient.expires() < now {
            return Err(Error::Invalid("a streaming packet signed by an expired key"));
        }
        transient.verify(&self.bytes, signer, &message, signature).map_err(wrong)
    }
}

#[cfg(test)]
mod tests;
