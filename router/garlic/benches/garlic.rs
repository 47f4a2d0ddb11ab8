//! What sealing and opening cost: `cargo bench -p allium-garlic`.

use std::cell::RefCell;
use std::time::Instant;

use allium_crypto::Rng;
use allium_crypto::x25519::StaticSecret;
use allium_garlic::{Content, Limits, PeerKey, Sessions, router};
use allium_wire::garlic::{Clove, Delivery};
use allium_wire::i2np::{Kind, Message};
use allium_wire::{Date, DestHash, Now};
use bytes::{Buf, BytesMut};
use divan::Bencher;
use divan::counter::BytesCount;

fn main() {
    divan::main();
}

/// The bodies of messages: a small one, and a full packet of a stream.
const LENGTHS: [usize; 2] = [1024, 1900];

#[expect(clippy::disallowed_methods, reason = "an instant to count from")]
fn now() -> Now {
    Now { instant: Instant::now(), date: Date::from_seconds(1_795_418_113) }
}

fn clove(len: usize) -> Clove {
    let body = BytesMut::zeroed(len);
    let message = Message { kind: Kind::Data, id: 1, expires: Date::from_seconds(1_795_418_200), body };
    Clove { delivery: Delivery::Destination(DestHash([9; 32])), message }
}

struct Side {
    peer: PeerKey,
    sessions: Sessions,
}

fn side(seed: u8) -> Side {
    let mut rng = Rng::from_seed([seed; 32]);
    let local = StaticSecret::generate(&mut rng);
    let peer = PeerKey { hash: DestHash([seed; 32]), key: local.public() };
    Side { peer, sessions: Sessions::new(local, Limits::default(), rng) }
}

fn seal(now: Now, from: &mut Side, to: &PeerKey, cloves: &[Clove]) -> BytesMut {
    let mut out = BytesMut::new();
    let _ = from.sessions.seal(now, to, &Content { cloves, confirm: None }, &mut out);
    out.advance(4);
    out
}

/// Two sides that send each other Existing Sessions.
fn established(now: Now) -> (Side, Side) {
    let (mut alice, mut bob) = (side(1), side(2));
    for _ in 0..2 {
        let message = seal(now, &mut alice, &bob.peer, &[]);
        let _ = bob.sessions.open(now, message);
        bob.sessions.bind(now, &alice.peer);
        let message = seal(now, &mut bob, &alice.peer, &[]);
        let _ = alice.sessions.open(now, message);
    }
    (alice, bob)
}

#[divan::bench(args = LENGTHS, sample_count = 100, sample_size = 100)]
fn existing_seal(bencher: Bencher<'_, '_>, len: usize) {
    let now = now();
    let (mut alice, bob) = established(now);
    let cloves = [clove(len)];
    let content = Content { cloves: &cloves, confirm: None };
    bencher.counter(BytesCount::new(len)).bench_local(|| {
        let mut out = BytesMut::with_capacity(len + 128);
        let result = alice.sessions.seal(now, &bob.peer, &content, &mut out);
        (result, out)
    });
}

#[divan::bench(args = LENGTHS, sample_count = 100, sample_size = 100)]
fn existing_open(bencher: Bencher<'_, '_>, len: usize) {
    let now = now();
    let (mut alice, mut bob) = established(now);
    let cloves = [clove(len)];
    bencher
        .counter(BytesCount::new(len))
        .with_inputs(|| seal(now, &mut alice, &bob.peer, &cloves))
        .bench_local_values(|message| bob.sessions.open(now, message));
}

#[divan::bench]
fn new_session_seal(bencher: Bencher<'_, '_>) {
    let now = now();
    let (mut alice, bob) = (side(1), side(2));
    let cloves = [clove(1024)];
    bencher.bench_local(|| seal(now, &mut alice, &bob.peer, &cloves));
}

#[divan::bench]
fn new_session_open(bencher: Bencher<'_, '_>) {
    let now = now();
    let (alice, bob) = (RefCell::new(side(1)), side(2));
    let cloves = [clove(1024)];
    bencher
        .with_inputs(|| (side(2), seal(now, &mut alice.borrow_mut(), &bob.peer, &cloves)))
        .bench_local_values(|(mut bob, message)| {
            let opened = bob.sessions.open(now, message);
            (bob, opened)
        });
}

#[divan::bench]
fn new_session_reply_seal(bencher: Bencher<'_, '_>) {
    let now = now();
    let cloves = [clove(1024)];
    bencher
        .with_inputs(|| {
            let (mut alice, mut bob) = (side(1), side(2));
            let message = seal(now, &mut alice, &bob.peer, &[]);
            let _ = bob.sessions.open(now, message);
            (alice.peer, bob)
        })
        .bench_local_values(|(alice, mut bob)| (seal(now, &mut bob, &alice, &cloves), bob));
}

#[divan::bench]
fn router_seal(bencher: Bencher<'_, '_>) {
    let (now, mut rng) = (now(), Rng::from_seed([1; 32]));
    let to = StaticSecret::generate(&mut rng).public();
    let cloves = [clove(1024)];
    bencher.bench_local(|| {
        let mut out = BytesMut::new();
        let result = router::seal(&mut rng, now, &to, &cloves, &mut out);
        (result, out)
    });
}

#[divan::bench]
fn router_open(bencher: Bencher<'_, '_>) {
    let (now, mut rng) = (now(), Rng::from_seed([1; 32]));
    let local = StaticSecret::generate(&mut rng);
    let to = local.public();
    let inbox = router::Inbox::new(local);
    let cloves = [clove(1024)];
    bencher
        .with_inputs(|| {
            let mut out = BytesMut::new();
            let _ = router::seal(&mut rng, now, &to, &cloves, &mut out);
            out.advance(4);
            out
        })
        .bench_local_values(|message| inbox.open(message));
}
