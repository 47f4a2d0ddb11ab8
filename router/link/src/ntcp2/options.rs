//! The option blocks of messages 1 and 2 and of frames.

use super::{Error, MESSAGE_3_PART_2_MAX, PADDING_1_MAX, PADDING_2_MAX, Stage, VERSION};

/// The bytes of an option block in messages 1 and 2.
pub(super) const OPTIONS: usize = 16;

/// A RouterInfo of the smallest identity, without addresses or options, in its block.
const MESSAGE_3_PART_2_MIN: usize = 16 + 4 + 387 + 8 + 1 + 1 + 2 + 40;

/// The options of message 1: what follows, and when it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) net_id: u8,
    pub(super) padding: usize,
    pub(super) part_2: usize,
    pub(super) seconds: u32,
}

impl Request {
    /// `id ver padLen m3p2Len 0 0 tsA 0 0 0 0`.
    pub(super) fn encode(&self) -> [u8; OPTIONS] {
        let [p0, p1] = (self.padding as u16).to_be_bytes();
        let [m0, m1] = (self.part_2 as u16).to_be_bytes();
        let [t0, t1, t2, t3] = self.seconds.to_be_bytes();
        [self.net_id, VERSION, p0, p1, m0, m1, 0, 0, t0, t1, t2, t3, 0, 0, 0, 0]
    }

    /// Decodes and checks everything but the clock. A network id of 0 says nothing and fits any.
    pub(super) fn decode(bytes: [u8; OPTIONS], net_id: u8) -> Result<Self, Error> {
        let [id, version, p0, p1, m0, m1, _, _, t0, t1, t2, t3, ..] = bytes;
        let padding = usize::from(u16::from_be_bytes([p0, p1]));
        let part_2 = usize::from(u16::from_be_bytes([m0, m1]));
        if id != 0 && id != net_id {
            return Err(Error::Network(id));
        }
        if version != VERSION {
            return Err(Error::Version(version));
        }
        if padding > PADDING_1_MAX {
            return Err(Error::Padding(Stage::Message1, padding));
        }
        if !(MESSAGE_3_PART_2_MIN..=MESSAGE_3_PART_2_MAX).contains(&part_2) {
            return Err(Error::Length(Stage::Message1, part_2));
        }
        Ok(Self { net_id: id, padding, part_2, seconds: u32::from_be_bytes([t0, t1, t2, t3]) })
    }
}

/// The options of message 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Created {
    pub(super) padding: usize,
    pub(super) seconds: u32,
}

impl Created {
    /// `0 0 padLen 0 0 0 0 tsB 0 0 0 0`.
    pub(super) fn encode(&self) -> [u8; OPTIONS] {
        let [p0, p1] = (self.padding as u16).to_be_bytes();
        let [t0, t1, t2, t3] = self.seconds.to_be_bytes();
        [0, 0, p0, p1, 0, 0, 0, 0, t0, t1, t2, t3, 0, 0, 0, 0]
    }

    pub(super) fn decode(bytes: [u8; OPTIONS]) -> Result<Self, Error> {
        let [_, _, p0, p1, _, _, _, _, t0, t1, t2, t3, ..] = bytes;
        let padding = usize::from(u16::from_be_bytes([p0, p1]));
        if padding > PADDING_2_MAX {
            return Err(Error::Padding(Stage::Message2, padding));
        }
        Ok(Self { padding, seconds: u32::from_be_bytes([t0, t1, t2, t3]) })
    }
}

/// The padding and dummy traffic that a router offers and asks for (the options block of frames).
///
/// Ratios are 4.4 fixed-point: 16 is as much padding as data. "Send" is the way from the router that says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PaddingOptions {
    /// The least padding it sends.
    pub send_min: u8,
    /// The most padding it sends.
    pub send_max: u8,
    /// The least padding it asks for.
    pub receive_min: u8,
    /// The most padding it takes.
    pub receive_max: u8,
    /// The most dummy traffic it sends, bytes a second.
    pub send_dummy: u16,
    /// The dummy traffic it asks for, bytes a second.
    pub receive_dummy: u16,
    /// The longest delay it puts between messages, milliseconds.
    pub send_delay: u16,
    /// The delay between messages it asks for, milliseconds.
    pub receive_delay: u16,
}

impl PaddingOptions {
    /// Bytes of the block's data.
    pub const LEN: usize = 12;

    /// The block's data.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let [a0, a1] = self.send_dummy.to_be_bytes();
        let [b0, b1] = self.receive_dummy.to_be_bytes();
        let [c0, c1] = self.send_delay.to_be_bytes();
        let [d0, d1] = self.receive_delay.to_be_bytes();
        [self.send_min, self.send_max, self.receive_min, self.receive_max, a0, a1, b0, b1, c0, c1, d0, d1]
    }

    /// From the block's data, which may go on with options of the future; `None` where it is too short.
    pub fn decode(data: &[u8]) -> Option<Self> {
        let [send_min, send_max, receive_min, receive_max, a0, a1, b0, b1, c0, c1, d0, d1] =
            *data.first_chunk::<{ Self::LEN }>()?;
        Some(Self {
            send_min,
            send_max,
            receive_min,
            receive_max,
            send_dummy: u16::from_be_bytes([a0, a1]),
            receive_dummy: u16::from_be_bytes([b0, b1]),
            send_delay: u16::from_be_bytes([c0, c1]),
            receive_delay: u16::from_be_bytes([d0, d1]),
        })
    }
}

#[cfg(test)]
mod tests;
