//! A peer's transient signing key (offline signatures), as its SYN has introduced it.

use allium_crypto::sign::{self, SignatureType};
use allium_wire::streaming::{Packet, flags};

/// The key that checks packets without an offline signature of their own.
#[derive(Clone)]
pub(crate) struct Transient {
    kind: SignatureType,
    key: Vec<u8>,
}

/// The options of a packet, and where they begin.
fn options(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let nacks = usize::from(*bytes.get(16)?);
    let at = 17 + nacks * 4 + 3;
    let length = usize::from(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?));
    Some((at + 2, bytes.get(at + 2..at + 2 + length)?))
}

impl Transient {
    /// The key in a SYN that was verified.
    pub(crate) fn of(bytes: &[u8], packet: &Packet) -> Option<Self> {
        if !packet.has(flags::OFFLINE_SIGNATURE) {
            return None;
        }
        let before = usize::from(packet.delay_requested.is_some()) * 2
            + packet.from.as_ref().map_or(0, |from| from.bytes().len())
            + usize::from(packet.max_size.is_some()) * 2;
        // Four bytes of expiry come before the type.
        let offline = options(bytes)?.1.get(before + 4..)?;
        let kind = SignatureType::try_from(u16::from_be_bytes(*offline.first_chunk()?)).ok()?;
        let key = offline.get(2..2 + kind.public_len())?.to_vec();
        Some(Self { kind, key })
    }

    /// Whether the signature, which is the last option, was made with this key.
    pub(crate) fn verify(&self, bytes: &[u8]) -> bool {
        let length = self.kind.signature_len();
        let Some((at, options)) = options(bytes) else { return false };
        let Some(start) = options.len().checked_sub(length).map(|offset| at + offset) else { return false };
        let (Some(before), Some(signature), Some(after)) =
            (bytes.get(..start), bytes.get(start..start + length), bytes.get(start + length..))
        else {
            return false;
        };
        sign::verify(self.kind, &self.key, &[before, &vec![0; length], after], signature).is_ok()
    }
}
