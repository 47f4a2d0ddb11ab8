//! What the data path and an answer to a build cost.

use allium_crypto::Rng;
use allium_crypto::layer::Layer;
use allium_crypto::x25519::StaticSecret;
use allium_tunnel::build::{Decision, Ends, HopKey};
use allium_tunnel::{
    Build, Inbound, InboundGateway, IvFilter, Outbound, OutboundEndpoint, OwnHop, Participant, Place,
    Responder,
};
use allium_wire::i2np::{BuildRecords, Kind, Message};
use allium_wire::tunnel::Target;
use allium_wire::{Date, Now, RouterHash, TunnelId};
use bytes::BytesMut;
use divan::Bencher;
use std::time::{Duration, Instant};

fn main() {
    divan::main();
}

#[expect(clippy::disallowed_methods, reason = "some instant is needed")]
fn now() -> Now {
    Now { instant: Instant::now(), date: Date(1_790_000_000_000) }
}

fn rng() -> Rng {
    Rng::from_seed([1; 32])
}

fn layer() -> Layer {
    Layer::new(&[3; 32], &[4; 32])
}

fn place(now: Now) -> Place {
    Place {
        receive: TunnelId(1),
        from: None,
        next: RouterHash([2; 32]),
        next_tunnel: TunnelId(3),
        expires: now.instant + Duration::from_secs(600),
    }
}

fn random(size: usize, rng: &mut Rng) -> BytesMut {
    let mut bytes = BytesMut::zeroed(size);
    rng.fill(&mut bytes);
    bytes
}

fn own_hops(count: u8) -> Vec<OwnHop> {
    (0..count).map(|n| OwnHop { router: RouterHash([n; 32]), receive: TunnelId(1), layer: layer() }).collect()
}

#[divan::bench]
fn participant_single(bencher: Bencher<'_, '_>) {
    let (now, mut rng) = (now(), rng());
    let mut hop = Participant::new(place(now), layer(), &mut rng);
    let mut message = random(1028, &mut rng);
    bencher.bench_local(|| hop.process(now, RouterHash([9; 32]), &mut message));
}

#[divan::bench]
fn participant_batch_of_16(bencher: Bencher<'_, '_>) {
    let (now, mut rng) = (now(), rng());
    let mut hop = Participant::new(place(now), layer(), &mut rng);
    let mut messages: Vec<BytesMut> = (0..16).map(|_| random(1028, &mut rng)).collect();
    bencher
        .counter(divan::counter::ItemsCount::new(16u32))
        .bench_local(|| hop.process_batch(now, RouterHash([9; 32]), &mut messages));
}

#[divan::bench]
fn filter_insert(bencher: Bencher<'_, '_>) {
    let mut rng = rng();
    let mut filter = IvFilter::new(&mut rng);
    let mut value = [0; 16];
    let mut n = 0u64;
    bencher.bench_local(|| {
        n += 1;
        value[..8].copy_from_slice(&n.to_le_bytes());
        filter.insert(&value)
    });
}

fn data(size: usize, rng: &mut Rng) -> Message {
    Message::new(Kind::Garlic, 1, Date(1_790_000_020_000), random(size, rng))
}

#[divan::bench(args = [100, 1800, 20_000])]
fn outbound_wrap_through_3_hops(bencher: Bencher<'_, '_>, size: usize) {
    let (now, mut rng) = (now(), rng());
    let mut tunnel = Outbound::new(own_hops(3), now.instant, rng.fork());
    let message = data(size, &mut rng);
    let target = Target::Tunnel { gateway: RouterHash([7; 32]), tunnel: TunnelId(9) };
    let mut out = Vec::new();
    bencher.bench_local(|| {
        out.clear();
        tunnel.wrap(now, target, &message, &mut out)
    });
}

#[divan::bench]
fn outbound_wrap_16_of_1800_at_once(bencher: Bencher<'_, '_>) {
    let (now, mut rng) = (now(), rng());
    let mut tunnel = Outbound::new(own_hops(3), now.instant, rng.fork());
    let message = data(1800, &mut rng);
    let target = Target::Tunnel { gateway: RouterHash([7; 32]), tunnel: TunnelId(9) };
    let items = vec![(target, &message); 16];
    let mut out = Vec::new();
    bencher.counter(divan::counter::ItemsCount::new(16u32)).bench_local(|| {
        out.clear();
        tunnel.wrap_all(now, &items, &mut out)
    });
}

#[divan::bench]
fn gateway_push_1800(bencher: Bencher<'_, '_>) {
    let (now, mut rng) = (now(), rng());
    let mut gateway = InboundGateway::new(place(now), layer(), &mut rng);
    let message = random(1816, &mut rng);
    bencher.bench_local(|| gateway.push(now, std::slice::from_ref(&message)));
}

#[divan::bench]
fn inbound_unwrap_of_3_hops_1800(bencher: Bencher<'_, '_>) {
    let (now, mut rng) = (now(), rng());
    let mut gateway = InboundGateway::new(place(now), layer(), &mut rng);
    let mut participants: Vec<Participant> =
        (0..2).map(|_| Participant::new(place(now), layer(), &mut rng)).collect();
    let mut tunnel = Inbound::new(RouterHash([8; 32]), TunnelId(3), own_hops(3), now.instant, &mut rng);
    let message = data(1800, &mut rng);
    let mut bytes = Vec::new();
    message.encode_standard(&mut bytes);
    let mut out = Vec::new();
    bencher
        .with_inputs(|| {
            let mut data = gateway.push(now, &[&bytes]).unwrap_or_default();
            for hop in &mut participants {
                let _ = hop.process_batch(now, RouterHash([9; 32]), &mut data);
            }
            data
        })
        .bench_local_values(|data| {
            out.clear();
            let dropped = tunnel.unwrap_batch(now, RouterHash([2; 32]), data, &mut out);
            assert!(dropped == 0 && out.len() == 1);
        });
}

#[divan::bench]
fn endpoint_process_small(bencher: Bencher<'_, '_>) {
    let (now, mut rng) = (now(), rng());
    let mut tunnel = Outbound::new(own_hops(1), now.instant, rng.fork());
    let message = data(700, &mut rng);
    let mut end = OutboundEndpoint::new(place(now), layer(), &mut rng);
    let (mut sent, mut out) = (Vec::new(), Vec::new());
    bencher
        .with_inputs(|| {
            sent.clear();
            let _ = tunnel.wrap(now, Target::Router(RouterHash([7; 32])), &message, &mut sent);
            sent.remove(0).message.body
        })
        .bench_local_values(|data| {
            out.clear();
            end.process(now, RouterHash([9; 32]), data, &mut out)
        });
}

fn hop(n: u8, rng: &mut Rng) -> (HopKey, StaticSecret) {
    let secret = StaticSecret::generate(rng);
    (HopKey { hash: RouterHash([n; 32]), static_key: secret.public() }, secret)
}

#[divan::bench]
fn build_request_of_3_hops(bencher: Bencher<'_, '_>) {
    let (now, mut rng) = (now(), rng());
    let hops: Vec<HopKey> = (0..3).map(|n| hop(n, &mut rng).0).collect();
    let ends = Ends::Inbound { us: RouterHash([8; 32]), receive: TunnelId(1) };
    bencher.bench_local(|| Build::new(ends, &hops, now, &mut rng).is_ok());
}

#[divan::bench]
fn build_answer(bencher: Bencher<'_, '_>) {
    let (now, mut rng) = (now(), rng());
    let (key, secret) = hop(0, &mut rng);
    let mut responder = Responder::new(key.hash, secret, rng.fork());
    let ends = Ends::Inbound { us: RouterHash([8; 32]), receive: TunnelId(1) };
    bencher
        .with_inputs(|| {
            let first = Build::new(ends, &[key], now, &mut rng).map(|(_, first)| first.message.body);
            BuildRecords::decode(&first.unwrap_or_default()).unwrap_or(BuildRecords { records: Vec::new() })
        })
        .bench_local_values(|records| responder.answer(now, None, records, |_| Decision::ACCEPT).is_ok());
}
