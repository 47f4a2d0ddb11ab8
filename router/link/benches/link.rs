//! Sealing and opening frames of 1 KiB messages, and whole handshakes.
#![expect(clippy::unwrap_used, reason = "a bench may stop where it fails")]

use allium_crypto::Rng;
use allium_crypto::x25519::StaticSecret;
use allium_link::ntcp2::{Established, Event, Initiator, Local, PeerKeys, ReplayCache, Responder};
use allium_wire::i2np::{Kind, Message};
use allium_wire::{Date, Now, RouterAddress, RouterInfo, RouterKeys};
use bytes::BytesMut;
use divan::counter::ItemsCount;
use std::time::Instant;

fn main() {
    divan::main();
}

#[expect(clippy::disallowed_methods, reason = "an Instant cannot be had otherwise")]
fn now() -> Now {
    Now { instant: Instant::now(), date: Date(1_795_132_800_000) }
}

struct Peers {
    alice: Local,
    bob: Local,
    info: RouterInfo,
}

fn peers() -> Peers {
    let mut rng = Rng::from_seed([1; 32]);
    let keys = [RouterKeys::generate(&mut rng), RouterKeys::generate(&mut rng)];
    let [alice, bob] = keys.each_ref().map(|keys| Local {
        hash: keys.hash(),
        static_key: StaticSecret::generate(&mut rng),
        iv: rng.array(),
        net_id: 2,
    });
    let address = RouterAddress::make_ntcp2(&alice.static_key.public(), None, "4");
    let options = [("netId", "2")].into_iter().collect();
    let info = RouterInfo::sign(&keys[0], now().date, vec![address], options);
    Peers { alice, bob, info }
}

fn handshake(peers: &Peers, now: Now, seed: u8) -> (Established, Established) {
    let Peers { alice, bob, info } = peers;
    let known = PeerKeys { hash: bob.hash, static_key: bob.static_key.public(), iv: bob.iv };
    let mut replays = ReplayCache::new(10, &mut Rng::from_seed([0; 32]));
    let mut alice = Initiator::new(alice, known, info.bytes(), now, Rng::from_seed([seed; 32])).unwrap();
    let mut bob = Responder::new(bob, Rng::from_seed([!seed; 32]));
    let (head, padding) = alice.message_1().split_first_chunk().unwrap();
    bob.message_1(head, now, &mut replays).unwrap();
    let two = bob.message_2(padding, now).unwrap();
    let (head, padding) = two.split_first_chunk().unwrap();
    alice.message_2(head).unwrap();
    let (three, alice) = alice.finish(padding, now).unwrap();
    (alice, bob.finish(&three, now).unwrap())
}

/// Both sides, from nothing to two established sessions.
#[divan::bench]
fn both_sides_of_a_handshake(bencher: divan::Bencher<'_, '_>) {
    let (peers, now) = (peers(), now());
    bencher.bench_local(|| handshake(&peers, now, 7));
}

/// A tunnel message as it goes between routers.
fn messages() -> Vec<Message> {
    let body = BytesMut::zeroed(1028);
    (0..16).map(|id| Message { kind: Kind::TunnelData, id, expires: Date(0), body: body.clone() }).collect()
}

/// Times are by message.
#[divan::bench]
fn seal(bencher: divan::Bencher<'_, '_>) {
    let (mut alice, _) = handshake(&peers(), now(), 7);
    let (messages, now) = (messages(), now());
    let mut out = Vec::with_capacity(64 * 1024);
    bencher.counter(ItemsCount::new(messages.len())).bench_local(|| {
        out.clear();
        let mut rest = &messages[..];
        while !rest.is_empty() {
            let count = alice.sender.seal(&mut out, now, rest).unwrap();
            rest = &rest[count..];
        }
        out.len()
    });
}

/// Times are by message; the frames are read into one fresh buffer each, as a socket's reader does.
#[divan::bench]
fn open(bencher: divan::Bencher<'_, '_>) {
    let (mut alice, mut bob) = handshake(&peers(), now(), 7);
    let (messages, now) = (messages(), now());
    bencher
        .counter(ItemsCount::new(15_usize))
        .with_inputs(|| {
            let mut out = Vec::with_capacity(32 * 1024);
            assert_eq!(alice.sender.seal(&mut out, now, &messages), Ok(15));
            (*out.first_chunk().unwrap(), BytesMut::from(&out[2..]))
        })
        .bench_local_values(|(head, frame)| {
            bob.receiver.length(head).unwrap();
            let events = bob.receiver.open(frame).unwrap();
            events
                .filter(|event| matches!(event, Ok(Event::I2np(message)) if message.body.len() == 1028))
                .count()
        });
}
