//! ChaCha20-Poly1305 with counter nonces, in place: the cipher of every link and ratchet message.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

use crate::Error;

/// Bytes that sealing adds: the Poly1305 tag.
pub const TAG: usize = 16;

/// The 12-byte nonce of a counter: four zero bytes, then the counter in little-endian order.
pub fn nonce(counter: u64) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&counter.to_le_bytes());
    nonce
}

/// A key with its schedule, for many messages.
///
/// The caller never seals two messages with one nonce.
pub struct Key(LessSafeKey);

opaque_debug!(Key);

impl Key {
    /// Prepares the key.
    pub fn new(key: &[u8; 32]) -> Self {
        let Ok(key) = UnboundKey::new(&CHACHA20_POLY1305, key) else {
            unreachable!("32 bytes are the length of a ChaCha20-Poly1305 key")
        };
        Self(LessSafeKey::new(key))
    }

    /// Encrypts `data` in place; the tag over it and `ad` is the result.
    #[must_use]
    pub fn seal(&self, counter: u64, ad: &[u8], data: &mut [u8]) -> [u8; TAG] {
        let nonce = Nonce::assume_unique_for_key(nonce(counter));
        let Ok(tag) = self.0.seal_in_place_separate_tag(nonce, Aad::from(ad), data) else {
            unreachable!("the limit of 256 GiB is above what fits into memory")
        };
        let mut out = [0; TAG];
        out.copy_from_slice(tag.as_ref());
        out
    }

    /// Encrypts `data[from..]` in place and appends the tag. Nothing is encrypted past the end of `data`.
    pub fn seal_vec(&self, counter: u64, ad: &[u8], data: &mut Vec<u8>, from: usize) {
        let from = from.min(data.len());
        let tag = self.seal(counter, ad, &mut data[from..]);
        data.extend_from_slice(&tag);
    }

    /// Decrypts `sealed` (ciphertext, then tag) in place; the result is the plaintext part of it.
    ///
    /// # Errors
    /// [`Error::Length`] if there is no room for a tag, [`Error::Authentication`] if the tag does not fit;
    /// the bytes of `sealed` are then worthless.
    pub fn open<'a>(&self, counter: u64, ad: &[u8], sealed: &'a mut [u8]) -> Result<&'a mut [u8], Error> {
        if sealed.len() < TAG {
            return Err(Error::Length);
        }
        let nonce = Nonce::assume_unique_for_key(nonce(counter));
        self.0.open_in_place(nonce, Aad::from(ad), sealed).map_err(|_| Error::Authentication)
    }
}

#[cfg(test)]
mod tests;
