use super::*;
use crate::build::Built;
use crate::hop::Hop;
use crate::testing::{US, hash, now_at, rng, tunnel};
use crate::{Direction, MESSAGE_LIFETIME};
use allium_wire::i2np::{Kind, TunnelGateway};

fn message(size: usize, id: u32) -> Message {
    let mut body = BytesMut::zeroed(size);
    Rng::from_seed([id as u8; 32]).fill(&mut body);
    Message::new(Kind::Data, id, now_at(0).date + MESSAGE_LIFETIME, body)
}

fn outbound(length: usize, seed: u8) -> (Outbound, Vec<Hop>) {
    match tunnel(Direction::Outbound, length, &mut rng(seed)) {
        (Built::Outbound(tunnel), hops) => (tunnel, hops),
        _ => panic!("asked for an outbound tunnel"),
    }
}

fn inbound(length: usize, seed: u8) -> (Inbound, Vec<Hop>) {
    match tunnel(Direction::Inbound, length, &mut rng(seed)) {
        (Built::Inbound(tunnel), hops) => (tunnel, hops),
        _ => panic!("asked for an inbound tunnel"),
    }
}

/// Carries tunnel data through participants until someone else has to act; who sent it last.
fn relay(hops: &mut [Hop], mut from: RouterHash, data: Vec<Sending>) -> (RouterHash, Vec<BytesMut>) {
    let mut data: Vec<BytesMut> = data.into_iter().map(|s| s.message.body).collect();
    for (n, hop) in hops.iter_mut().enumerate() {
        let Hop::Participant(hop) = hop else { panic!("a participant") };
        if n % 2 == 0 {
            assert_eq!(hop.process_batch(now_at(1), from, &mut data), Ok(0));
        } else {
            for message in &mut data {
                hop.process(now_at(1), from, message).unwrap();
            }
        }
        from = after(from);
    }
    (from, data)
}

/// The hop after this router, or after us: routers are numbered in the order of the hops.
fn after(from: RouterHash) -> RouterHash {
    hash((0..10).find(|n| hash(*n) == from).map_or(0, |n| n + 1))
}

/// Sends through an outbound tunnel; what its endpoint delivers.
fn through_outbound(
    tunnel: &mut Outbound,
    hops: &mut [Hop],
    items: &[(Target, &Message)],
    rng: &mut Rng,
) -> Vec<Sending> {
    let mut sent = Vec::new();
    tunnel.wrap_all(now_at(1), items, &mut sent).unwrap();
    assert!(sent.iter().all(|s| Some(s.to) == tunnel.first() && s.message.kind == Kind::TunnelData));
    let (last, before) = hops.split_last_mut().unwrap();
    let (from, mut data) = relay(before, hash(US), sent);
    rng.shuffle(&mut data);
    let copies: Vec<BytesMut> = data.iter().take(3).cloned().collect();
    let Hop::OutboundEndpoint(end) = last else { panic!("an endpoint") };
    let mut out = Vec::new();
    for message in data {
        end.process(now_at(1), from, message, &mut out).unwrap();
    }
    for copy in copies {
        assert_eq!(end.process(now_at(1), from, copy, &mut out), Err(Error::Duplicate));
    }
    out
}

fn through_inbound(
    tunnel: &mut Inbound,
    hops: &mut [Hop],
    messages: &[BytesMut],
    rng: &mut Rng,
) -> Vec<Message> {
    let (first, after) = hops.split_first_mut().unwrap();
    let Hop::InboundGateway(gateway) = first else { panic!("a gateway") };
    let mut sent = Vec::new();
    gateway.relay(now_at(1), messages, &mut sent).unwrap();
    let (from, mut data) = relay(after, hash(0), sent);
    assert!(data.iter().all(|d| d[..4] == tunnel.receive().0.to_be_bytes()));
    rng.shuffle(&mut data);
    let copies = data.clone();
    let mut out = Vec::new();
    assert_eq!(tunnel.unwrap(now_at(1), hash(99), copies[0].clone(), &mut out), Err(Error::Stranger));
    tunnel.unwrap(now_at(1), from, data.remove(0), &mut out).unwrap();
    assert_eq!(tunnel.unwrap_batch(now_at(1), from, data, &mut out), 0);
    let before = out.len();
    assert_eq!(tunnel.unwrap_batch(now_at(1), from, copies.clone(), &mut out), copies.len(), "replays");
    assert_eq!(out.len(), before);
    out
}

const SIZES: [usize; 12] = [1, 20, 900, 948, 949, 1010, 1941, 5000, 16_000, 33_333, 61_000, 62_000];

#[test]
fn messages_pass_outbound_tunnels_of_every_length() {
    for length in 1..=7 {
        let (mut tunnel, mut hops) = outbound(length, length as u8);
        let mut rng = rng(100);
        for (id, size) in SIZES.into_iter().enumerate() {
            let message = message(size, id as u32);
            let to = Target::Router(hash(500));
            let out = through_outbound(&mut tunnel, &mut hops, &[(to, &message)], &mut rng);
            assert_eq!(out, [Sending { to: hash(500), message }], "{length} hops, {size} bytes");
        }
    }
}

#[test]
fn messages_pass_inbound_tunnels_of_every_length() {
    for length in 1..=7 {
        let (mut tunnel, mut hops) = inbound(length, length as u8);
        let mut rng = rng(101);
        for (id, size) in SIZES.into_iter().enumerate() {
            let message = message(size, id as u32);
            let mut bytes = Vec::new();
            message.encode_standard(&mut bytes);
            let out = through_inbound(&mut tunnel, &mut hops, &[bytes.as_slice().into()], &mut rng);
            assert_eq!(out, [message], "{length} hops, {size} bytes");
        }
    }
}

#[test]
fn from_one_tunnel_into_the_other() {
    let (mut out_tunnel, mut out_hops) = outbound(3, 1);
    let (mut in_tunnel, mut in_hops) = inbound(3, 2);
    let mut rng = rng(102);
    let messages: Vec<Message> = (0..30).map(|n| message(1 + 97 * n as usize, n)).collect();
    let (gateway, tunnel) = in_tunnel.gateway();
    let target = Target::Tunnel { gateway, tunnel };
    let items: Vec<(Target, &Message)> = messages.iter().map(|m| (target, m)).collect();
    let delivered = through_outbound(&mut out_tunnel, &mut out_hops, &items, &mut rng);
    let inner: Vec<BytesMut> = delivered
        .into_iter()
        .map(|sending| {
            assert_eq!((sending.to, sending.message.kind), (gateway, Kind::TunnelGateway));
            let inner = TunnelGateway::decode(sending.message.body).unwrap();
            assert_eq!(inner.tunnel, tunnel);
            inner.message
        })
        .collect();
    let mut got = through_inbound(&mut in_tunnel, &mut in_hops, &inner, &mut rng);
    got.sort_by_key(|m| m.id);
    assert_eq!(got, messages);
    assert_eq!(in_tunnel.reassembly().messages, 30);
}

#[test]
fn tunnels_of_no_hops_deliver_directly() {
    let mut tunnel = Outbound::direct(now_at(9).instant, rng(1));
    let (message, mut out) = (message(100, 7), Vec::new());
    tunnel.wrap(now_at(0), Target::Router(hash(5)), &message, &mut out).unwrap();
    assert_eq!(out, [Sending { to: hash(5), message: message.clone() }]);
    let mut end = Inbound::direct(hash(US), TunnelId(6), now_at(9).instant, &mut rng(2));
    let (gateway, id) = end.gateway();
    assert_eq!((gateway, id), (hash(US), TunnelId(6)));
    out.clear();
    tunnel.wrap(now_at(0), Target::Tunnel { gateway, tunnel: id }, &message, &mut out).unwrap();
    assert_eq!((out[0].to, out[0].message.kind), (hash(US), Kind::TunnelGateway));
    let inner = TunnelGateway::decode(out.remove(0).message.body).unwrap();
    assert_eq!(end.accept(inner.message).unwrap(), message);
    assert!(end.accept(BytesMut::from(&[0; 30][..])).is_err());
    assert_eq!(end.unwrap(now_at(0), hash(1), BytesMut::zeroed(DATA), &mut Vec::new()), Err(Error::Stranger));
}

#[test]
fn what_no_tunnel_carries_is_refused() {
    let (mut tunnel, _) = outbound(2, 1);
    let mut out = Vec::new();
    let large = message(62_709, 1);
    assert_eq!(tunnel.wrap(now_at(0), Target::Router(hash(5)), &large, &mut out), Err(Error::TooLong));
    let local = tunnel.wrap(now_at(0), Target::Local, &message(1, 1), &mut out);
    assert!(matches!(local, Err(Error::Misbehaved(_))));
    assert!(out.is_empty());
    assert_eq!(tunnel.wrap(now_at(0), Target::Router(hash(5)), &message(62_708, 1), &mut out), Ok(()));
}

#[test]
fn a_hop_that_changes_a_bit_is_noticed() {
    let (mut tunnel, mut hops) = outbound(3, 3);
    let mut sent = Vec::new();
    tunnel.wrap(now_at(1), Target::Router(hash(5)), &message(500, 1), &mut sent).unwrap();
    let (last, before) = hops.split_last_mut().unwrap();
    let (from, mut data) = relay(before, hash(US), sent);
    data[0][500] ^= 1;
    let Hop::OutboundEndpoint(end) = last else { panic!("an endpoint") };
    let mut out = Vec::new();
    assert_eq!(end.process(now_at(1), from, data.remove(0), &mut out), Err(Error::Checksum));
}
