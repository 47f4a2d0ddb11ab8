//! Layouts: nothing panics, and what was read is written so that it reads the same.

use std::sync::LazyLock;

use allium_crypto::sign::{SignatureType, SigningKey};
use allium_crypto::x25519::PublicKey;
use allium_wire::datagram::{Datagram1, Datagram2, Datagram3};
use allium_wire::garlic::{Block, Clove, Delivery, decode_blocks, decode_blocks_mut, encode_block};
use allium_wire::i2np::{
    BuildRecords, DatabaseLookup, DatabaseSearchReply, DatabaseStore, DeliveryStatus, Kind, LookupKind,
    Message, ReplyKey, StoreData, StoreReply, TunnelGateway, data_payload, garlic_payload, tunnel_id,
};
use allium_wire::streaming::Packet;
use allium_wire::tunnel::{self as content, Instructions};
use allium_wire::{
    DestHash, DestinationKeys, Identity, LeaseSet, LeaseSet1, LeaseSet2, Mapping, Reader, RouterHash,
    RouterInfo, RouterKeys, TunnelId, lease_set_type, payload as wrapper, su3 as file, text as words,
};
use bytes::{Bytes, BytesMut};

use crate::samples::{ALICE, DATE, LEASE_SET, SITE, edited};

/// Identities, and the key files that begin with one.
pub fn identity(data: &[u8]) {
    let bytes = edited(&SITE.encode(), data);
    let mut reader = Reader::new(&bytes);
    if let Ok(identity) = Identity::decode(&mut reader) {
        let again = Identity::from_bytes(identity.bytes()).expect("an identity reads again");
        assert_eq!(again, identity);
        assert_eq!(again.hash(), identity.hash());
        assert_eq!(Identity::from_base64(&identity.to_base64()).expect("its base64 reads"), identity);
        let _ = (identity.encryption_key(), identity.signature_type(), identity.signing_key());
        let _ = identity.verify(&[&bytes], &bytes[..bytes.len().min(64)]);
    }
    if let Ok(keys) = DestinationKeys::decode(&bytes) {
        let file = keys.encode();
        assert_eq!(DestinationKeys::decode(&file).expect("a key file reads again").encode(), file);
    }
    if let Ok(keys) = RouterKeys::decode(&edited(&ALICE.keys.encode(), data)) {
        let file = keys.encode();
        assert_eq!(RouterKeys::decode(&file).expect("a key file reads again").encode(), file);
    }
}

/// RouterInfos, signed well or not.
pub fn router_info(data: &[u8]) {
    let bytes = Bytes::from(edited(ALICE.info.bytes(), data));
    let Ok(signed) = RouterInfo::decode(bytes.clone()) else { return };
    let info = signed.unverified();
    assert_eq!(info.bytes(), &bytes);
    let _ = (info.caps().to_string(), info.version(), info.net_id(), info.family(), info.encryption_key());
    for address in info.addresses() {
        let _ = address.ntcp2();
    }
    for address in info.ntcp2() {
        let _ = address.published();
    }
    if let Ok(info) = signed.verify() {
        let again = RouterInfo::decode(bytes).and_then(allium_wire::Signed::verify).expect("it reads again");
        assert_eq!(again, info);
    }
}

/// LeaseSets of every kind.
pub fn lease_set(data: &[u8]) {
    let bytes = Bytes::from(edited(LEASE_SET.bytes(), data));
    if let Ok(signed) = LeaseSet2::decode(bytes.clone()) {
        let set = signed.unverified();
        let _ = (
            set.x25519(),
            set.leases().len(),
            set.expires(),
            set.published(),
            set.is_unpublished(),
            set.hash(),
        );
        let _ = signed.verify();
    }
    if let Ok(signed) = LeaseSet1::decode(bytes.clone()) {
        let _ = signed.verify();
    }
    for kind in [lease_set_type::LEASE_SET_2, 1, 5, 7, data.first().copied().unwrap_or_default()] {
        if let Ok(set) = LeaseSet::decode_verified(kind, bytes.clone()) {
            assert_eq!(set.bytes(), &bytes);
            assert_eq!(set.store_type(), kind);
            let _ = (set.hash(), set.leases().len(), set.expires(), set.x25519());
        }
    }
}

/// Mappings.
pub fn mapping(data: &[u8]) {
    let sample: Mapping =
        [("caps", "XfR"), ("netId", "2"), ("router.version", "0.9.68")].into_iter().collect();
    let mut encoded = Vec::new();
    sample.encode(&mut encoded);
    let bytes = edited(&encoded, data);
    let Ok(mapping) = Mapping::decode(&mut Reader::new(&bytes)) else { return };
    let mut again = Vec::new();
    mapping.encode(&mut again);
    assert!(again.len() <= bytes.len());
    assert_eq!(Mapping::decode(&mut Reader::new(&again)).expect("a mapping reads again"), mapping);
}

/// I2NP messages with either header.
pub fn i2np_message(data: &[u8]) {
    let sample = Message::new(Kind::Data, 7, DATE, BytesMut::from(&b"some body"[..]));
    let mut short = Vec::new();
    sample.encode_short(&mut short);
    let mut standard = Vec::new();
    sample.encode_standard(&mut standard);
    if let Ok(message) = Message::decode_short(BytesMut::from(&edited(&short, data)[..])) {
        let mut again = Vec::new();
        message.encode_short(&mut again);
        assert_eq!(again.len(), message.short_len());
        assert_eq!(Message::decode_short(BytesMut::from(&again[..])).expect("it reads again"), message);
    }
    if let Ok(message) = Message::decode_standard(BytesMut::from(&edited(&standard, data)[..])) {
        let mut again = Vec::new();
        message.encode_standard(&mut again);
        assert_eq!(Message::decode_standard(BytesMut::from(&again[..])).expect("it reads again"), message);
    }
}

/// A body of each kind that is taken apart.
pub(crate) static BODIES: LazyLock<Vec<(Kind, Vec<u8>)>> = LazyLock::new(|| {
    let reply = StoreReply { token: 5, tunnel: Some(TunnelId(6)), gateway: RouterHash([7; 32]) };
    let info = DatabaseStore { key: ALICE.hash().0, reply: None, data: StoreData::router_info(&ALICE.info) };
    let set = StoreData::LeaseSet(lease_set_type::LEASE_SET_2, LEASE_SET.bytes().clone());
    let set = DatabaseStore { key: LEASE_SET.hash().0, reply: Some(reply), data: set };
    let lookup = DatabaseLookup {
        key: LEASE_SET.hash().0,
        from: ALICE.hash(),
        reply_tunnel: Some(TunnelId(9)),
        kind: LookupKind::LeaseSet,
        excluded: vec![RouterHash([8; 32])],
        reply_key: Some(ReplyKey { key: [1; 32], tag: [2; 8] }),
    };
    let search = DatabaseSearchReply { key: [3; 32], peers: vec![RouterHash([8; 32])], from: ALICE.hash() };
    let status = DeliveryStatus { id: 5, at: DATE };
    let inner = Message::new(Kind::DeliveryStatus, 1, DATE, status.encode());
    vec![
        (Kind::DatabaseStore, info.encode().to_vec()),
        (Kind::DatabaseStore, set.encode().to_vec()),
        (Kind::DatabaseLookup, lookup.encode().to_vec()),
        (Kind::DatabaseSearchReply, search.encode().to_vec()),
        (Kind::DeliveryStatus, status.encode().to_vec()),
        (Kind::TunnelGateway, TunnelGateway::wrap(TunnelId(4), &inner).encode().to_vec()),
        (
            Kind::ShortTunnelBuild,
            BuildRecords { records: vec![[9; BuildRecords::RECORD]; 2] }.encode().to_vec(),
        ),
        (Kind::Garlic, vec![0, 0, 0, 3, 1, 2, 3]),
    ]
});

/// The bodies of I2NP messages.
pub fn i2np_bodies(data: &[u8]) {
    macro_rules! law {
        ($body:ty, $bytes:expr) => {
            if let Ok(body) = <$body>::decode($bytes) {
                assert_eq!(<$body>::decode(&body.encode()).expect("a body reads again"), body);
            }
        };
    }
    let Some((which, data)) = data.split_first() else { return };
    let (kind, sample) = &BODIES[usize::from(*which) % BODIES.len()];
    let bytes = edited(sample, data);
    let shared = BytesMut::from(&bytes[..]);
    match kind {
        Kind::DatabaseStore => {
            law!(DatabaseStore, &bytes);
            if let Ok(store) = DatabaseStore::decode(&bytes) {
                let _ = store.data.inflate();
            }
        }
        Kind::DatabaseLookup => law!(DatabaseLookup, &bytes),
        Kind::DatabaseSearchReply => law!(DatabaseSearchReply, &bytes),
        Kind::DeliveryStatus => law!(DeliveryStatus, &bytes),
        Kind::ShortTunnelBuild => law!(BuildRecords, &bytes),
        Kind::TunnelGateway => {
            let _ = tunnel_id(&bytes);
            if let Ok(gateway) = TunnelGateway::decode(shared) {
                assert_eq!(TunnelGateway::decode(gateway.encode()).expect("a body reads again"), gateway);
            }
        }
        _ => {
            let _ = garlic_payload(shared.clone());
            let _ = data_payload(shared);
        }
    }
}

/// Valid blocks of a ratchet message.
pub(crate) static BLOCKS: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let message = Message::new(Kind::Data, 7, DATE, BytesMut::from(&b"some body"[..]));
    let to = Delivery::Destination(DestHash([5; 32]));
    let key = Block::NextKey { flags: 1, id: 2, key: Some(PublicKey([6; 32])) };
    let clove = Block::Clove(Clove { delivery: to, message });
    let mut out = Vec::new();
    for block in [
        Block::DateTime(DATE.seconds()),
        key,
        Block::Ack(vec![(1, 2)]),
        Block::AckRequest,
        clove,
        Block::Padding(3),
    ] {
        encode_block(&block, &mut out);
    }
    out
});

/// The blocks of garlic messages.
pub fn garlic_blocks(data: &[u8]) {
    let bytes = edited(&BLOCKS, data);
    let blocks = decode_blocks(&bytes);
    assert_eq!(decode_blocks_mut(BytesMut::from(&bytes[..])), blocks);
    let Ok(blocks) = blocks else { return };
    let kept = |block: &Block| !matches!(block, Block::Unknown(_) | Block::Options | Block::MessageNumbers);
    if blocks.iter().all(kept) {
        let mut again = Vec::new();
        for block in &blocks {
            encode_block(block, &mut again);
        }
        assert_eq!(decode_blocks(&again).expect("blocks read again"), blocks);
    }
}

/// Delivery instructions of tunnel messages, and where their content begins.
pub fn tunnel_content(data: &[u8]) {
    let mut reader = Reader::new(data);
    while let Ok((instructions, length)) = Instructions::decode(&mut reader) {
        let mut again = Vec::new();
        instructions.encode(length, &mut again);
        assert_eq!(
            Instructions::decode(&mut Reader::new(&again)).expect("they read again"),
            (instructions, length)
        );
        if reader.take(length).is_err() {
            break;
        }
    }
    if let Ok(at) = content::content_at(data) {
        assert!(at <= data.len());
    }
    let _ = content::checksum(data, data);
}

/// Streaming packets and their signatures.
pub fn streaming_packet(data: &[u8]) {
    let bytes = Bytes::from(edited(&crate::stream::SYN, data));
    for peer in [None, Some(SITE.destination())] {
        let Ok(packet) = Packet::decode(&bytes, peer) else { continue };
        assert!(packet.payload.len() <= bytes.len());
        let signer = packet.from.clone().unwrap_or_else(|| SITE.destination().clone());
        let verified = packet.verify(&signer, DATE);
        assert!(packet.is_signed() || verified.is_err());
    }
}

static DATAGRAM_1: LazyLock<Vec<u8>> = LazyLock::new(|| Datagram1::sign(&SITE, b"some payload"));
static DATAGRAM_2: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let options = [("key", "value")].into_iter().collect::<Mapping>();
    Datagram2::sign(&SITE, &RECEIVER, &options, b"some payload").expect("they are short")
});
/// The same, signed by a transient key.
static DATAGRAM_2_OFFLINE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let transient = SigningKey::generate(&mut crate::samples::rng(9));
    let mut statement = DATE.seconds().to_be_bytes().to_vec();
    statement.extend_from_slice(&u16::from(SignatureType::Ed25519).to_be_bytes());
    statement.extend_from_slice(&transient.public());
    let mut signed = vec![0, 0x22];
    signed.extend_from_slice(&statement);
    signed.extend_from_slice(&SITE.signing().sign(&[&statement]));
    signed.extend_from_slice(b"some payload");
    let signature = transient.sign(&[RECEIVER.as_bytes(), &signed]);
    [SITE.destination().bytes(), &signed[..], &signature].concat()
});
const RECEIVER: DestHash = DestHash([7; 32]);

/// Datagrams of all kinds, signed well or not.
pub fn datagram(data: &[u8]) {
    let Some((which, data)) = data.split_first() else { return };
    let samples = [&DATAGRAM_1, &DATAGRAM_2, &DATAGRAM_2_OFFLINE];
    let sample = samples[usize::from(*which) % samples.len()];
    let bytes = Bytes::from(edited(sample, data));
    if let Ok(one) = Datagram1::open(&bytes) {
        assert_eq!(bytes.len(), one.from.bytes().len() + 64 + one.payload.len());
        if one.from == *SITE.destination() {
            assert_eq!(Datagram1::sign(&SITE, &one.payload), bytes);
        }
    }
    let two = Datagram2::open(&bytes, &RECEIVER, DATE);
    if let Ok(two) = &two {
        assert!(two.payload == b"some payload"[..], "somebody signed it after all");
    }
    if bytes == **sample {
        assert_eq!(two.is_ok(), *which as usize % samples.len() > 0, "a sample opens");
    }
    for bytes in [bytes, Bytes::from(edited(&DATAGRAM_2[SITE.destination().bytes().len() - 32..], data))] {
        let Ok(three) = Datagram3::decode(&bytes) else { continue };
        let again = Datagram3::encode(&three.from, &three.options, &three.payload).expect("they were short");
        assert_eq!(Datagram3::decode(&again.into()).expect("it reads again"), three);
    }
}

/// The gzip wrapper of what destinations send one another.
pub fn payload(data: &[u8]) {
    let sample = wrapper::wrap(wrapper::Protocol::Streaming, 1, 2, b"some payload").expect("it is short");
    let Ok(unwrapped) = wrapper::unwrap(Bytes::from(edited(&sample, data))) else { return };
    let wrapper::Unwrapped { protocol, from_port, to_port, data } = &unwrapped;
    if let Ok(again) = wrapper::wrap(*protocol, *from_port, *to_port, data) {
        assert_eq!(wrapper::unwrap(Bytes::from(again)).expect("it unwraps again"), unwrapped);
    }
}

/// SU3 files.
pub fn su3(data: &[u8]) {
    let bytes = edited(crate::netdb::JAVA_BUNDLE, data);
    if let Ok(file) = file::Su3::decode(&bytes) {
        assert_eq!(file.signed.len() + file.signature.len(), bytes.len());
        assert!(file.content.len() < file.signed.len());
    }
}

/// Base64, base32 and host names.
pub fn text(data: &[u8]) {
    assert_eq!(words::base64_decode(&words::base64_encode(data)).expect("its own"), data);
    assert_eq!(words::base32_decode(&words::base32_encode(data)).expect("its own"), data);
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = (words::base64_decode(text), words::base32_decode(text), Identity::from_base64(text));
    let _ = allium_client_api::names::check(text);
    if let Some(hash) = words::parse_b32(text) {
        assert_eq!(words::parse_b32(&hash.b32()), Some(hash));
    }
}
