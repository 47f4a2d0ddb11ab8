//! The symmetric state of the Noise framework, open enough for I2P's variants of it.
//!
//! I2P mixes padding, tags and headers into the hash in mid-handshake and derives further keys from the
//! chaining key; so the patterns (XK, IK, N) are spelled out by their users over this state.

use chacha20poly1305::aead::{AeadInOut, KeyInit, inout::InOutBuf};
use chacha20poly1305::{ChaCha20Poly1305, Tag};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::Error;
use crate::aead::{TAG, nonce};
use crate::hash::{hkdf, sha256, sha256_of};

/// Chaining key, handshake hash, and the cipher key with its nonce; wiped when dropped.
///
/// A clone is a snapshot from which a handshake can go on more than once.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SymmetricState {
    ck: [u8; 32],
    h: [u8; 32],
    key: Option<[u8; 32]>,
    nonce: u64,
}

opaque_debug!(SymmetricState);

impl SymmetricState {
    /// The state after the protocol's name (a name of up to 32 bytes is padded with zeros, a longer one hashed)
    /// and an empty prologue.
    pub fn new(name: &str) -> Self {
        let mut ck = [0; 32];
        match ck.get_mut(..name.len()) {
            Some(start) => start.copy_from_slice(name.as_bytes()),
            None => ck = sha256(name.as_bytes()),
        }
        Self { ck, h: sha256(&ck), key: None, nonce: 0 }
    }

    /// MixHash: `h = SHA-256(h || data)`.
    pub fn mix_hash(&mut self, data: &[u8]) {
        self.h = sha256_of(&[&self.h, data]);
    }

    /// MixKey: a new chaining key and cipher key from the input (a DH result); the nonce starts at 0 again.
    pub fn mix_key(&mut self, input: &[u8]) {
        let (ck, key) = hkdf(&self.ck, input, &[]);
        self.ck = ck;
        self.key = Some(key);
        self.nonce = 0;
    }

    /// EncryptAndHash of `data[from..]` in place; the tag is appended. Without a key (before the first
    /// [`mix_key`](Self::mix_key)) the bytes stay clear and have no tag.
    pub fn encrypt_and_hash(&mut self, data: &mut Vec<u8>, from: usize) {
        let from = from.min(data.len());
        if let Some(key) = &self.key {
            let cipher = ChaCha20Poly1305::new(key.into());
            let buffer = InOutBuf::from(&mut data[from..]);
            let Ok(tag) = cipher.encrypt_inout_detached(&nonce(self.nonce).into(), &self.h, buffer) else {
                unreachable!("the limit of 256 GiB is above what fits into memory")
            };
            data.extend_from_slice(&tag);
            self.nonce = self.nonce.wrapping_add(1);
        }
        self.mix_hash(&data[from..]);
    }

    /// DecryptAndHash in place; the result is the length of the plaintext, at the start of `data`.
    ///
    /// # Errors
    /// [`Error::Length`] if there is no room for a tag, [`Error::Authentication`] if the tag does not fit.
    /// The state is then as before, and `data` worthless.
    pub fn decrypt_and_hash(&mut self, data: &mut [u8]) -> Result<usize, Error> {
        let Some(key) = &self.key else {
            self.mix_hash(data);
            return Ok(data.len());
        };
        let h = sha256_of(&[&self.h, data]);
        let Some((buffer, tag)) = data.split_last_chunk_mut::<TAG>() else { return Err(Error::Length) };
        let len = buffer.len();
        ChaCha20Poly1305::new(key.into())
            .decrypt_inout_detached(
                &nonce(self.nonce).into(),
                &self.h,
                InOutBuf::from(buffer),
                &Tag::from(*tag),
            )
            .map_err(|_| Error::Authentication)?;
        self.h = h;
        self.nonce = self.nonce.wrapping_add(1);
        Ok(len)
    }

    /// Split: the keys of the data phase, first the one from initiator to responder.
    pub fn split(&self) -> ([u8; 32], [u8; 32]) {
        hkdf(&self.ck, &[], &[])
    }

    /// The handshake hash: what the next AEAD has as associated data.
    pub fn h(&self) -> [u8; 32] {
        self.h
    }

    /// The chaining key, for the protocols' further derivations.
    pub fn ck(&self) -> [u8; 32] {
        self.ck
    }

    /// The cipher key of the last [`mix_key`](Self::mix_key), if there was one.
    pub fn key(&self) -> Option<[u8; 32]> {
        self.key
    }

    /// Sets the nonce of the next message under the present key.
    pub fn set_nonce(&mut self, nonce: u64) {
        self.nonce = nonce;
    }
}

#[cfg(test)]
mod oracle;
#[cfg(test)]
mod tests;
