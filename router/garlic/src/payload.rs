//! Payloads: the blocks inside a sealed message, their padding, and reading them without copying cloves.

use std::ops::Range;

use allium_crypto::Rng;
use allium_wire::garlic::{BLOCK_HEADER, Block, Clove, decode_blocks_mut, encode_block};
use allium_wire::{Date, Error as Malformed};
use bytes::{Buf, BytesMut};

use crate::Error;
use crate::ratchet::{Extras, NextKey};

/// The type of a clove's block.
const CLOVE: u8 = 11;
/// What stands around the ciphertext when it goes through a tunnel: the standard I2NP header and the garlic length.
const AROUND: usize = 16 + 4;
/// The longest I2NP message that goes whole into one tunnel message, behind instructions for delivery to a tunnel.
const ONE_TUNNEL_MESSAGE: usize = 964;
/// What the first of several takes, and each further one.
const FIRST_FRAGMENT: usize = 960;
/// See [`FIRST_FRAGMENT`].
const FRAGMENT: usize = 996;
/// The most that a payload may be: what 62 fragments hold, and less than an AEAD frame.
const LIMIT: usize = 61_000;
/// Padding is 0 to 15 bytes.
const MOST_PADDING: usize = 15;
/// Cloves read from one message; each is a message to be routed.
const MOST_CLOVES: usize = 64;

/// How many bytes a ciphertext of this length may grow until it takes one more tunnel message.
pub(crate) fn room(ciphertext: usize) -> usize {
    let message = ciphertext + AROUND;
    let end = if message <= ONE_TUNNEL_MESSAGE {
        ONE_TUNNEL_MESSAGE
    } else {
        FIRST_FRAGMENT + message.saturating_sub(FIRST_FRAGMENT).div_ceil(FRAGMENT) * FRAGMENT
    };
    end - message
}

/// The length of the padding block's content, if there is to be one: random, but never so long that the message would
/// take one more tunnel message.
pub(crate) fn padding(rng: &mut Rng, ciphertext: usize) -> Option<usize> {
    let wanted = rng.u32() as usize % (MOST_PADDING + 1);
    let room = room(ciphertext).checked_sub(BLOCK_HEADER)?;
    Some(wanted.min(room)).filter(|len| *len > 0)
}

/// The length of the clove blocks.
///
/// # Errors
/// [`Error::TooLong`] if they do not fit into one message.
pub(crate) fn cloves_len(cloves: &[Clove]) -> Result<usize, Error> {
    let len: usize = cloves.iter().map(|clove| BLOCK_HEADER + clove.encoded_len()).sum();
    if len > LIMIT { Err(Error::TooLong) } else { Ok(len) }
}

/// Appends one clove as a block.
pub(crate) fn write_clove(out: &mut Vec<u8>, clove: &Clove) {
    out.push(CLOVE);
    out.extend_from_slice(&(clove.encoded_len() as u16).to_be_bytes());
    clove.delivery.encode(out);
    clove.message.encode_short(out);
}

/// Appends a padding block, if `padding` says so.
pub(crate) fn write_padding(out: &mut Vec<u8>, padding: Option<usize>) {
    if let Some(len) = padding {
        encode_block(&Block::Padding(len), out);
    }
}

/// Appends the blocks of next keys and of the ack request.
pub(crate) fn write_extras(out: &mut Vec<u8>, extras: &Extras) {
    for NextKey { flags, id, key } in extras.next_keys.iter().flatten().copied() {
        encode_block(&Block::NextKey { flags, id, key }, out);
    }
    if extras.ack_request {
        encode_block(&Block::AckRequest, out);
    }
}

/// Appends a block of acks, of as many of them as are given.
pub(crate) fn write_acks(out: &mut Vec<u8>, acks: impl IntoIterator<Item = (u16, u16)>) {
    encode_block(&Block::Ack(acks.into_iter().collect()), out);
}

/// The payload of a message of a handshake: date, cloves, padding. `overhead` is what sealing will add.
pub(crate) fn handshake(
    rng: &mut Rng,
    date: Option<Date>,
    cloves: &[Clove],
    overhead: usize,
) -> Result<Vec<u8>, Error> {
    let mut payload = Vec::with_capacity(cloves_len(cloves)? + 2 * BLOCK_HEADER + 4 + MOST_PADDING);
    if let Some(date) = date {
        encode_block(&Block::DateTime(date.seconds()), &mut payload);
    }
    for clove in cloves {
        write_clove(&mut payload, clove);
    }
    let padding = padding(rng, payload.len() + overhead);
    write_padding(&mut payload, padding);
    Ok(payload)
}

/// What a payload holds.
#[derive(Debug, Default)]
pub(crate) struct Payload {
    /// The DateTime block, in seconds, if it is the first block.
    pub(crate) date: Option<u32>,
    pub(crate) cloves: Vec<Clove>,
    pub(crate) next_keys: Vec<NextKey>,
    pub(crate) acks: Vec<(u16, u16)>,
    pub(crate) ack_request: bool,
    pub(crate) terminates: bool,
}

/// The payload's part of an opened message, without copying it.
pub(crate) fn part(mut message: BytesMut, range: Range<usize>) -> BytesMut {
    message.truncate(range.end);
    message.advance(range.start.min(message.len()));
    message
}

/// Reads the blocks of a payload; cloves become parts of its buffer.
///
/// # Errors
/// What is wrong with a block, or that one follows where none may: nothing follows Padding, and only Padding follows
/// Termination. Blocks of unknown types are skipped.
pub(crate) fn read(payload: BytesMut) -> Result<Payload, Malformed> {
    let mut found = Payload::default();
    for (place, block) in decode_blocks_mut(payload)?.into_iter().enumerate() {
        match block {
            Block::DateTime(seconds) if place == 0 => found.date = Some(seconds),
            Block::Termination(_) => found.terminates = true,
            Block::NextKey { flags, id, key } if found.next_keys.len() < 2 => {
                found.next_keys.push(NextKey { flags, id, key });
            }
            Block::Ack(acks) => found.acks.extend(acks),
            Block::AckRequest => found.ack_request = true,
            Block::Clove(clove) if found.cloves.len() < MOST_CLOVES => found.cloves.push(clove),
            _ => (),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
