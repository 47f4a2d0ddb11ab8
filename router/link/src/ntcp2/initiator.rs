//! Alice's side of the handshake.

use super::frame::{HEADER, header, kind};
use super::options::{Created, Request};
use super::xk::Xk;
use super::{
    Draw, Error, Established, Local, MESSAGE, MESSAGE_3_PART_2_MAX, PeerKeys, Receiver, Sender, Stage,
};
use crate::Skew;
use crate::skew::nearest_second;
use allium_crypto::aead::TAG;
use allium_crypto::x25519::{PublicKey, StaticSecret};
use allium_crypto::{Rng, aes_cbc};
use allium_wire::{Now, RouterHash};
use std::fmt;
use std::time::Instant;

/// The side that dials.
///
/// Any error ends the handshake; the connection is then reset without another word.
pub struct Initiator {
    xk: Xk,
    hash: RouterHash,
    iv: [u8; 16],
    static_key: StaticSecret,
    ephemeral: StaticSecret,
    message_1: Vec<u8>,
    payload: Vec<u8>,
    began: Instant,
    /// Bob's ephemeral key, his padding's length and his clock, once message 2 came.
    created: Option<(PublicKey, Created)>,
    rng: Rng,
}

impl fmt::Debug for Initiator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Initiator").field("hash", &self.hash).finish_non_exhaustive()
    }
}

impl Initiator {
    /// Begins a handshake over a connection that stands; `info` is our RouterInfo as signed,
    /// which must name our static key.
    ///
    /// # Errors
    /// [`Error::BadKey`] where the peer's static key is of small order, [`Error::Oversize`] where our RouterInfo
    /// is too long for message 3.
    pub fn new(local: &Local, peer: PeerKeys, info: &[u8], now: Now, mut rng: Rng) -> Result<Self, Error> {
        let draw = Draw::new(&mut rng);
        Self::with_draw(local, peer, info, now, rng, draw)
    }

    pub(super) fn with_draw(
        local: &Local,
        peer: PeerKeys,
        info: &[u8],
        now: Now,
        mut rng: Rng,
        draw: Draw,
    ) -> Result<Self, Error> {
        let payload = payload(info, draw.padding_3, &mut rng);
        if payload.len() + TAG > MESSAGE_3_PART_2_MAX {
            return Err(Error::Oversize(info.len()));
        }
        Self::with_payload(local, peer, payload, now, rng, draw)
    }

    pub(super) fn with_payload(
        local: &Local,
        peer: PeerKeys,
        payload: Vec<u8>,
        now: Now,
        mut rng: Rng,
        draw: Draw,
    ) -> Result<Self, Error> {
        let part_2 = payload.len() + TAG;
        let seconds = nearest_second(now.date);
        let request = Request { net_id: local.net_id, padding: draw.padding, part_2, seconds };
        let mut xk = Xk::new(&peer.static_key);
        let mut message = xk.write(Stage::Message1, &draw.ephemeral, &peer.static_key, request.encode())?;
        let iv = aes_cbc::encrypt(&peer.hash.0, &peer.iv, &mut message[..32]);
        let from = message.len();
        message.resize(from + draw.padding, 0);
        rng.fill(&mut message[from..]);
        xk.padding(&message[from..]);
        Ok(Self {
            xk,
            hash: peer.hash,
            iv,
            static_key: local.static_key.clone(),
            ephemeral: draw.ephemeral,
            message_1: message,
            payload,
            began: now.instant,
            created: None,
            rng,
        })
    }

    /// The router that is dialled.
    pub fn hash(&self) -> RouterHash {
        self.hash
    }

    /// Message 1 with its padding, to be sent in one write.
    pub fn message_1(&self) -> &[u8] {
        &self.message_1
    }

    /// Takes message 2 and returns how many bytes of padding follow, at most
    /// [`PADDING_2_MAX`](super::PADDING_2_MAX).
    ///
    /// # Errors
    /// [`Error::Authentication`] mostly means that the peer's keys are not those we know: its RouterInfo is out
    /// of date. Also [`Error::BadKey`], [`Error::Padding`], [`Error::Sequence`].
    pub fn message_2(&mut self, message: &[u8; MESSAGE]) -> Result<usize, Error> {
        if self.created.is_some() {
            return Err(Error::Sequence);
        }
        let mut message = *message;
        aes_cbc::decrypt(&self.hash.0, &self.iv, &mut message[..32]);
        let (key, options) = self.xk.read(Stage::Message2, &self.ephemeral, &message)?;
        let created = Created::decode(options)?;
        self.created = Some((key, created));
        Ok(created.padding)
    }

    /// Takes the padding of message 2 and ends the handshake with message 3, to be sent in one write; frames of
    /// the new [`Sender`] may be appended to it before.
    ///
    /// There must not be more bytes from Bob than this padding.
    ///
    /// # Errors
    /// [`Error::Skew`] where Bob's clock is too far from ours, [`Error::Length`] where the padding has not the
    /// length that was asked for, [`Error::BadKey`], [`Error::Sequence`].
    pub fn finish(mut self, padding: &[u8], now: Now) -> Result<(Vec<u8>, Established), Error> {
        let Some((bob, created)) = self.created else { return Err(Error::Sequence) };
        if padding.len() != created.padding {
            return Err(Error::Length(Stage::Message2, padding.len()));
        }
        let round_trip = now.instant.saturating_duration_since(self.began);
        let skew = Skew::observed(created.seconds, now.date).after(round_trip);
        if skew.excessive() {
            return Err(Error::Skew(skew));
        }
        self.xk.padding(padding);
        let message = self.xk.write_3(&self.static_key, &bob, &self.payload)?;
        let (to_bob, to_alice) = self.xk.split();
        let established = Established {
            sender: Sender::new(to_bob, now.instant, self.rng),
            receiver: Receiver::new(to_alice),
            hash: self.hash,
            peer: None,
            flood: false,
            skew,
        };
        Ok((message, established))
    }
}

/// The content of message 3: RouterInfo, padding.
fn payload(info: &[u8], padding: usize, rng: &mut Rng) -> Vec<u8> {
    let mut payload = Vec::with_capacity(2 * HEADER + 1 + info.len() + padding);
    payload.extend_from_slice(&header(kind::ROUTER_INFO, 1 + info.len()));
    payload.push(0);
    payload.extend_from_slice(info);
    payload.extend_from_slice(&header(kind::PADDING, padding));
    let from = payload.len();
    payload.resize(from + padding, 0);
    rng.fill(&mut payload[from..]);
    payload
}
