//! The direction to the peer.

use super::frame::{FRAME_TARGET, HEADER, PLAIN_MAX, header, kind};
use super::xk::Direction;
use super::{Error, PaddingOptions, Reason};
use crate::skew::nearest_second;
use allium_crypto::Rng;
use allium_crypto::aead::TAG;
use allium_wire::Now;
use allium_wire::i2np::{self, Message};
use std::fmt;
use std::time::{Duration, Instant};

/// The most padding in a frame, header not counted.
const PADDING_MAX: usize = 31;
/// How often a frame of messages also tells the time.
const DATE_TIME_EVERY: Duration = Duration::from_mins(15);

/// Seals the frames of one direction. Each call appends whole frames to `out`; several may go out in one write.
pub struct Sender {
    direction: Direction,
    /// The number of frames so far, which is the next nonce.
    frames: u64,
    /// Whether no termination was sent.
    open: bool,
    /// The peer's limit of padding, in sixteenths of the data.
    padding_ratio: Option<u8>,
    date_time_due: Instant,
    rng: Rng,
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("frames", &self.frames).finish_non_exhaustive()
    }
}

impl Sender {
    pub(super) fn new(direction: Direction, now: Instant, rng: Rng) -> Self {
        let date_time_due = now + DATE_TIME_EVERY;
        Self { direction, frames: 0, open: true, padding_ratio: None, date_time_due, rng }
    }

    /// How many frames were sealed so far.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Keeps padding within what the peer takes.
    pub fn limit_padding(&mut self, peer: &PaddingOptions) {
        self.padding_ratio = Some(peer.receive_max);
    }

    /// Seals as many of the messages, from the first on, as go into one frame of about [`FRAME_TARGET`] bytes,
    /// and returns how many those are: the caller drops them from its queue and calls again while some are left.
    /// The first message goes in whatever its size. Without messages nothing is appended.
    ///
    /// # Errors
    /// [`Error::Oversize`] where the first message is longer than [`i2np::MAX`] (drop it), [`Error::Closed`],
    /// [`Error::Exhausted`]. Nothing is appended then.
    pub fn seal<'a>(
        &mut self,
        out: &mut Vec<u8>,
        now: Now,
        messages: impl IntoIterator<Item = &'a Message>,
    ) -> Result<usize, Error> {
        let mut messages = messages.into_iter().peekable();
        let Some(first) = messages.peek() else { return Ok(0) };
        if first.body.len() > i2np::MAX {
            return Err(Error::Oversize(first.body.len()));
        }
        let from = self.begin(out)?;
        let mut count = 0;
        for message in messages {
            let len = message.short_len();
            if count > 0 && out.len() - from + HEADER + len + TAG > FRAME_TARGET {
                break;
            }
            out.extend_from_slice(&header(kind::I2NP, len));
            message.encode_short(out);
            count += 1;
        }
        if now.instant >= self.date_time_due {
            self.put_date_time(out, now);
        }
        self.finish(out, from);
        Ok(count)
    }

    /// A frame that tells the time.
    pub fn date_time(&mut self, out: &mut Vec<u8>, now: Now) -> Result<(), Error> {
        let from = self.begin(out)?;
        self.put_date_time(out, now);
        self.finish(out, from);
        Ok(())
    }

    /// A frame with a RouterInfo (not compressed), to be flooded if asked for, which only one with published
    /// addresses may be.
    ///
    /// # Errors
    /// [`Error::Oversize`], [`Error::Closed`], [`Error::Exhausted`].
    pub fn router_info(&mut self, out: &mut Vec<u8>, info: &[u8], flood: bool) -> Result<(), Error> {
        if HEADER + 1 + info.len() > PLAIN_MAX {
            return Err(Error::Oversize(info.len()));
        }
        let from = self.begin(out)?;
        out.extend_from_slice(&header(kind::ROUTER_INFO, 1 + info.len()));
        out.push(u8::from(flood));
        out.extend_from_slice(info);
        self.finish(out, from);
        Ok(())
    }

    /// A frame with what padding we offer and ask for.
    pub fn options(&mut self, out: &mut Vec<u8>, options: &PaddingOptions) -> Result<(), Error> {
        let from = self.begin(out)?;
        out.extend_from_slice(&header(kind::OPTIONS, PaddingOptions::LEN));
        out.extend_from_slice(&options.encode());
        self.finish(out, from);
        Ok(())
    }

    /// The last frame: why the session ends, and how many frames of the peer's came
    /// ([`Receiver::frames`](super::Receiver::frames); 0 where the handshake failed). Later calls fail.
    pub fn terminate(&mut self, out: &mut Vec<u8>, reason: Reason, received: u64) -> Result<(), Error> {
        let from = self.begin(out)?;
        out.extend_from_slice(&header(kind::TERMINATION, 9));
        out.extend_from_slice(&received.to_be_bytes());
        out.push(reason.code());
        self.finish(out, from);
        self.open = false;
        Ok(())
    }

    fn put_date_time(&mut self, out: &mut Vec<u8>, now: Now) {
        out.extend_from_slice(&header(kind::DATE_TIME, 4));
        out.extend_from_slice(&nearest_second(now.date).to_be_bytes());
        self.date_time_due = now.instant + DATE_TIME_EVERY;
    }

    /// Leaves room for the length; the frame's blocks begin at the result.
    fn begin(&mut self, out: &mut Vec<u8>) -> Result<usize, Error> {
        if !self.open {
            return Err(Error::Closed);
        }
        if self.frames == u64::MAX {
            return Err(Error::Exhausted);
        }
        out.extend_from_slice(&[0; 2]);
        Ok(out.len())
    }

    /// Pads, seals and puts the length before it. The blocks take at most [`PLAIN_MAX`] bytes, which the callers see to.
    fn finish(&mut self, out: &mut Vec<u8>, from: usize) {
        self.pad(out, from);
        self.direction.key.seal_vec(self.frames, &[], out, from);
        self.frames += 1;
        let length = (out.len() - from) as u16 ^ self.direction.lengths.next_mask();
        out[from - 2..from].copy_from_slice(&length.to_be_bytes());
    }

    fn pad(&mut self, out: &mut Vec<u8>, from: usize) {
        let data = out.len() - from;
        let wanted = match self.padding_ratio {
            Some(ratio) => PADDING_MAX.min((data * usize::from(ratio) / 16).saturating_sub(HEADER)),
            None => PADDING_MAX,
        };
        let most = wanted.min(PLAIN_MAX.saturating_sub(data + HEADER));
        if most == 0 {
            return;
        }
        let len = self.rng.below(most as u64 + 1) as usize;
        let padding: [u8; PADDING_MAX] = self.rng.array();
        out.extend_from_slice(&header(kind::PADDING, len));
        out.extend_from_slice(&padding[..len]);
    }

    /// A frame of these very blocks, right or wrong.
    #[cfg(test)]
    pub(super) fn raw(&mut self, out: &mut Vec<u8>, blocks: &[u8]) {
        let from = self.begin(out).unwrap();
        out.extend_from_slice(blocks);
        self.direction.key.seal_vec(self.frames, &[], out, from);
        self.frames += 1;
        let length = (out.len() - from) as u16 ^ self.direction.lengths.next_mask();
        out[from - 2..from].copy_from_slice(&length.to_be_bytes());
    }

    #[cfg(test)]
    pub(super) fn set_frames(&mut self, frames: u64) {
        self.frames = frames;
    }
}
