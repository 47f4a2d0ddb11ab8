//! What the tests share: a clock, two sides, vectors.

use std::time::{Duration, Instant};

use allium_crypto::Rng;
use allium_crypto::x25519::{PublicKey, StaticSecret};
use allium_wire::garlic::{Clove, Delivery};
use allium_wire::i2np::{Kind as MessageKind, Message};
use allium_wire::{Date, DestHash, Now};
use bytes::{Buf, BytesMut};
use serde_json::Value;

use crate::{Content, Error, Limits, Opened, PeerKey, Sessions};

/// Time that passes when told to.
pub(crate) struct Clock {
    start: Instant,
    millis: u64,
}

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "an instant to count from; nothing depends on which")]
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), millis: 0 }
    }

    pub(crate) fn now(&self) -> Now {
        let date = Date(1_795_418_113_000 + self.millis);
        Now { instant: self.start + Duration::from_millis(self.millis), date }
    }

    /// The present after so many more milliseconds.
    pub(crate) fn pass(&mut self, millis: u64) -> Now {
        self.millis += millis;
        self.now()
    }
}

pub(crate) fn rng(seed: u8) -> Rng {
    Rng::from_seed([seed; 32])
}

/// A destination with its sessions.
pub(crate) struct Side {
    pub(crate) peer: PeerKey,
    pub(crate) sessions: Sessions,
}

impl Side {
    pub(crate) fn new(seed: u8) -> Self {
        Self::with(seed, Limits::default())
    }

    pub(crate) fn with(seed: u8, limits: Limits) -> Self {
        let mut rng = rng(seed);
        let local = StaticSecret::generate(&mut rng);
        let peer = PeerKey { hash: DestHash([seed; 32]), key: local.public() };
        Self { peer, sessions: Sessions::new(local, limits, rng) }
    }

    /// The same destination with the same keys, and nothing remembered.
    pub(crate) fn restarted(seed: u8) -> Self {
        let mut side = Self::new(seed);
        let local = StaticSecret::generate(&mut rng(seed));
        side.sessions = Sessions::new(local, Limits::default(), rng(seed ^ 0x80));
        side
    }

    /// One message with one clove, as ciphertext.
    pub(crate) fn seal(&mut self, now: Now, to: &PeerKey, id: u32) -> BytesMut {
        self.seal_content(now, to, &Content { cloves: &[clove(id, 40)], confirm: None })
    }

    pub(crate) fn seal_content(&mut self, now: Now, to: &PeerKey, content: &Content<'_>) -> BytesMut {
        let mut out = BytesMut::new();
        self.sessions.seal(now, to, content, &mut out).unwrap();
        ciphertext(out)
    }

    /// Opens a message and, as the router would, says whose it is if that can be known.
    pub(crate) fn open(&mut self, now: Now, from: &PeerKey, message: BytesMut) -> Result<Opened, Error> {
        let opened = self.sessions.open(now, message)?;
        if let Some(key) = opened.from {
            assert_eq!(key, from.key);
            self.sessions.bind(now, from);
        }
        Ok(opened)
    }

    /// What goes out by itself now.
    pub(crate) fn transmits(&mut self, now: Now) -> Vec<(PeerKey, BytesMut)> {
        let mut all = Vec::new();
        let mut out = BytesMut::new();
        while let Some(peer) = self.sessions.poll_transmit(now, &mut out) {
            all.push((peer, ciphertext(out.split())));
        }
        self.sessions.expire(now);
        all
    }
}

/// The ciphertext of a garlic body, whose length is checked.
pub(crate) fn ciphertext(mut body: BytesMut) -> BytesMut {
    let len = body.get_u32() as usize;
    assert_eq!(len, body.len());
    body
}

pub(crate) fn clove(id: u32, len: usize) -> Clove {
    let mut body = BytesMut::zeroed(len);
    for (at, byte) in body.iter_mut().enumerate() {
        *byte = (id as usize + at) as u8;
    }
    let expires = Date::from_seconds(1_795_418_200);
    let message = Message { kind: MessageKind::Data, id, expires, body };
    Clove { delivery: Delivery::Destination(DestHash([9; 32])), message }
}

/// The ids of the cloves.
pub(crate) fn ids(opened: &Opened) -> Vec<u32> {
    opened.cloves.iter().map(|clove| clove.message.id).collect()
}

/// A part of java.json.
pub(crate) fn java(part: &str) -> Value {
    let all: Value = serde_json::from_str(include_str!("../../../tests/vectors/java.json")).unwrap();
    all[part].clone()
}

/// A part of sessions.json.
pub(crate) fn sessions(part: &str) -> Value {
    let all: Value = serde_json::from_str(include_str!("../../../tests/vectors/sessions.json")).unwrap();
    all[part].clone()
}

pub(crate) fn bytes(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

pub(crate) fn array<const N: usize>(value: &Value) -> [u8; N] {
    bytes(value).try_into().unwrap()
}

pub(crate) fn secret(value: &Value) -> StaticSecret {
    StaticSecret::from_bytes(array(value))
}

pub(crate) fn public(value: &Value) -> PublicKey {
    secret(value).public()
}
