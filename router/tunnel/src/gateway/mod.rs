//! From I2NP messages to tunnel messages: fragments, packing, padding (tunnel-message).

use crate::{Error, LARGEST};
use allium_crypto::Rng;
use allium_crypto::layer::Layer;
use allium_wire::TunnelId;
use allium_wire::tunnel::{DATA, FOLLOW_ON, Instructions, SPACE, Target, checksum};
use bytes::BytesMut;

/// A message is not split for the sake of a piece smaller than this.
const SMALLEST_PIECE: usize = 64;
/// Bytes before the padding: tunnel id, IV, checksum.
const HEAD: usize = 24;

/// Cuts and packs messages for one tunnel.
pub(crate) struct Packer {
    rng: Rng,
    next_id: u32,
}

/// Tunnel messages in the making: full ones, and the content of the one being filled.
struct Pages<'a> {
    rng: &'a mut Rng,
    tunnel: TunnelId,
    done: BytesMut,
    content: Vec<u8>,
}

impl Packer {
    pub(crate) fn new(mut rng: Rng) -> Self {
        let next_id = rng.u32();
        Self { rng, next_id }
    }

    pub(crate) fn rng(&mut self) -> &mut Rng {
        &mut self.rng
    }

    /// Packs I2NP messages (standard header) into as few tunnel messages as sensible, in the clear.
    ///
    /// A message is never delayed for one that may come; what is given at once may share a tunnel message.
    ///
    /// # Errors
    /// [`Error::TooLong`] for a message that no tunnel carries; then nothing is packed.
    pub(crate) fn pack(
        &mut self,
        tunnel: TunnelId,
        items: &[(Target, &[u8])],
    ) -> Result<Vec<BytesMut>, Error> {
        if items.iter().any(|(_, message)| message.len() > LARGEST) {
            return Err(Error::TooLong);
        }
        let bytes: usize =
            items.iter().map(|(target, message)| target.first_len() + message.len() + FOLLOW_ON).sum();
        let mut pages = Pages {
            rng: &mut self.rng,
            tunnel,
            done: BytesMut::with_capacity((bytes / (SPACE - FOLLOW_ON) + 1) * DATA),
            content: Vec::with_capacity(SPACE),
        };
        for (i, (target, message)) in items.iter().enumerate() {
            let more = i + 1 < items.len();
            if !pages.put_whole(target, message, more) {
                pages.put_pieces(target, message, self.next_id);
                self.next_id = self.next_id.wrapping_add(1);
            }
        }
        Ok(pages.finish())
    }
}

impl Pages<'_> {
    fn room(&self) -> usize {
        SPACE - self.content.len()
    }

    /// Puts the message unfragmented, if it fits now, or would into a new page and splitting gains nothing.
    fn put_whole(&mut self, target: &Target, message: &[u8], more: bool) -> bool {
        let needed = target.whole_len() + message.len();
        if needed > self.room() {
            let splittable = self.room() >= target.first_len() + SMALLEST_PIECE;
            if needed > SPACE || (more && splittable) {
                return false;
            }
            self.turn();
        }
        Instructions::Whole(*target).encode(message.len(), &mut self.content);
        self.content.extend_from_slice(message);
        true
    }

    fn put_pieces(&mut self, target: &Target, message: &[u8], id: u32) {
        let header = target.first_len();
        if self.room() < header + SMALLEST_PIECE {
            self.turn();
        }
        let (piece, mut rest) = message.split_at((self.room() - header).min(message.len()));
        Instructions::First { target: *target, message: id }.encode(piece.len(), &mut self.content);
        self.content.extend_from_slice(piece);
        let mut number = 1;
        while !rest.is_empty() {
            self.turn();
            let (piece, after) = rest.split_at(rest.len().min(SPACE - FOLLOW_ON));
            rest = after;
            let last = rest.is_empty();
            Instructions::FollowOn { message: id, number, last }.encode(piece.len(), &mut self.content);
            self.content.extend_from_slice(piece);
            number += 1;
        }
    }

    /// Closes the page: tunnel id, random IV, checksum, random padding without zeros, zero, content.
    fn turn(&mut self) {
        if self.content.is_empty() {
            return;
        }
        let at = self.done.len();
        self.done.resize(at + DATA, 0);
        let page = &mut self.done[at..];
        let content_at = DATA - self.content.len();
        page[content_at..].copy_from_slice(&self.content);
        self.rng.fill(&mut page[4..content_at - 1]);
        page[..4].copy_from_slice(&self.tunnel.0.to_be_bytes());
        let mut iv = [0; 16];
        iv.copy_from_slice(&page[4..20]);
        page[20..HEAD].copy_from_slice(&checksum(&iv, &self.content));
        let instead = self.rng.u32() as u8 | 1;
        for byte in &mut page[HEAD..content_at - 1] {
            if *byte == 0 {
                *byte = instead;
            }
        }
        self.content.clear();
    }

    fn finish(mut self) -> Vec<BytesMut> {
        self.turn();
        let mut pages = Vec::with_capacity(self.done.len() / DATA);
        while self.done.len() > DATA {
            pages.push(self.done.split_to(DATA));
        }
        if !self.done.is_empty() {
            pages.push(self.done);
        }
        pages
    }
}

/// What hops work on of each message: IV and data. Messages of another size are left out.
fn bodies(messages: &mut [BytesMut]) -> Vec<&mut [u8; 1024]> {
    messages.iter_mut().filter(|m| m.len() == DATA).filter_map(|m| m.last_chunk_mut()).collect()
}

/// Puts a hop's layer on each message.
pub(crate) fn encrypt(layer: &Layer, messages: &mut [BytesMut]) {
    layer.encrypt_batch(&mut bodies(messages));
}

/// Takes hops' layers off each message, in the given order.
pub(crate) fn decrypt<'a>(layers: impl Iterator<Item = &'a Layer>, messages: &mut [BytesMut]) {
    let mut bodies = bodies(messages);
    for layer in layers {
        layer.decrypt_batch(&mut bodies);
    }
}

#[cfg(test)]
mod tests;
