use super::*;
use crate::testing::{hash, now_at, rng, vector};
use allium_crypto::hash::sha256;

fn place(from: Option<RouterHash>) -> Place {
    let expires = now_at(600_000).instant;
    Place { receive: TunnelId(1), from, next: hash(2), next_tunnel: TunnelId(0x0a0b_0c0d), expires }
}

fn participant() -> Participant {
    Participant::new(place(None), Layer::new(&[3; 32], &[4; 32]), &mut rng(1))
}

fn message(n: u64) -> BytesMut {
    let mut message = BytesMut::zeroed(DATA);
    Rng::from_seed([n as u8; 32]).fill(&mut message);
    message[20..28].copy_from_slice(&n.to_be_bytes());
    message
}

#[test]
fn the_step_is_that_of_other_routers() {
    let v = vector("tunnel_hop");
    let layer = Layer::new(&v.array("layer_key"), &v.array("iv_key"));
    let mut hop = Participant::new(place(None), layer, &mut rng(1));
    let mut message: Vec<u8> = (0..1028usize).map(|i| ((7 * i + i / 256) % 256) as u8).collect();
    hop.process(now_at(0), hash(9), &mut message).unwrap();
    assert_eq!(message[..4], [10, 11, 12, 13], "the next hop's id");
    assert_eq!(message[4..20], v.bytes("iv_after"));
    assert_eq!(sha256(&message[20..]), v.array("data_after_sha256"));
    assert_eq!(message[20..84], v.bytes("data_after_first_64"));
}

#[test]
fn a_batch_gives_what_single_steps_give() {
    let (mut one, mut many) = (participant(), participant());
    let mut batch: Vec<BytesMut> = (0..21).map(message).collect();
    batch.push(message(3));
    batch.push(BytesMut::zeroed(77));
    let mut expected: Vec<BytesMut> = (0..21).map(message).collect();
    for message in &mut expected {
        one.process(now_at(0), hash(9), message).unwrap();
    }
    assert_eq!(many.process_batch(now_at(0), hash(9), &mut batch), Ok(2));
    assert_eq!(batch, expected);
}

#[test]
fn duplicates_strangers_odd_sizes_and_late_ones_are_dropped() {
    let mut hop = participant();
    assert_eq!(hop.process(now_at(0), hash(9), &mut message(1)), Ok(()));
    assert_eq!(hop.process(now_at(0), hash(9), &mut message(1)), Err(Error::Duplicate));
    assert_eq!(hop.process(now_at(0), hash(8), &mut message(2)), Err(Error::Stranger));
    assert!(matches!(hop.process(now_at(0), hash(9), &mut [0; 1027]), Err(Error::Misbehaved(_))));
    assert_eq!(hop.process(now_at(600_000), hash(9), &mut message(3)), Err(Error::Expired));
    let mut bound = Participant::new(place(Some(hash(7))), Layer::new(&[3; 32], &[4; 32]), &mut rng(1));
    assert_eq!(bound.process(now_at(0), hash(9), &mut message(1)), Err(Error::Stranger));
    assert_eq!(bound.process(now_at(0), hash(7), &mut message(1)), Ok(()));
    assert_eq!(Hop::Participant(bound).relayed(), 1);
}

#[test]
fn what_is_sent_on_has_a_fresh_header() {
    let mut hop = participant();
    let now = now_at(0);
    let first = hop.relay(now, hash(9), message(1)).unwrap();
    let mut rest = Vec::new();
    assert_eq!(hop.relay_batch(now, hash(9), vec![message(2), message(1)], &mut rest), Ok(1));
    for sending in std::iter::once(&first).chain(&rest) {
        assert_eq!((sending.to, sending.message.kind), (hash(2), Kind::TunnelData));
        assert_eq!(sending.message.expires, now.date + MESSAGE_LIFETIME);
    }
    assert_ne!(first.message.id, rest[0].message.id);
}

#[test]
fn a_gateway_takes_nothing_too_large_or_too_late() {
    let mut gateway = InboundGateway::new(place(None), Layer::new(&[3; 32], &[4; 32]), &mut rng(1));
    assert_eq!(gateway.push(now_at(0), &[vec![1; crate::LARGEST + 1]]), Err(Error::TooLong));
    assert_eq!(gateway.push(now_at(600_000), &[vec![1; 20]]), Err(Error::Expired));
    assert_eq!(gateway.push::<&[u8]>(now_at(0), &[]).unwrap().len(), 0);
    assert_eq!(gateway.push(now_at(0), &[vec![1; 300], vec![2; 300], vec![3; 300]]).unwrap().len(), 1);
}

#[test]
fn garbage_at_an_endpoint_is_damage() {
    let mut end = OutboundEndpoint::new(place(None), Layer::new(&[3; 32], &[4; 32]), &mut rng(1));
    let mut out = Vec::new();
    for n in 0..500 {
        assert_eq!(end.process(now_at(0), hash(9), message(n), &mut out), Err(Error::Checksum));
    }
    assert!(out.is_empty());
}

#[test]
fn an_endpoints_batch_gives_what_single_steps_give() {
    let end = || OutboundEndpoint::new(place(None), Layer::new(&[3; 32], &[4; 32]), &mut rng(1));
    let inner = |n: u8| {
        let mut bytes = Vec::new();
        let body = BytesMut::from(&[n; 700][..]);
        Message::new(Kind::Data, u32::from(n), now_at(0).date, body).encode_standard(&mut bytes);
        bytes
    };
    let messages: Vec<Vec<u8>> = (0..9).map(inner).collect();
    let items: Vec<(Target, &[u8])> =
        messages.iter().map(|message| (Target::Router(hash(7)), &message[..])).collect();
    let mut pages = Packer::new(rng(2)).pack(TunnelId(5), &items).unwrap();
    gateway::decrypt(std::iter::once(&Layer::new(&[3; 32], &[4; 32])), &mut pages);
    let (mut one, mut many) = (Vec::new(), Vec::new());
    let mut single = end();
    for page in pages.clone() {
        single.process(now_at(0), hash(9), page, &mut one).unwrap();
    }
    pages.insert(2, pages[1].clone());
    pages.push(message(1));
    pages.push(BytesMut::zeroed(77));
    let mut whole = end();
    assert_eq!(whole.process_batch(now_at(0), hash(9), pages.clone(), &mut many), Ok(3));
    assert_eq!(whole.process_batch(now_at(0), hash(8), pages, &mut many), Err(Error::Stranger));
    let bodies = |sent: &[Sending]| sent.iter().map(|sending| sending.message.clone()).collect::<Vec<_>>();
    assert_eq!(one.len(), 9);
    assert_eq!(bodies(&many), bodies(&one));
}
