//! Build messages, and what comes through tunnels.

use allium_crypto::layer::Layer;
use allium_crypto::x25519::StaticSecret;
use allium_tunnel::build::{Ends, HopKey};
use allium_tunnel::{Build, Decision, Inbound, OutboundEndpoint, OwnHop, Place, Responder};
use allium_wire::i2np::{BuildRecords, Kind};
use allium_wire::tunnel::{DATA, ID, IV, checksum};
use allium_wire::{RouterHash, TunnelId};
use bytes::BytesMut;

use crate::garlic::noise_n;
use crate::samples::{DATE, after, edited, pieces, rng};

const US: RouterHash = RouterHash([1; 32]);
const PREVIOUS: RouterHash = RouterHash([2; 32]);
const NEXT: RouterHash = RouterHash([3; 32]);

fn secret() -> StaticSecret {
    StaticSecret::from_bytes([9; 32])
}

/// A record for us that anyone could seal, with this plain text.
fn record(plain: &[u8]) -> Vec<u8> {
    let (mut state, ephemeral) = noise_n(&secret().public());
    let mut record = US.0[..16].to_vec();
    record.extend_from_slice(&ephemeral);
    record.extend_from_slice(plain);
    state.encrypt_and_hash(&mut record, 48);
    record
}

/// A request in the clear, of either size, that keeps the rules.
fn request(length: usize) -> Vec<u8> {
    let long = length > 200;
    let mut plain = vec![0; length];
    plain[3] = 4;
    plain[if long { 39 } else { 7 }] = 5;
    let next = if long { 40 } else { 8 };
    plain[next..next + 32].copy_from_slice(&NEXT.0);
    let minutes = if long { 185 } else { 44 };
    plain[minutes..minutes + 4].copy_from_slice(&DATE.minutes().to_be_bytes());
    plain
}

/// Build messages for us: honest ones that were changed, and requests that keep no rules.
pub fn build_answer(data: &[u8]) {
    let Some((how, data)) = data.split_first() else { return };
    let mut responder = Responder::new(US, secret(), rng(1));
    let from = (how & 1 == 0).then_some(PREVIOUS);
    let decide = |_: &allium_tunnel::Request| match how >> 5 {
        0 => Decision::REJECT,
        1 => Decision::Drop,
        _ => Decision::Accept { available: Some(u32::from(*how)) },
    };
    let answer = match how >> 1 & 3 {
        0 => {
            let ends = Ends::Outbound { reply_gateway: NEXT, reply_tunnel: TunnelId(4) };
            let hops = [HopKey { hash: US, static_key: secret().public() }];
            let (_, sending) = Build::new(ends, &hops, after(0), &mut rng(2)).expect("good keys");
            let Ok(records) = BuildRecords::decode(&edited(&sending.message.body, data)) else { return };
            responder.answer(after(0), from, records, decide)
        }
        1 => {
            let mut plain = edited(&request(464), data);
            plain.resize(464, 0);
            let mut body = vec![1];
            body.extend_from_slice(&record(&plain));
            responder.answer_long(
                after(0),
                from,
                (Kind::VariableTunnelBuild, BytesMut::from(&body[..])),
                decide,
            )
        }
        2 => {
            let kinds = [Kind::VariableTunnelBuild, Kind::TunnelBuild, Kind::from(*how)];
            let mut body = vec![1];
            body.extend_from_slice(&record(&request(464)));
            let body = BytesMut::from(&edited(&body, data)[..]);
            responder.answer_long(after(0), from, (kinds[data.len() % 3], body), decide)
        }
        _ => {
            let mut plain = edited(&request(154), data);
            plain.resize(154, 0);
            let own = record(&plain).try_into().expect("the size of a record");
            responder.answer(after(0), from, BuildRecords { records: vec![[6; 218], own] }, decide)
        }
    };
    if let Ok(answer) = answer {
        assert_eq!(answer.hop.is_some(), how >> 5 > 1);
    }
}

/// Replies to our own builds.
pub fn build_reply(data: &[u8]) {
    let Some((how, data)) = data.split_first() else { return };
    let hops: Vec<HopKey> = (0..how % 3 + 1)
        .map(|n| HopKey {
            hash: RouterHash([n + 10; 32]),
            static_key: StaticSecret::from_bytes([n + 20; 32]).public(),
        })
        .collect();
    let ends = if how & 128 == 0 {
        Ends::Inbound { us: US, receive: TunnelId(4) }
    } else {
        Ends::Outbound { reply_gateway: NEXT, reply_tunnel: TunnelId(4) }
    };
    let (build, sending) = Build::new(ends, &hops, after(0), &mut rng(2)).expect("good keys");
    let Ok(records) = BuildRecords::decode(&edited(&sending.message.body, data)) else { return };
    assert!(build.reply(records, &mut rng(3)).is_err(), "nobody accepted");
}

/// A tunnel message with this content, its checksum right, in the clear.
fn message(content: &[u8], serial: u8) -> BytesMut {
    let content = &content[..content.len().min(DATA - ID - IV - 5)];
    let iv = [serial; IV];
    let mut out = BytesMut::with_capacity(DATA);
    out.extend_from_slice(&[0, 0, 0, 4]);
    out.extend_from_slice(&iv);
    out.extend_from_slice(&checksum(&iv, content));
    out.resize(DATA - content.len() - 1, 1);
    out.extend_from_slice(&[0]);
    out.extend_from_slice(content);
    out
}

fn body(message: &mut BytesMut) -> &mut [u8; DATA - ID] {
    (&mut message[ID..]).try_into().expect("a whole message")
}

/// Delivery instructions and fragments, as a pattern for what the fuzzer changes: a whole message, a first fragment,
/// two that follow.
const FRAGMENTS: &[u8] = b"\x00\x00\x05whole\x08\x00\x00\x00\x07\x00\x03one\x82\x00\x00\x00\x07\x00\x03two\x85\x00\x00\x00\x07\x00\x03end";

/// Messages that come down a tunnel of ours, whose gateway keeps no rules.
pub fn inbound_tunnel(data: &[u8]) {
    let layer = || Layer::new(&[7; 32], &[8; 32]);
    let hop = OwnHop { router: PREVIOUS, receive: TunnelId(3), layer: layer() };
    let expires = after(600_000).instant;
    let mut tunnel = Inbound::new(US, TunnelId(4), vec![hop], expires, &mut rng(1));
    let mut out = Vec::new();
    for (serial, piece) in pieces(data).enumerate() {
        let mut data = message(&edited(FRAGMENTS, piece), serial as u8);
        layer().encrypt(body(&mut data));
        let _ = tunnel.unwrap(after(serial as u64 * 1000), PREVIOUS, data, &mut out);
    }
    let _ = tunnel.unwrap(after(0), PREVIOUS, BytesMut::from(data), &mut out);
}

/// Messages that come to the end of someone's outbound tunnel.
pub fn outbound_endpoint(data: &[u8]) {
    let layer = || Layer::new(&[7; 32], &[8; 32]);
    let place = Place {
        receive: TunnelId(4),
        from: Some(PREVIOUS),
        next: NEXT,
        next_tunnel: TunnelId(5),
        expires: after(600_000).instant,
    };
    let mut endpoint = OutboundEndpoint::new(place, layer(), &mut rng(1));
    let mut out = Vec::new();
    for (serial, piece) in pieces(data).enumerate() {
        let mut data = message(&edited(FRAGMENTS, piece), serial as u8);
        layer().decrypt(body(&mut data));
        let _ = endpoint.process(after(serial as u64 * 1000), PREVIOUS, data, &mut out);
    }
    let _ = endpoint.process(after(0), PREVIOUS, BytesMut::from(data), &mut out);
}
