//! SipHash-2-4 masks of frame lengths (NTCP2, "SipHash obfuscated length").

use siphasher::sip::SipHasher24;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The sequence of masks for one direction of an NTCP2 session; wiped when dropped.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Lengths {
    key: [u8; 16],
    iv: [u8; 8],
}

opaque_debug!(Lengths);

impl Lengths {
    /// From two 8-byte SipHash keys and the 8-byte initial IV, as the data phase's KDF gives them.
    pub fn new(mut keys: [u8; 24]) -> Self {
        let mut lengths = Self { key: [0; 16], iv: [0; 8] };
        lengths.key.copy_from_slice(&keys[..16]);
        lengths.iv.copy_from_slice(&keys[16..]);
        keys.zeroize();
        lengths
    }

    /// The mask of the next frame, to be XORed with its length in host order (which goes out big-endian).
    pub fn next_mask(&mut self) -> u16 {
        let hash = SipHasher24::new_with_key(&self.key).hash(&self.iv);
        self.iv = hash.to_le_bytes();
        hash as u16
    }
}

#[cfg(test)]
mod tests;
