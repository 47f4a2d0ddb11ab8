//! What is inside a garlic message: blocks, cloves among them (ecies, "Payload").

use allium_crypto::x25519::PublicKey;
use bytes::BytesMut;

use crate::i2np::Message;
use crate::{DestHash, Error, Reader, RouterHash, TunnelId};

/// Where a clove is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// To whoever opened the message.
    Local,
    /// To a destination there.
    Destination(DestHash),
    /// To a router.
    Router(RouterHash),
    /// Into a tunnel.
    Tunnel {
        /// The tunnel's gateway.
        gateway: RouterHash,
        /// Its id there.
        tunnel: TunnelId,
    },
}

impl Delivery {
    /// Bytes of it.
    pub fn encoded_len(&self) -> usize {
        match self {
            Self::Local => 1,
            Self::Destination(_) | Self::Router(_) => 33,
            Self::Tunnel { .. } => 37,
        }
    }

    /// Appends it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Local => out.push(0),
            Self::Destination(hash) => {
                out.push(1 << 5);
                out.extend_from_slice(hash.as_bytes());
            }
            Self::Router(hash) => {
                out.push(2 << 5);
                out.extend_from_slice(hash.as_bytes());
            }
            Self::Tunnel { gateway, tunnel } => {
                out.push(3 << 5);
                out.extend_from_slice(gateway.as_bytes());
                out.extend_from_slice(&tunnel.0.to_be_bytes());
            }
        }
    }

    /// Takes it off a reader.
    ///
    /// # Errors
    /// [`Error::Truncated`]; [`Error::Unsupported`] for encrypted cloves, which nobody makes.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let flag = reader.u8()?;
        if flag & 0x80 != 0 {
            return Err(Error::Unsupported("an encrypted clove"));
        }
        let delivery = match flag >> 5 & 3 {
            0 => Self::Local,
            1 => Self::Destination(DestHash(reader.array()?)),
            2 => Self::Router(RouterHash(reader.array()?)),
            _ => Self::Tunnel { gateway: RouterHash(reader.array()?), tunnel: TunnelId(reader.u32()?) },
        };
        if flag & 0x10 != 0 {
            reader.u32()?; // a delay, which nobody keeps
        }
        Ok(delivery)
    }
}

/// A message and where it is to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clove {
    /// Where to.
    pub delivery: Delivery,
    /// What.
    pub message: Message,
}

impl Clove {
    /// Bytes of its block's content.
    pub fn encoded_len(&self) -> usize {
        self.delivery.encoded_len() + self.message.short_len()
    }
}

/// A block of a garlic message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Block {
    /// When it was sealed, seconds since 1970.
    DateTime(u32),
    /// The session ends.
    Termination(u8),
    /// Wishes about padding and tags, which nobody sends.
    Options,
    /// How many messages there were.
    MessageNumbers,
    /// A step of the key exchange that keeps a session going.
    NextKey {
        /// Bit 0: a key follows; bit 1: it is the receiver's reverse key; bit 2: a reverse key is asked for.
        flags: u8,
        /// The key's number.
        id: u16,
        /// The key.
        key: Option<PublicKey>,
    },
    /// Messages received: tag set and number of each.
    Ack(Vec<(u16, u16)>),
    /// Asks for an [`Block::Ack`].
    AckRequest,
    /// A message.
    Clove(Clove),
    /// Padding of so many bytes.
    Padding(usize),
    /// A type that this router does not know.
    Unknown(u8),
}

mod kind {
    pub(super) const DATE_TIME: u8 = 0;
    pub(super) const TERMINATION: u8 = 4;
    pub(super) const OPTIONS: u8 = 5;
    pub(super) const MESSAGE_NUMBERS: u8 = 6;
    pub(super) const NEXT_KEY: u8 = 7;
    pub(super) const ACK: u8 = 8;
    pub(super) const ACK_REQUEST: u8 = 9;
    pub(super) const CLOVE: u8 = 11;
    pub(super) const PADDING: u8 = 254;
}

/// Bytes before a block's content: type and length.
pub const BLOCK_HEADER: usize = 3;

/// Appends a block. Unknown ones and options, which this router never sends, are left out.
pub fn encode_block(block: &Block, out: &mut Vec<u8>) {
    let at = out.len();
    let kind = match block {
        Block::DateTime(_) => kind::DATE_TIME,
        Block::Termination(_) => kind::TERMINATION,
        Block::NextKey { .. } => kind::NEXT_KEY,
        Block::Ack(_) => kind::ACK,
        Block::AckRequest => kind::ACK_REQUEST,
        Block::Clove(_) => kind::CLOVE,
        Block::Padding(_) => kind::PADDING,
        Block::Options | Block::MessageNumbers | Block::Unknown(_) => return,
    };
    out.extend_from_slice(&[kind, 0, 0]);
    match block {
        Block::DateTime(seconds) => out.extend_from_slice(&seconds.to_be_bytes()),
        Block::Termination(reason) => out.push(*reason),
        Block::NextKey { flags, id, key } => {
            out.push(*flags);
            out.extend_from_slice(&id.to_be_bytes());
            out.extend_from_slice(key.as_ref().map_or(&[][..], |key| key.as_bytes()));
        }
        Block::Ack(acked) => {
            for (set, number) in acked {
                out.extend_from_slice(&set.to_be_bytes());
                out.extend_from_slice(&number.to_be_bytes());
            }
        }
        Block::AckRequest => out.push(0),
        Block::Clove(clove) => {
            clove.delivery.encode(out);
            clove.message.encode_short(out);
        }
        Block::Padding(length) => out.resize(out.len() + length, 0),
        Block::Options | Block::MessageNumbers | Block::Unknown(_) => {}
    }
    let length = ((out.len() - at - BLOCK_HEADER) as u16).to_be_bytes();
    if let Some(place) = out.get_mut(at + 1..at + BLOCK_HEADER) {
        place.copy_from_slice(&length);
    }
}

/// Reads the blocks of an opened garlic message; cloves' bodies are copied.
///
/// # Errors
/// As [`decode_blocks_mut`].
pub fn decode_blocks(bytes: &[u8]) -> Result<Vec<Block>, Error> {
    decode_blocks_mut(BytesMut::from(bytes))
}

/// Reads the blocks of an opened garlic message; cloves' bodies are taken out of it, not copied.
///
/// # Errors
/// Where a block leaves the message, anything follows padding, or anything but padding follows a termination.
pub fn decode_blocks_mut(mut bytes: BytesMut) -> Result<Vec<Block>, Error> {
    let mut blocks = Vec::with_capacity(2);
    let (mut padded, mut terminated) = (false, false);
    while !bytes.is_empty() {
        let mut header = Reader::of(&bytes, "a garlic block");
        let (kind, length) = (header.u8()?, usize::from(header.u16()?));
        header.take(length)?;
        if padded || (terminated && kind != kind::PADDING) {
            return Err(Error::Invalid("the order of garlic blocks"));
        }
        let mut content = bytes.split_to(BLOCK_HEADER + length).split_off(BLOCK_HEADER);
        padded = kind == kind::PADDING;
        terminated |= kind == kind::TERMINATION;
        let mut reader = Reader::of(&content, "a garlic block");
        blocks.push(match kind {
            kind::DATE_TIME => Block::DateTime(reader.u32()?),
            kind::TERMINATION => Block::Termination(reader.u8()?),
            kind::OPTIONS => Block::Options,
            kind::MESSAGE_NUMBERS => Block::MessageNumbers,
            kind::NEXT_KEY => {
                let (flags, id) = (reader.u8()?, reader.u16()?);
                let key = if flags & 1 != 0 { Some(PublicKey(reader.array()?)) } else { None };
                Block::NextKey { flags, id, key }
            }
            kind::ACK => {
                let mut acked = Vec::with_capacity(length / 4);
                while reader.remaining() >= 4 {
                    acked.push((reader.u16()?, reader.u16()?));
                }
                Block::Ack(acked)
            }
            kind::ACK_REQUEST => Block::AckRequest,
            kind::CLOVE => {
                let delivery = Delivery::decode(&mut reader)?;
                let used = length - reader.remaining();
                let message = Message::decode_short(content.split_off(used))?;
                Block::Clove(Clove { delivery, message })
            }
            kind::PADDING => Block::Padding(length),
            other => Block::Unknown(other),
        });
    }
    Ok(blocks)
}

#[cfg(test)]
mod tests;
