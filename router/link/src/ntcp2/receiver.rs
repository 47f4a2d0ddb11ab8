//! The direction from the peer.

use super::frame::{self, Event, FRAME_MIN, HEADER, kind};
use super::xk::Direction;
use super::{Error, PaddingOptions, Reason, Stage};
use allium_crypto::aead::TAG;
use allium_wire::i2np::Message;
use bytes::{Buf, BytesMut};
use std::fmt;

/// Opens the frames of one direction. For each frame: two bytes through [`length`](Self::length), then that many
/// through [`open`](Self::open).
pub struct Receiver {
    direction: Direction,
    /// The number of valid frames so far, which is the next nonce.
    frames: u64,
    /// Whether it still makes sense to go on.
    open: bool,
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("frames", &self.frames).finish_non_exhaustive()
    }
}

impl Receiver {
    pub(super) fn new(direction: Direction) -> Self {
        Self { direction, frames: 0, open: true }
    }

    /// How many valid frames came so far: what a termination block reports.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// The length of the next frame, from the two bytes before it: 16 to 65535.
    ///
    /// # Errors
    /// [`Error::Length`] where it cannot hold a tag: someone changed the stream. [`Error::Closed`] after an
    /// earlier error.
    pub fn length(&mut self, obfuscated: [u8; 2]) -> Result<usize, Error> {
        if !self.open {
            return Err(Error::Closed);
        }
        let length = usize::from(u16::from_be_bytes(obfuscated) ^ self.direction.lengths.next_mask());
        if length < FRAME_MIN {
            self.open = false;
            return Err(Error::Length(Stage::Data, length));
        }
        Ok(length)
    }

    /// Opens a whole frame in place and checks the order of its blocks before any is handed out.
    ///
    /// # Errors
    /// [`Error::Authentication`] where the tag does not fit (read on for a while before closing, as a
    /// [`Rebuff`](crate::Rebuff) says), [`Error::Blocks`] where the content makes no sense. The direction is then
    /// over, as it is after a termination: [`Error::Closed`].
    pub fn open(&mut self, mut sealed: BytesMut) -> Result<Frame, Error> {
        if !self.open {
            return Err(Error::Closed);
        }
        self.open = false;
        if self.frames == u64::MAX {
            return Err(Error::Exhausted);
        }
        let authentication = Error::Authentication(Stage::Data);
        let len = self.direction.key.open(self.frames, &[], &mut sealed).map_err(|_| authentication)?.len();
        debug_assert_eq!(len + TAG, sealed.len());
        sealed.truncate(len);
        frame::check(&sealed)?;
        self.frames += 1;
        self.open = true;
        Ok(Frame { blocks: sealed })
    }

    #[cfg(test)]
    pub(super) fn next_mask(&mut self) -> u16 {
        self.direction.lengths.next_mask()
    }
}

/// An opened frame, to be iterated: each event takes its bytes out of the frame without a copy.
#[derive(Debug)]
pub struct Frame {
    blocks: BytesMut,
}

impl Frame {
    /// Takes the next block off: its type and data.
    fn block(&mut self) -> Option<(u8, BytesMut)> {
        let &[kind, high, low] = self.blocks.first_chunk::<HEADER>()?;
        self.blocks.advance(HEADER);
        let len = usize::from(u16::from_be_bytes([high, low])).min(self.blocks.len());
        Some((kind, self.blocks.split_to(len)))
    }
}

impl Iterator for Frame {
    type Item = Result<Event, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (kind, mut data) = self.block()?;
            return Some(Ok(match kind {
                kind::I2NP => match Message::decode_short(data) {
                    Ok(message) => Event::I2np(message),
                    Err(error) => return Some(Err(Error::Malformed(Stage::Data, error))),
                },
                kind::DATE_TIME if data.len() == 4 => Event::DateTime(data.get_u32()),
                kind::OPTIONS => match PaddingOptions::decode(&data) {
                    Some(options) => Event::Options(options),
                    None => continue,
                },
                kind::ROUTER_INFO if !data.is_empty() => {
                    let flood = data.get_u8() & 1 != 0;
                    Event::RouterInfo { info: data.freeze(), flood }
                }
                kind::TERMINATION if data.len() >= 9 => {
                    let received = data.get_u64();
                    Event::Termination { reason: Reason::from(data.get_u8()), received }
                }
                _ => continue,
            }));
        }
    }
}

#[cfg(test)]
mod tests;
