use super::keys::{Keys, hop_state};
use super::*;
use crate::hop::Hop;
use crate::own::{Inbound, Outbound};
use crate::testing::{Peer, US, hash, inbound_ends, keys, now_at, outbound_ends, peers, rng, travel, vector};
use crate::{Error, Sending};
use allium_crypto::x25519::{PublicKey, StaticSecret};
use allium_crypto::{Rng, aead};
use allium_wire::garlic::{Block, Delivery, decode_blocks};
use allium_wire::i2np::{BuildRecords, Kind, Message, TunnelGateway, garlic_payload};
use allium_wire::{Date, RouterHash, TunnelId};
use proptest::prelude::*;

#[test]
fn records_of_another_router_open_and_give_its_keys() {
    for kind in ["participant", "inbound_gateway", "outbound_endpoint"] {
        let v = vector(&format!("short_build_record_{kind}"));
        let record = v.bytes("record");
        let secret = StaticSecret::from_bytes(v.array("hop_static_private"));
        let mut ephemeral = [0; 32];
        ephemeral.copy_from_slice(&record[16..48]);
        let mut state = hop_state(&secret.public());
        state.mix_hash(&ephemeral);
        state.mix_key(&*secret.dh(&PublicKey(ephemeral)).unwrap());
        let mut sealed = record[48..].to_vec();
        let len = state.decrypt_and_hash(&mut sealed).unwrap();
        assert_eq!(sealed[..len], v.bytes("opened"), "{kind}");

        let request = Request::decode(&sealed[..len]).unwrap();
        assert_eq!(request.receive, TunnelId(v.number("receive_tunnel")));
        assert_eq!(request.next_tunnel, TunnelId(v.number("next_tunnel")));
        assert_eq!(request.next, RouterHash(v.array("next_router_hash")));
        assert_eq!(request.next_message, v.number("reply_message_id"));
        let endpoint = request.role == Role::OutboundEndpoint;
        assert_eq!(kind == "outbound_endpoint", endpoint);
        assert_eq!(kind == "inbound_gateway", request.role == Role::InboundGateway);
        assert_eq!(request.minimum, if endpoint { Some(100) } else { None });

        let keys = Keys::derive(&state, endpoint);
        let expected =
            ["layer_key", "iv_key", "reply_key", "reply_associated_data"].map(|n| v.array::<32>(n));
        assert_eq!(keys.parts(), expected.each_ref(), "{kind}");
        if let Some(garlic) = &keys.garlic {
            assert_eq!(*garlic.key, v.array("garlic_reply_key"));
            assert_eq!(garlic.tag, v.array("garlic_reply_tag"));
        }

        let mut reply: [u8; RECORD] = v.array("reply_record");
        let clear = keys.open_reply(v.number("reply_slot") as usize, &mut reply).unwrap().to_vec();
        assert_eq!(clear.last(), Some(&(v.number("reply_code") as u8)));
        let mut again = [0; RECORD];
        keys.seal_reply(v.number("reply_slot") as usize, clear.as_slice().try_into().unwrap(), &mut again);
        assert_eq!(again, v.array("reply_record"));
    }
}

/// The replies in what comes back, which the creator recognises by its id.
fn replies(build: &Build, back: Sending) -> BuildRecords {
    let message = if let Some(key) = build.garlic() {
        assert_eq!(back.to, hash(31));
        let gateway = TunnelGateway::decode(back.message.body).unwrap();
        assert_eq!(gateway.tunnel, TunnelId(131));
        let garlic = Message::decode_standard(gateway.message).unwrap();
        assert_eq!(garlic.kind, Kind::Garlic);
        let mut sealed = garlic_payload(garlic.body).unwrap();
        let (tag, sealed) = sealed.split_at_mut(8);
        assert_eq!(tag, key.tag);
        let clear = aead::Key::new(&key.key).open(0, tag, sealed).unwrap();
        let [Block::Clove(clove)] = &decode_blocks(clear).unwrap()[..] else { panic!("one clove") };
        assert_eq!(clove.delivery, Delivery::Local);
        assert_eq!(clove.message.kind, Kind::OutboundTunnelBuildReply);
        clove.message.clone()
    } else {
        assert_eq!((back.to, back.message.kind), (hash(US), Kind::ShortTunnelBuild));
        back.message
    };
    assert_eq!(message.id, build.reply_id());
    BuildRecords::decode(&message.body).unwrap()
}

#[test]
fn tunnels_of_one_to_seven_hops_are_built_both_ways() {
    for length in 1..=7 {
        for ends in [inbound_ends(), outbound_ends()] {
            let mut rng = rng(length as u8);
            let mut peers = peers(length, &mut rng);
            let (build, first) = Build::new(ends, &keys(&peers), now_at(0), &mut rng).unwrap();
            assert_eq!(first.to, peers[0].key.hash);
            let outbound = matches!(ends, Ends::Outbound { .. });
            assert_eq!(build.garlic().is_some(), outbound);
            let (made, back) =
                travel(first, &mut peers, hash(US), |_| Decision::Accept { available: Some(5) });
            assert_eq!(made.len(), length);
            for (i, hop) in made.iter().enumerate() {
                match hop {
                    Hop::InboundGateway(_) => assert!(i == 0 && !outbound),
                    Hop::OutboundEndpoint(_) => assert!(i + 1 == length && outbound),
                    Hop::Participant(_) => assert!((outbound && i + 1 < length) || (!outbound && i > 0)),
                }
            }
            let records = replies(&build, back);
            assert_eq!(records.records.len(), if length + usize::from(!outbound) <= 4 { 4 } else { 8 });
            match build.reply(records, &mut rng).unwrap() {
                Built::Outbound(tunnel) => {
                    let hashes: Vec<_> = Outbound::hops(&tunnel).collect();
                    assert_eq!(hashes, peers.iter().map(|p| p.key.hash).collect::<Vec<_>>());
                }
                Built::Inbound(tunnel) => {
                    assert_eq!(Inbound::gateway(&tunnel), (peers[0].key.hash, made[0].place().receive));
                    assert_eq!(tunnel.receive(), TunnelId(77));
                }
            }
        }
    }
}

#[test]
fn a_refusal_names_the_hop() {
    for ends in [inbound_ends(), outbound_ends()] {
        let mut rng = rng(3);
        let mut peers = peers(3, &mut rng);
        let (build, first) = Build::new(ends, &keys(&peers), now_at(0), &mut rng).unwrap();
        let mut asked = 0;
        let (made, back) = travel(first, &mut peers, hash(US), |_| {
            asked += 1;
            if asked == 2 { Decision::REJECT } else { Decision::ACCEPT }
        });
        assert_eq!(made.len(), 2);
        let records = replies(&build, back);
        let refusal = build.reply(records, &mut rng).err().unwrap();
        let outcomes: Vec<Outcome> = refusal.hops.iter().map(|h| h.1).collect();
        let yes = Outcome::Accepted { available: None };
        assert_eq!(outcomes, [yes, Outcome::Refused(REJECT_BANDWIDTH), yes]);
        assert_eq!(refusal.hops[1].0, peers[1].key.hash);
        assert!(refusal.refused() && !refusal.tampered);
    }
}

#[test]
fn tampering_is_noticed() {
    let mut rng = rng(4);
    let mut peers = peers(2, &mut rng);
    for slot in 0..4 {
        for peer in &mut peers {
            *peer = Peer::new(peer.key.hash, &mut rng);
        }
        let (build, first) = Build::new(inbound_ends(), &keys(&peers), now_at(0), &mut rng).unwrap();
        let (_, back) = travel(first, &mut peers, hash(US), |_| Decision::ACCEPT);
        let mut records = replies(&build, back);
        records.records[slot][100] ^= 1;
        let bad = build.own_slot() == Some(slot) || build.slots().contains(&slot);
        let own = build.own_slot() == Some(slot);
        match build.reply(records, &mut rng) {
            Ok(_) => assert!(!bad, "only the empty record is nobody's"),
            Err(refusal) => {
                assert!(bad);
                assert_eq!(refusal.tampered, own);
                assert!(!refusal.refused());
                assert_eq!(refusal.hops.iter().any(|h| h.1 == Outcome::Garbled), !own);
            }
        }
    }
    let (build, _) = Build::new(inbound_ends(), &keys(&peers), now_at(0), &mut rng).unwrap();
    let short = BuildRecords { records: vec![[0; RECORD]] };
    assert!(build.reply(short, &mut rng).err().unwrap().tampered);
}

#[test]
fn the_last_hop_sees_a_record_for_the_next_router() {
    let mut rng = rng(5);
    let mut peers = peers(3, &mut rng);
    let (_, first) = Build::new(inbound_ends(), &keys(&peers), now_at(0), &mut rng).unwrap();
    let (_, back) = travel(first, &mut peers, hash(US), |_| Decision::ACCEPT);
    let records = BuildRecords::decode(&back.message.body).unwrap().records;
    assert_eq!(records.iter().filter(|r| r[..16] == hash(US).0[..16]).count(), 1);
}

#[test]
fn impossible_tunnels_are_refused() {
    let mut rng = rng(6);
    let peers = peers(9, &mut rng);
    let all = keys(&peers);
    assert!(Build::new(inbound_ends(), &[], now_at(0), &mut rng).is_err());
    assert!(Build::new(inbound_ends(), &all[..8], now_at(0), &mut rng).is_err());
    assert!(Build::new(outbound_ends(), &all[..8], now_at(0), &mut rng).is_ok());
    let broken = HopKey { static_key: PublicKey([0; 32]), ..all[0] };
    let error = Build::new(outbound_ends(), &[broken], now_at(0), &mut rng).err();
    assert!(matches!(error, Some(Error::Crypto(_))));
}

/// One request as a lone hop gets it, changed as wanted.
fn ask(change: impl FnOnce(&mut Request), peer: &Peer, rng: &mut Rng) -> BuildRecords {
    let mut request = Request {
        receive: TunnelId(1),
        next_tunnel: TunnelId(2),
        next: hash(50),
        role: Role::Participant,
        minutes: now_at(0).date.minutes(),
        lifetime: 600,
        next_message: 3,
        minimum: Some(10),
        requested: Some(20),
        limit: Some(30),
    };
    change(&mut request);
    let mut records = vec![[0; RECORD]; 4];
    creator::seal_request(&peer.key, &request, &mut records[2], rng).unwrap();
    BuildRecords { records }
}

type Change = fn(&mut Request);

#[test]
fn requests_against_the_rules_are_dropped() {
    let mut rng = rng(7);
    let mut peer = Peer::new(hash(1), &mut rng);
    let answer = |change: Change, peer: &mut Peer, rng: &mut Rng| {
        let records = ask(change, peer, rng);
        peer.responder.answer(now_at(0), Some(hash(60)), records, |_| Decision::ACCEPT).err()
    };
    assert_eq!(answer(|_| {}, &mut peer, &mut rng), None);
    let bad: [(Change, Error); 7] = [
        (|r| r.receive = TunnelId(0), Error::Misbehaved("tunnel id 0")),
        (|r| r.next_tunnel = TunnelId(0), Error::Misbehaved("tunnel id 0")),
        (|r| r.next = hash(1), Error::Misbehaved("the next hop is ourselves")),
        (|r| r.next = hash(60), Error::Misbehaved("the next hop is the previous one")),
        (|r| r.minutes -= 9, Error::WrongTime),
        (|r| r.minutes += 6, Error::WrongTime),
        (|r| r.minutes = u32::MAX, Error::WrongTime),
    ];
    for (change, error) in bad {
        assert_eq!(answer(change, &mut peer, &mut rng), Some(error));
    }
    assert_eq!(answer(|r| r.minutes -= 8, &mut peer, &mut rng), None);
    assert_eq!(answer(|r| r.minutes += 5, &mut peer, &mut rng), None);
    let records = ask(|_| {}, &peer, &mut rng);
    let drop = peer.responder.answer(now_at(0), None, records, |_| Decision::Drop).err();
    assert_eq!(drop, Some(Error::Dropped));
}

#[test]
fn a_request_is_answered_once() {
    let mut rng = rng(8);
    let mut peer = Peer::new(hash(1), &mut rng);
    let records = ask(|_| {}, &peer, &mut rng);
    let mut answer = |records: &BuildRecords| {
        peer.responder.answer(now_at(0), None, records.clone(), |request| {
            assert_eq!((request.minimum, request.requested, request.limit), (Some(10), Some(20), Some(30)));
            Decision::ACCEPT
        })
    };
    assert!(answer(&records).is_ok());
    assert_eq!(answer(&records).err(), Some(Error::Duplicate));
    let mut damaged = records.clone();
    damaged.records[2][20] ^= 1;
    assert!(matches!(answer(&damaged).err(), Some(Error::Crypto(_))));
    damaged.records[2][3] ^= 1;
    assert_eq!(answer(&damaged).err(), Some(Error::NotForUs));
}

#[test]
fn both_flags_and_unknown_layers_are_refused() {
    let mut record = [0u8; REQUEST];
    record[3] = 1;
    record[7] = 1;
    assert!(Request::decode(&record).is_ok());
    record[40] = 0xc0;
    assert_eq!(Request::decode(&record), Err(Error::Misbehaved("gateway and endpoint at once")));
    record[40] = 0x40;
    record[43] = 1;
    assert_eq!(Request::decode(&record), Err(Error::Misbehaved("unknown layer encryption")));
    record[43] = 0;
    record[56] = 1; // options longer than the record
    assert!(matches!(Request::decode(&record), Err(Error::Malformed(_))));
    assert!(Request::decode(&record[..50]).is_err());
}

#[test]
fn a_reply_tunnel_that_begins_at_the_endpoint_gets_the_reply_unsealed() {
    let mut rng = rng(10);
    let mut peers = peers(1, &mut rng);
    let ends = Ends::Outbound { reply_gateway: peers[0].key.hash, reply_tunnel: TunnelId(9) };
    let (build, first) = Build::new(ends, &keys(&peers), now_at(0), &mut rng).unwrap();
    let (_, back) = travel(first, &mut peers, hash(US), |_| Decision::ACCEPT);
    assert_eq!((back.to, back.message.kind), (peers[0].key.hash, Kind::TunnelGateway));
    let gateway = TunnelGateway::decode(back.message.body).unwrap();
    let reply = Message::decode_standard(gateway.message).unwrap();
    assert_eq!((reply.kind, reply.id), (Kind::OutboundTunnelBuildReply, build.reply_id()));
    assert!(build.reply(BuildRecords::decode(&reply.body).unwrap(), &mut rng).is_ok());
    assert!(reply.expires > Date(now_at(0).date.0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), ours: bool, seed: u8) {
        let mut rng = rng(seed);
        let mut peer = Peer::new(hash(1), &mut rng);
        let _ = Request::decode(&bytes);
        let mut record: [u8; RECORD] = rng.array();
        if ours {
            record[..16].copy_from_slice(&hash(1).0[..16]);
        }
        for (to, from) in record[16..].iter_mut().zip(&bytes) {
            *to = *from;
        }
        let records = BuildRecords { records: vec![record; 1 + usize::from(seed % 8)] };
        prop_assert!(peer.responder.answer(now_at(0), None, records.clone(), |_| Decision::ACCEPT).is_err());
        let (build, _) = Build::new(outbound_ends(), &[peer.key], now_at(0), &mut rng).unwrap();
        prop_assert!(build.reply(records, &mut rng).is_err());
    }

    #[test]
    fn requests_survive(numbers: [u32; 6], role in 0..3, minimum: Option<u32>, limit: Option<u32>, seed: u8) {
        let request = Request {
            receive: TunnelId(numbers[0].max(1)),
            next_tunnel: TunnelId(numbers[1].max(1)),
            next: hash(u64::from(numbers[2])),
            role: [Role::Participant, Role::InboundGateway, Role::OutboundEndpoint][role as usize],
            minutes: numbers[3],
            lifetime: numbers[4],
            next_message: numbers[5],
            minimum,
            requested: minimum,
            limit,
        };
        prop_assert_eq!(Request::decode(&request.encode(&mut rng(seed))).unwrap(), request);
    }
}
