//! Frames of the data phase: what they hold and how the blocks are laid out.

use super::{Error, PaddingOptions, Reason, Stage};
use allium_crypto::aead::TAG;
use allium_wire::i2np::Message;
use bytes::Bytes;

/// The fewest bytes of a frame: its tag.
pub const FRAME_MIN: usize = TAG;
/// The most bytes of a frame, tag included.
pub const FRAME_MAX: usize = 65535;
/// Frames of several messages end before this, so that a receiver need not wait for long to open one.
pub const FRAME_TARGET: usize = 16 * 1024;
/// The most bytes of all blocks in a frame.
pub(super) const PLAIN_MAX: usize = FRAME_MAX - TAG;
/// Bytes before a block's data: its type and length.
pub(super) const HEADER: usize = 3;

/// The types of blocks.
pub(super) mod kind {
    pub(crate) const DATE_TIME: u8 = 0;
    pub(crate) const OPTIONS: u8 = 1;
    pub(crate) const ROUTER_INFO: u8 = 2;
    pub(crate) const I2NP: u8 = 3;
    pub(crate) const TERMINATION: u8 = 4;
    pub(crate) const PADDING: u8 = 254;
}

/// What a frame brings. Padding and blocks of unknown types bring nothing.
#[derive(Debug)]
pub enum Event {
    /// An I2NP message; its body is a part of the frame, not a copy.
    I2np(Message),
    /// The peer's clock, seconds since 1970, when it sent the frame.
    DateTime(u32),
    /// What padding the peer offers and asks for.
    Options(PaddingOptions),
    /// A RouterInfo, neither decoded nor verified; the sender's own, or anyone's.
    RouterInfo {
        /// Its bytes, not compressed.
        info: Bytes,
        /// Whether to flood it.
        flood: bool,
    },
    /// The peer ends the session.
    Termination {
        /// Why.
        reason: Reason,
        /// How many of our frames it received.
        received: u64,
    },
}

/// A block's header: type, and length of the data. The caller has checked that the data fit.
pub(super) fn header(kind: u8, len: usize) -> [u8; HEADER] {
    let [high, low] = (len as u16).to_be_bytes();
    [kind, high, low]
}

/// Checks the layout, the sizes and the order of a frame's blocks.
pub(super) fn check(mut blocks: &[u8]) -> Result<(), Error> {
    let fail = |what| Err(Error::Blocks(Stage::Data, what));
    let mut terminated = false;
    while let Some((&[kind, high, low], rest)) = blocks.split_first_chunk::<HEADER>() {
        let len = usize::from(u16::from_be_bytes([high, low]));
        if len > rest.len() {
            return fail("a block beyond the frame");
        }
        blocks = &rest[len..];
        let known = matches!(kind, kind::DATE_TIME..=kind::TERMINATION);
        if terminated && known {
            return fail("a block after the termination");
        }
        let fits = match kind {
            kind::DATE_TIME => len == 4,
            kind::OPTIONS => len >= PaddingOptions::LEN,
            kind::ROUTER_INFO => len > 1,
            kind::I2NP | kind::TERMINATION => len >= 9,
            _ => true,
        };
        if !fits {
            return fail("a block of impossible size");
        }
        if kind == kind::PADDING && !blocks.is_empty() {
            return fail("a block after the padding");
        }
        terminated |= kind == kind::TERMINATION;
    }
    if blocks.is_empty() { Ok(()) } else { fail("bytes after the last block") }
}
