//! Writing packets (streaming specification, "Packet Format").

use allium_crypto::sign::SigningKey;
use allium_wire::Destination;
use allium_wire::streaming::flags as flag;

/// Bytes of a header without NACKs and options.
pub(crate) const HEADER: usize = 22;
const SIGNATURE: usize = 64;

/// The fields before the options.
#[derive(Clone, Copy, Default)]
pub(crate) struct Header<'a> {
    pub(crate) send_id: u32,
    pub(crate) receive_id: u32,
    pub(crate) sequence: u32,
    pub(crate) ack_through: u32,
    pub(crate) nacks: &'a [u32],
    pub(crate) resend_delay: u8,
    /// Flags that bring no option with them.
    pub(crate) flags: u16,
    pub(crate) delay_requested: Option<u16>,
}

impl Header<'_> {
    fn write(&self, flags: u16, options: usize, payload: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER + self.nacks.len() * 4 + options + payload);
        out.extend_from_slice(&self.send_id.to_be_bytes());
        out.extend_from_slice(&self.receive_id.to_be_bytes());
        out.extend_from_slice(&self.sequence.to_be_bytes());
        out.extend_from_slice(&self.ack_through.to_be_bytes());
        let nacks = self.nacks.get(..self.nacks.len().min(255)).unwrap_or_default();
        out.push(nacks.len() as u8);
        for nack in nacks {
            out.extend_from_slice(&nack.to_be_bytes());
        }
        out.push(self.resend_delay);
        let delay = if self.delay_requested.is_some() { flag::DELAY_REQUESTED } else { 0 };
        out.extend_from_slice(&(self.flags | flags | delay).to_be_bytes());
        out.extend_from_slice(&(options as u16).to_be_bytes());
        if let Some(delay) = self.delay_requested {
            out.extend_from_slice(&delay.to_be_bytes());
        }
        out
    }

    fn delay_length(&self) -> usize {
        if self.delay_requested.is_some() { 2 } else { 0 }
    }

    /// A packet without signature: data, or a plain ACK.
    pub(crate) fn plain(&self, payload: &[u8]) -> Vec<u8> {
        let mut out = self.write(0, self.delay_length(), payload.len());
        out.extend_from_slice(payload);
        out
    }

    /// A signed packet. The signature covers all of it, with zeros in the place of the signature.
    pub(crate) fn signed(
        &self,
        from: Option<&Destination>,
        max_size: Option<u16>,
        payload: &[u8],
        key: &SigningKey,
    ) -> Vec<u8> {
        let from = from.map(|from| from.bytes().as_ref());
        let mut flags = flag::SIGNATURE_INCLUDED;
        let mut options = self.delay_length() + SIGNATURE;
        if let Some(from) = from {
            flags |= flag::FROM_INCLUDED;
            options += from.len();
        }
        if max_size.is_some() {
            flags |= flag::MAX_PACKET_SIZE_INCLUDED;
            options += 2;
        }
        let mut out = self.write(flags, options, payload.len());
        out.extend_from_slice(from.unwrap_or_default());
        if let Some(max_size) = max_size {
            out.extend_from_slice(&max_size.to_be_bytes());
        }
        let signature_at = out.len();
        out.extend_from_slice(&[0; SIGNATURE]);
        out.extend_from_slice(payload);
        let signature = key.sign(&[&out]);
        if let Some(place) = out.get_mut(signature_at..signature_at + SIGNATURE) {
            place.copy_from_slice(&signature);
        }
        out
    }
}

/// A destination hash as the NACKs of a SYN carry it.
pub(crate) fn hash_as_nacks(hash: &[u8; 32]) -> [u32; 8] {
    let mut words = [0; 8];
    for (word, bytes) in words.iter_mut().zip(hash.as_chunks::<4>().0) {
        *word = u32::from_be_bytes(*bytes);
    }
    words
}

#[cfg(test)]
mod tests;
