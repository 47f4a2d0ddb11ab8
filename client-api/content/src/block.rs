//! Blocks: what nodes store and send, and what they can check without being able to read it.
//!
//! A content block is exactly [`SIZE`] bytes of ciphertext, named by its hash; a signed block is shorter, of one
//! length, and named by a public key and a hidden name. So the length says which of both some bytes are.

use std::fmt;

use allium_crypto::chacha;
use bytes::Bytes;

use crate::base64;
use crate::keys::{CryptoKey, context, derive};
pub use crate::signed::SignedBlock;

/// Bytes of a content block: the plaintext, padded with zeros, has as many.
pub const SIZE: usize = 32 * 1024;

/// The name of a block, by which nodes keep and find it. Prints 4 characters, with `{:#}` all 43.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub [u8; 32]);

impl Key {
    /// How far the other key is, as Kademlia has it: the bits that differ, as a number (big-endian).
    #[must_use]
    pub fn distance(&self, other: &Self) -> Self {
        let mut out = self.0;
        for (byte, other) in out.iter_mut().zip(other.0) {
            *byte ^= other;
        }
        Self(out)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(base64::letters(32));
        base64::push(&mut text, &self.0);
        formatter.write_str(if formatter.alternate() { &text } else { text.get(..4).unwrap_or_default() })
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Key({self})")
    }
}

/// What is wrong with a block, or with what should become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The sender's bytes are neither as many as a content block's nor as a signed block's.
    #[error("{0} bytes are no block")]
    Length(usize),
    /// A signed block of another version of the format.
    #[error("a signed block of version {0}, which this program doesn't know")]
    Version(u8),
    /// The sender's signed block was not signed by the key that it names.
    #[error("the block's signature does not verify")]
    Signature,
    /// The caller's bytes are more than a block holds.
    #[error("{0} bytes don't fit into a block")]
    TooLarge(usize),
    /// The block is another one than the key or name that it is read with asks for.
    #[error("the block is not the one that was asked for")]
    OtherKey,
    /// Whoever published the block filled it with something that is no document.
    #[error("the block's publisher put no valid document into it")]
    Malformed,
}

/// A block whose bytes fit its name: they hash to it, or are signed for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Block {
    /// A piece of immutable content.
    Content(ContentBlock),
    /// A document signed by its owner.
    Signed(SignedBlock),
}

impl Block {
    /// Reads a block and checks all that can be checked without knowing a key. Whether it is the block that was asked
    /// for is for the caller to see from [`Self::key`].
    ///
    /// # Errors
    /// [`Error::Length`], [`Error::Version`] or [`Error::Signature`]: the fault of whoever sent or stored it.
    pub fn decode(bytes: Bytes) -> Result<Self, Error> {
        match bytes.len() {
            SIZE => ContentBlock::decode(bytes).map(Self::Content),
            SignedBlock::LEN => SignedBlock::decode(bytes).map(Self::Signed),
            other => Err(Error::Length(other)),
        }
    }

    /// The bytes that [`Self::decode`] reads; shared, not copied.
    pub fn encode(&self) -> Bytes {
        match self {
            Self::Content(block) => block.bytes.clone(),
            Self::Signed(block) => block.bytes().clone(),
        }
    }

    /// The block's name.
    pub fn key(&self) -> Key {
        match self {
            Self::Content(block) => block.key,
            Self::Signed(block) => block.key(),
        }
    }

    /// The version of a signed block, counted up by its owner; `None` for immutable content.
    pub fn version(&self) -> Option<u64> {
        match self {
            Self::Content(_) => None,
            Self::Signed(block) => Some(block.version()),
        }
    }

    /// Whether this block is to be kept in place of one held under the same key: it is a newer version, or another
    /// block of the same version that everybody prefers (so that two which conflict end as one everywhere). Never so
    /// for the same block, an older one, immutable content, or another key.
    pub fn supersedes(&self, held: &Self) -> bool {
        match (self, held) {
            (Self::Signed(new), Self::Signed(held)) => new.key() == held.key() && new.order(held).is_gt(),
            _ => false,
        }
    }
}

impl From<ContentBlock> for Block {
    fn from(block: ContentBlock) -> Self {
        Self::Content(block)
    }
}

impl From<SignedBlock> for Block {
    fn from(block: SignedBlock) -> Self {
        Self::Signed(block)
    }
}

/// A piece of immutable content, encrypted.
#[derive(Clone, PartialEq, Eq)]
pub struct ContentBlock {
    key: Key,
    bytes: Bytes,
}

impl fmt::Debug for ContentBlock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ContentBlock({})", self.key)
    }
}

impl ContentBlock {
    /// The block of these bytes of ciphertext, named by their hash.
    ///
    /// # Errors
    /// [`Error::Length`] if they are not [`SIZE`].
    pub fn decode(bytes: Bytes) -> Result<Self, Error> {
        if bytes.len() != SIZE {
            return Err(Error::Length(bytes.len()));
        }
        Ok(Self { key: Key(derive(context::CONTENT_KEY, &[&bytes])), bytes })
    }

    /// Encrypts a plaintext, padded with zeros to [`SIZE`]: ChaCha20 with the number as nonce. No two plaintexts may
    /// ever be sealed under the same key and number.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if the plaintext is longer than [`SIZE`].
    pub(crate) fn seal(plain: &[u8], key: &CryptoKey, number: u32) -> Result<Self, Error> {
        if plain.len() > SIZE {
            return Err(Error::TooLarge(plain.len()));
        }
        let mut bytes = Vec::with_capacity(SIZE);
        bytes.extend_from_slice(plain);
        bytes.resize(SIZE, 0);
        chacha::xor(&key.0, &nonce(number), 0, &mut bytes);
        Self::decode(bytes.into())
    }

    /// The padded plaintext, [`SIZE`] bytes.
    pub(crate) fn open(&self, key: &CryptoKey, number: u32) -> Vec<u8> {
        let mut plain = self.bytes.to_vec();
        chacha::xor(&key.0, &nonce(number), 0, &mut plain);
        plain
    }

    /// The block's name.
    pub fn key(&self) -> Key {
        self.key
    }

    /// The ciphertext.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

/// The number in the last four bytes, little-endian: after eight zeros.
fn nonce(number: u32) -> [u8; 12] {
    let [a, b, c, d] = number.to_le_bytes();
    [0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d]
}

#[cfg(test)]
mod tests;
