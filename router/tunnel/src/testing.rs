//! What the tests of several modules need.

use crate::build::{Build, Built, Decision, Ends, HopKey, Request, Responder};
use crate::{Direction, Hop, Sending};
use allium_crypto::Rng;
use allium_crypto::aead;
use allium_crypto::x25519::StaticSecret;
use allium_wire::garlic::{Block, decode_blocks};
use allium_wire::i2np::{BuildRecords, Kind, Message, TunnelGateway, garlic_payload};
use allium_wire::{Date, Now, RouterHash, TunnelId};
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

/// Our own hash, for [`hash`].
pub(crate) const US: u64 = 4242;

pub(crate) fn keys(peers: &[Peer]) -> Vec<HopKey> {
    peers.iter().map(|p| p.key).collect()
}

pub(crate) fn inbound_ends() -> Ends {
    Ends::Inbound { us: hash(US), receive: TunnelId(77) }
}

pub(crate) fn outbound_ends() -> Ends {
    Ends::Outbound { reply_gateway: hash(31), reply_tunnel: TunnelId(131) }
}

/// Carries the build message from hop to hop until it leaves the tunnel; the hops made on the way.
pub(crate) fn travel(
    first: Sending,
    peers: &mut [Peer],
    us: RouterHash,
    mut decide: impl FnMut(&Request) -> Decision,
) -> (Vec<Hop>, Sending) {
    let (mut at, mut from, mut made) = (first, us, Vec::new());
    loop {
        if at.to == us || at.message.kind != Kind::ShortTunnelBuild {
            return (made, at);
        }
        let peer = peers.iter_mut().find(|p| p.key.hash == at.to).unwrap();
        let records = BuildRecords::decode(&at.message.body).unwrap();
        let answer = peer.responder.answer(now_at(0), Some(from), records, &mut decide).unwrap();
        (from, at) = (peer.key.hash, answer.send);
        made.extend(answer.hop);
    }
}

/// A built tunnel, and its hops in order, each with its router.
pub(crate) fn tunnel(direction: Direction, length: usize, rng: &mut Rng) -> (Built, Vec<Hop>) {
    let mut peers = peers(length, rng);
    let ends = match direction {
        Direction::Inbound => inbound_ends(),
        Direction::Outbound => outbound_ends(),
    };
    let (build, first) = Build::new(ends, &keys(&peers), now_at(0), rng).unwrap();
    let (hops, back) = travel(first, &mut peers, hash(US), |_| Decision::ACCEPT);
    let records = match build.garlic() {
        None => back.message.body,
        Some(key) => {
            let gateway = TunnelGateway::decode(back.message.body).unwrap();
            let garlic = Message::decode_standard(gateway.message).unwrap();
            let mut sealed = garlic_payload(garlic.body).unwrap();
            let (tag, sealed) = sealed.split_at_mut(8);
            let clear = aead::Key::new(&key.key).open(0, tag, sealed).unwrap();
            let [Block::Clove(clove)] = &decode_blocks(clear).unwrap()[..] else { panic!("one clove") };
            clove.message.body.clone()
        }
    };
    (build.reply(BuildRecords::decode(&records).unwrap(), rng).unwrap(), hops)
}
