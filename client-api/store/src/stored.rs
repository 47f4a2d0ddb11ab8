//! What the store network asks of a block.

use allium_content::block::{Block, Error, SIZE};
use bytes::Bytes;

use crate::Key;

/// What orders signed blocks of one version, as [`Block::supersedes`] has it.
const TIE: &str = "allium content 1: order of equal versions";

/// Which of several blocks of one key is newer: the greater one. Immutable blocks are all [`Version::FIXED`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Version {
    /// What the publisher counts up; 0 for immutable blocks alone.
    pub number: u64,
    /// Decides between blocks of one number, the same way everywhere.
    pub tie: u64,
}

impl Version {
    /// Of a block that never changes.
    pub const FIXED: Self = Self { number: 0, tie: 0 };

    /// Whether no other block can have the same key.
    pub fn is_fixed(self) -> bool {
        self == Self::FIXED
    }

    /// Two bytes that differ for most different versions.
    pub(crate) fn tag(self) -> u16 {
        let mixed =
            (self.number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ self.tie).wrapping_mul(0xd6e8_feb8_6659_fd93);
        (mixed >> 48) as u16
    }
}

/// Why some bytes are not taken for a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Flaw {
    /// They are none: their sender should have seen that.
    #[error("the sender's block does not verify")]
    Junk,
    /// They are of a later format.
    #[error("a kind of block that this program does not know")]
    Unknown,
}

/// A block that proves by itself that it belongs under its key.
pub trait Stored: Clone {
    /// The longest encoding, bytes.
    const MAX: usize;

    /// Reads a block and verifies all that can be verified without the reader's key: that its bytes or its signature
    /// fit [`key`](Self::key).
    ///
    /// # Errors
    /// [`Flaw::Junk`] if anything is wrong with it, which is its sender's fault; [`Flaw::Unknown`] if it may be right.
    fn decode(bytes: &Bytes) -> Result<Self, Flaw>;

    /// The bytes that [`decode`](Self::decode) reads.
    fn encode(&self) -> Bytes;

    /// Where it belongs.
    fn key(&self) -> Key;

    /// Its place among the blocks of its key.
    fn version(&self) -> Version;
}

impl Stored for Block {
    const MAX: usize = SIZE;

    fn decode(bytes: &Bytes) -> Result<Self, Flaw> {
        Self::decode(bytes.clone()).map_err(|why| match why {
            Error::Version(_) => Flaw::Unknown,
            _ => Flaw::Junk,
        })
    }

    fn encode(&self) -> Bytes {
        self.encode()
    }

    fn key(&self) -> Key {
        self.key()
    }

    fn version(&self) -> Version {
        match self {
            Self::Content(_) => Version::FIXED,
            Self::Signed(block) => {
                let hash = blake3::derive_key(TIE, block.bytes());
                let tie = hash.first_chunk().copied().map_or(0, u64::from_be_bytes);
                Version { number: block.version().saturating_add(1), tie }
            }
        }
    }
}

#[cfg(test)]
mod tests;
