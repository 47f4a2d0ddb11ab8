//! Bob's side of the handshake.

use super::frame::{HEADER, kind};
use super::options::{Created, Request};
use super::vet::vet;
use super::xk::Xk;
use super::{
    Draw, Error, Established, Farewell, Local, MESSAGE, MESSAGE_3_PART_1, PaddingOptions, Receiver,
    ReplayCache, Sender, Stage,
};
use crate::skew::nearest_second;
use crate::{Rebuff, Skew};
use allium_crypto::x25519::PublicKey;
use allium_crypto::{Rng, aes_cbc};
use allium_wire::{Now, RouterHash, RouterInfo};
use bytes::{Buf, Bytes};
use std::fmt;
use std::time::Instant;

/// The side that is dialled.
///
/// After an error in message 1 the connection gets no answer, but what [`rebuff`](Self::rebuff) says.
pub struct Responder {
    local: Local,
    xk: Xk,
    draw: Draw,
    iv: [u8; 16],
    step: Step,
    rng: Rng,
}

/// How far the handshake is.
#[derive(Clone, Copy)]
enum Step {
    Request,
    Padding { alice: PublicKey, request: Request, skew: Skew },
    Confirmed { part_2: usize, skew: Skew, sent: Instant },
    Failed,
}

impl fmt::Debug for Responder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Responder").finish_non_exhaustive()
    }
}

/// A handshake that failed in message 3.
#[derive(Debug)]
pub struct Refusal {
    /// What was wrong.
    pub error: Error,
    /// A sealed termination to send before closing, where the peer proved that it is no probe. Without it the
    /// connection gets what `rebuff` says.
    pub farewell: Option<Vec<u8>>,
    /// How to turn away one who may be a probe.
    pub rebuff: Rebuff,
    /// The router that it is, where it proved that: for a ban, beside that of its address.
    pub router: Option<RouterHash>,
}

impl Responder {
    /// Waits for message 1.
    pub fn new(local: &Local, mut rng: Rng) -> Self {
        let draw = Draw::new(&mut rng);
        Self::with_draw(local, rng, draw)
    }

    pub(super) fn with_draw(local: &Local, rng: Rng, draw: Draw) -> Self {
        let xk = Xk::new(&local.static_key.public());
        Self { local: local.clone(), xk, draw, iv: local.iv, step: Step::Request, rng }
    }

    /// Takes message 1 and returns how many bytes of padding follow, at most
    /// [`PADDING_1_MAX`](super::PADDING_1_MAX). A clock that is off is no error yet.
    ///
    /// # Errors
    /// Whatever is wrong, the peer may be a probe: see [`rebuff`](Self::rebuff).
    pub fn message_1(
        &mut self,
        message: &[u8; MESSAGE],
        now: Now,
        replays: &mut ReplayCache,
    ) -> Result<usize, Error> {
        let Step::Request = std::mem::replace(&mut self.step, Step::Failed) else {
            return Err(Error::Sequence);
        };
        let mut message = *message;
        let iv = aes_cbc::decrypt(&self.local.hash.0, &self.local.iv, &mut message[..32]);
        if message[31] & 0x80 != 0 {
            return Err(Error::BadKey(Stage::Message1));
        }
        let mut key = [0; 32];
        key.copy_from_slice(&message[..32]);
        if replays.contains(&key, now.instant) {
            return Err(Error::Replay);
        }
        let (alice, options) = self.xk.read(Stage::Message1, &self.local.static_key, &message)?;
        replays.insert(key, now.instant);
        let request = Request::decode(options, self.local.net_id)?;
        self.iv = iv;
        self.step = Step::Padding { alice, request, skew: Skew::observed(request.seconds, now.date) };
        Ok(request.padding)
    }

    /// Takes the padding of message 1 and returns message 2 with its own, to be sent in one write.
    ///
    /// There must not be more bytes from Alice than this padding. Where [`skewed`](Self::skewed) says so the
    /// answer is all that Alice gets, for her to learn our time from.
    ///
    /// # Errors
    /// [`Error::Length`] where the padding has not the length that was asked for, [`Error::BadKey`],
    /// [`Error::Sequence`].
    pub fn message_2(&mut self, padding: &[u8], now: Now) -> Result<Vec<u8>, Error> {
        let Step::Padding { alice, request, skew } = std::mem::replace(&mut self.step, Step::Failed) else {
            return Err(Error::Sequence);
        };
        if padding.len() != request.padding {
            return Err(Error::Length(Stage::Message1, padding.len()));
        }
        self.xk.padding(padding);
        let created = Created { padding: self.draw.padding, seconds: nearest_second(now.date) };
        let mut message = self.xk.write(Stage::Message2, &self.draw.ephemeral, &alice, created.encode())?;
        aes_cbc::encrypt(&self.local.hash.0, &self.iv, &mut message[..32]);
        let from = message.len();
        message.resize(from + self.draw.padding, 0);
        self.rng.fill(&mut message[from..]);
        self.xk.padding(&message[from..]);
        self.step = Step::Confirmed { part_2: request.part_2, skew, sent: now.instant };
        Ok(message)
    }

    /// By how much Alice's clock seemed to be ahead, where that is certainly too much: after message 2 there is
    /// nothing to wait for but her own finding.
    pub fn skewed(&self) -> Option<Skew> {
        match self.step {
            // Travel time only ever brings a clock that seems behind nearer to ours, and at most 5 s.
            Step::Padding { skew, .. } | Step::Confirmed { skew, .. } => {
                let late = skew.after(std::time::Duration::from_secs(10));
                (skew.excessive() && late.excessive()).then_some(skew)
            }
            _ => None,
        }
    }

    /// The length of message 3, as message 1 announced it; 0 before message 2 is sent.
    pub fn message_3_len(&self) -> usize {
        match self.step {
            Step::Confirmed { part_2, .. } => MESSAGE_3_PART_1 + part_2,
            _ => 0,
        }
    }

    /// How to turn the peer away if the handshake fails before message 3; a fresh draw.
    pub fn rebuff(&mut self) -> Rebuff {
        Rebuff::new(&mut self.rng)
    }

    /// Takes message 3 and ends the handshake. The static key is proven, the RouterInfo verified: its signature,
    /// its network, its age, and that it announces that key.
    pub fn finish(mut self, message: &[u8], now: Now) -> Result<Established, Box<Refusal>> {
        let rebuff = self.rebuff();
        let refuse = |error| Box::new(Refusal { error, farewell: None, rebuff, router: None });
        let Step::Confirmed { part_2, skew, sent } = self.step else { return Err(refuse(Error::Sequence)) };
        if message.len() != MESSAGE_3_PART_1 + part_2 {
            return Err(refuse(Error::Length(Stage::Message3, message.len())));
        }
        let mut message = message.to_vec();
        let (alice, len) = self.xk.read_3(&self.draw.ephemeral, &mut message).map_err(refuse)?;
        let (to_bob, to_alice) = self.xk.split();
        let mut sender = Sender::new(to_alice, now.instant, self.rng);
        let skew = skew.after(now.instant.saturating_duration_since(sent));
        let mut payload = Bytes::from(message);
        payload.advance(MESSAGE_3_PART_1);
        payload.truncate(len);
        match confirm(payload, &alice, &self.local, skew, now) {
            Ok(Confirmed { info, flood, options }) => {
                if let Some(options) = options {
                    sender.limit_padding(&options);
                }
                let (hash, peer) = (info.hash(), Some(info));
                Ok(Established { sender, receiver: Receiver::new(to_bob), hash, peer, flood, skew })
            }
            Err((error, router)) => {
                let mut out = Vec::new();
                let farewell = match error.farewell() {
                    Farewell::Terminate(reason) => sender.terminate(&mut out, reason, 0).ok().map(|()| out),
                    _ => None,
                };
                Err(Box::new(Refusal { error, farewell, rebuff, router }))
            }
        }
    }
}

/// What message 3 brings.
struct Confirmed {
    info: RouterInfo,
    flood: bool,
    options: Option<PaddingOptions>,
}

/// Checks what an authenticated message 3 says. With the error goes the router, if it proved to be one.
fn confirm(
    payload: Bytes,
    alice: &PublicKey,
    local: &Local,
    skew: Skew,
    now: Now,
) -> Result<Confirmed, (Error, Option<RouterHash>)> {
    let blocks = blocks(payload).map_err(|what| (Error::Blocks(Stage::Message3, what), None))?;
    let info =
        vet(blocks.info, alice, local, skew, now.date).map_err(|misfit| (misfit.error, misfit.router))?;
    Ok(Confirmed { info, flood: blocks.flood, options: blocks.options })
}

/// The blocks of message 3.
struct Blocks {
    info: Bytes,
    flood: bool,
    options: Option<PaddingOptions>,
}

/// RouterInfo, options if any, padding if any: no others, and in this order.
fn blocks(mut payload: Bytes) -> Result<Blocks, &'static str> {
    let Some((kind::ROUTER_INFO, mut info)) = block(&mut payload)? else {
        return Err("no RouterInfo at the start");
    };
    if info.len() < 2 {
        return Err("an empty RouterInfo");
    }
    let flood = info.get_u8() & 1 != 0;
    let mut next = block(&mut payload)?;
    let mut options = None;
    if let Some((kind::OPTIONS, data)) = &next {
        options = Some(PaddingOptions::decode(data).ok_or("options of impossible size")?);
        next = block(&mut payload)?;
    }
    if let Some((kind::PADDING, _)) = &next {
        next = block(&mut payload)?;
    }
    if next.is_some() {
        return Err("a block that does not belong");
    }
    Ok(Blocks { info, flood, options })
}

/// Takes the next block off, if there is one.
fn block(payload: &mut Bytes) -> Result<Option<(u8, Bytes)>, &'static str> {
    if payload.is_empty() {
        return Ok(None);
    }
    let Some(&[kind, high, low]) = payload.first_chunk::<HEADER>() else {
        return Err("bytes after the last block");
    };
    payload.advance(HEADER);
    let len = usize::from(u16::from_be_bytes([high, low]));
    if len > payload.len() {
        return Err("a block beyond the message");
    }
    Ok(Some((kind, payload.split_to(len))))
}
