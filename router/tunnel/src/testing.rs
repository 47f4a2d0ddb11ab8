//! What the tests of several modules need.

use crate::build::{HopKey, Responder};
use allium_crypto::Rng;
use allium_crypto::x25519::StaticSecret;
use allium_wire::{Date, Now, RouterHash};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Some fixed start, and so many milliseconds after it.
#[expect(clippy::disallowed_methods, reason = "tests need some instant to count from")]
pub(crate) fn now_at(millis: u64) -> Now {
    static START: OnceLock<Instant> = OnceLock::new();
    let start = *START.get_or_init(Instant::now);
    Now { instant: start + Duration::from_millis(millis), date: Date(1_790_000_000_000 + millis) }
}

pub(crate) fn rng(seed: u8) -> Rng {
    Rng::from_seed([seed; 32])
}

pub(crate) fn hash(n: u64) -> RouterHash {
    let mut bytes = allium_crypto::hash::sha256(&n.to_be_bytes());
    bytes[31] = n as u8;
    RouterHash(bytes)
}

/// A router that answers build messages.
pub(crate) struct Peer {
    pub(crate) key: HopKey,
    pub(crate) responder: Responder,
}

impl Peer {
    pub(crate) fn new(hash: RouterHash, rng: &mut Rng) -> Self {
        let secret = StaticSecret::generate(rng);
        let key = HopKey { hash, static_key: secret.public() };
        Self { key, responder: Responder::new(hash, secret, rng.fork()) }
    }
}

pub(crate) fn peers(count: usize, rng: &mut Rng) -> Vec<Peer> {
    (0..count as u64).map(|n| Peer::new(hash(n), rng)).collect()
}

/// A part of the test vectors.
pub(crate) struct Vector(serde_json::Value);

pub(crate) fn vector(name: &str) -> Vector {
    let text = include_str!("../../../tests/vectors/java.json");
    let all: serde_json::Value = serde_json::from_str(text).unwrap();
    Vector(all[name].clone())
}

impl Vector {
    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        let text = self.0[name].as_str().unwrap();
        (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap()).collect()
    }

    pub(crate) fn array<const N: usize>(&self, name: &str) -> [u8; N] {
        self.bytes(name).try_into().unwrap()
    }

    pub(crate) fn number(&self, name: &str) -> u32 {
        self.0[name].as_u64().unwrap() as u32
    }
}
