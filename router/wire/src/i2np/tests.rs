use allium_crypto::Rng;
use bytes::BytesMut;
use proptest::prelude::*;

use super::*;
use crate::{Date, Error, RouterHash, RouterInfo, RouterKeys, TunnelId};

fn message(body: &[u8]) -> Message {
    Message::new(Kind::Data, 0x0102_0304, Date(1_795_392_000_000), BytesMut::from(body))
}

#[test]
fn both_headers_are_laid_out_as_specified() {
    let mut short = Vec::new();
    message(b"hello").encode_short(&mut short);
    assert_eq!(short, [&[20, 1, 2, 3, 4][..], &1_795_392_000u32.to_be_bytes(), b"hello"].concat());
    assert_eq!(short[..9], message(b"hello").short_header());
    let mut standard = Vec::new();
    message(b"hello").encode_standard(&mut standard);
    let expected =
        [&[20, 1, 2, 3, 4][..], &1_795_392_000_000u64.to_be_bytes(), &[0, 5, 0x2c], b"hello"].concat();
    assert_eq!(standard, expected);
    standard.extend_from_slice(b"more");
    assert_eq!(Message::decode_standard(standard[..].into()).unwrap(), message(b"hello"));
    standard[15] ^= 1;
    assert!(Message::decode_standard(standard[..].into()).is_err());
    standard[0] = Kind::Garlic.into();
    assert_eq!(
        Message::decode_standard(standard[..].into()).unwrap().kind,
        Kind::Garlic,
        "its seal will tell"
    );
    assert_eq!(Message::decode_short(short[..8].into()), Err(Error::Truncated("an I2NP message")));
}

#[test]
fn a_zipped_router_info_is_bounded() {
    let keys = RouterKeys::generate(&mut Rng::from_seed([8; 32]));
    let info = RouterInfo::sign(&keys, Date(1), Vec::new(), crate::Mapping::new());
    let data = StoreData::router_info(&info);
    assert_eq!(data.inflate().unwrap().unwrap(), info.bytes());
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut gzip, &vec![0; 1 << 20]).unwrap();
    let bomb = StoreData::RouterInfo(gzip.finish().unwrap().into());
    assert_eq!(bomb.inflate(), Err(Error::TooLong("a RouterInfo")));
    assert!(StoreData::RouterInfo(b"no gzip"[..].into()).inflate().is_err());
}

fn hashes(n: usize) -> Vec<RouterHash> {
    (0..n).map(|n| RouterHash([n as u8; 32])).collect()
}

proptest! {
    #[test]
    fn stores_round_trip(key: [u8; 32], token: u32, tunnel: u32, kind in 0..4usize, data: Vec<u8>) {
        let reply = StoreReply {
            token,
            tunnel: Some(TunnelId(tunnel)).filter(|t| t.0 != 0),
            gateway: RouterHash([3; 32]),
        };
        let data = match kind {
            0 => StoreData::RouterInfo(data.into()),
            kind => StoreData::LeaseSet([1, 3, 5, 7][kind], data.into()),
        };
        let store = DatabaseStore { key, reply: Some(reply).filter(|r| r.token != 0), data };
        prop_assert_eq!(DatabaseStore::decode(&store.encode()).unwrap(), store);
    }

    #[test]
    fn lookups_round_trip(key: [u8; 32], tunnel: Option<u32>, kind in 0..4usize, n in 0..20usize, sealed: bool) {
        let kinds = [LookupKind::Any, LookupKind::LeaseSet, LookupKind::RouterInfo, LookupKind::Exploration];
        let lookup = DatabaseLookup {
            key,
            from: RouterHash([1; 32]),
            reply_tunnel: tunnel.map(TunnelId),
            kind: kinds[kind],
            excluded: hashes(n),
            reply_key: sealed.then_some(ReplyKey { key: [7; 32], tag: [8; 8] }),
        };
        prop_assert_eq!(DatabaseLookup::decode(&lookup.encode()).unwrap(), lookup);
    }

    #[test]
    fn search_replies_and_statuses_round_trip(key: [u8; 32], n in 0..16usize, id: u32, at: u64) {
        let reply = DatabaseSearchReply { key, peers: hashes(n), from: RouterHash([2; 32]) };
        prop_assert_eq!(DatabaseSearchReply::decode(&reply.encode()).unwrap(), reply);
        let status = DeliveryStatus { id, at: Date(at) };
        prop_assert_eq!(DeliveryStatus::decode(&status.encode()).unwrap(), status);
    }

    #[test]
    fn wrapped_messages_round_trip(body: Vec<u8>, tunnel: u32) {
        let gateway = TunnelGateway::wrap(TunnelId(tunnel), &message(&body));
        let back = TunnelGateway::decode(gateway.encode()).unwrap();
        prop_assert_eq!(tunnel_id(&gateway.encode()), Some(TunnelId(tunnel)));
        prop_assert_eq!(Message::decode_standard(back.message).unwrap(), message(&body));
        prop_assert_eq!(&garlic_payload(garlic(&body)).unwrap()[..], &body[..]);
        prop_assert_eq!(&data_payload(data(&body)).unwrap()[..], &body[..]);
    }

    #[test]
    fn build_records_round_trip(n in 0..10usize, extra: bool) {
        let records = BuildRecords { records: vec![[5; 218]; n] };
        let mut body = records.encode();
        if extra {
            body.extend_from_slice(b"x");
        }
        let read = BuildRecords::decode(&body);
        prop_assert_eq!(read.is_ok(), (1..=8).contains(&n) && !extra);
    }

    #[test]
    fn nothing_panics(bytes: Vec<u8>) {
        let _ = DatabaseStore::decode(&bytes).map(|store| store.data.inflate());
        let _ = (DatabaseLookup::decode(&bytes), DatabaseSearchReply::decode(&bytes), BuildRecords::decode(&bytes));
        let body = BytesMut::from(&bytes[..]);
        let _ = (Message::decode_short(body.clone()), Message::decode_standard(body.clone()));
        let _ = (TunnelGateway::decode(body.clone()), garlic_payload(body));
    }
}
