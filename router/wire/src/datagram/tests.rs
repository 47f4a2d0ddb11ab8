use proptest::prelude::*;

use super::*;
use crate::vectors::{datagrams, hex, java};

/// Of the vectors; their transient keys end in 2038.
const NOW: Date = Date(1_795_392_000_000);
const LATER: Date = Date(0x7fff_ffff * 1000 + 1);

fn vector(name: &str) -> Bytes {
    hex(&datagrams(), name).into()
}

fn keys(who: &str) -> DestinationKeys {
    DestinationKeys::decode(&vector(who)).unwrap()
}

fn bob() -> DestHash {
    keys("bob_key_file").destination().dest_hash()
}

fn java_options() -> Mapping {
    [("foo", "bar"), ("a", "b=c;")].into_iter().collect()
}

const OF_KIND_2: [&str; 5] = [
    "2_to_bob",
    "2_to_bob_options",
    "2_to_bob_p256",
    "2_to_bob_offline_ed25519",
    "2_to_bob_offline_p256_options",
];

#[test]
fn java_datagrams_1_open() {
    for name in ["1_ed25519", "1_p256"] {
        assert_eq!(Datagram1::open(&vector(name)).unwrap().payload, vector("payload"), "{name}");
    }
    let alice = keys("alice_key_file");
    assert_eq!(Datagram1::open(&vector("1_ed25519")).unwrap().from, *alice.destination());
    let abc = Datagram1::open(&hex(&java()["streaming"], "datagram_1_of_abc").into()).unwrap();
    assert_eq!(&abc.payload[..], b"abc");
}

#[test]
fn java_datagrams_2_open_for_their_receiver_alone() {
    for name in OF_KIND_2 {
        let opened = Datagram2::open(&vector(name), &bob(), NOW).unwrap();
        assert_eq!(opened.payload, vector("payload"), "{name}");
        let options = if name.ends_with("options") { java_options() } else { Mapping::new() };
        assert_eq!(opened.options, options, "{name}");
        let sender = opened.from.dest_hash();
        assert_eq!(
            Datagram2::open(&vector(name), &sender, NOW),
            Err(Error::Signature("a datagram")),
            "{name} for another"
        );
    }
}

#[test]
fn transient_keys_end() {
    for name in OF_KIND_2 {
        let opened = Datagram2::open(&vector(name), &bob(), LATER);
        assert_eq!(opened.is_ok(), !name.contains("offline"), "{name}: {opened:?}");
    }
}

#[test]
fn java_datagrams_3_decode() {
    let alice = keys("alice_key_file").destination().dest_hash();
    for (name, options) in [("3", Mapping::new()), ("3_options", java_options())] {
        let decoded = Datagram3::decode(&vector(name)).unwrap();
        assert_eq!(decoded, Datagram3 { from: alice, options, payload: vector("payload") }, "{name}");
    }
}

#[test]
fn what_is_made_here_is_what_java_makes() {
    let (alice, payload) = (keys("alice_key_file"), vector("payload"));
    let hash = alice.destination().dest_hash();
    assert_eq!(Datagram1::sign(&alice, &payload), vector("1_ed25519"));
    let two = |options| Datagram2::sign(&alice, &bob(), &options, &payload).unwrap();
    assert_eq!(two(Mapping::new()), vector("2_to_bob"));
    assert_eq!(two(java_options()), vector("2_to_bob_options"));
    let three = |options| Datagram3::encode(&hash, &options, &payload).unwrap();
    assert_eq!(three(Mapping::new()), vector("3"));
    assert_eq!(three(java_options()), vector("3_options"));
}

#[test]
fn no_byte_of_a_signed_datagram_can_be_changed_or_lost() {
    let changed = |bytes: &Bytes, at: usize| {
        let mut bad = bytes.to_vec();
        bad[at] ^= 1;
        Bytes::from(bad)
    };
    let one = vector("1_ed25519");
    for at in 0..one.len() {
        // Nothing covers the destination's padding and encryption type; but they make it another destination.
        let opened = Datagram1::open(&changed(&one, at));
        let another =
            opened.as_ref().is_ok_and(|opened| opened.from != *keys("alice_key_file").destination());
        assert!(opened.is_err() || another, "byte {at}");
        assert!(Datagram1::open(&one.slice(..at)).is_err(), "length {at}");
    }
    for name in OF_KIND_2 {
        let bytes = vector(name);
        let from = Datagram2::open(&bytes, &bob(), NOW).unwrap().from;
        for at in 0..bytes.len() {
            let opened = Datagram2::open(&changed(&bytes, at), &bob(), NOW);
            let another = opened.as_ref().is_ok_and(|opened| opened.from != from);
            assert!(opened.is_err() || another, "{name}: byte {at}");
            assert!(Datagram2::open(&bytes.slice(..at), &bob(), NOW).is_err(), "{name}: length {at}");
        }
    }
}

#[test]
fn kinds_are_not_taken_for_one_another() {
    assert!(Datagram2::open(&vector("1_ed25519"), &bob(), NOW).is_err());
    assert!(Datagram1::open(&vector("2_to_bob")).is_err());
    let mut three = vector("3").to_vec();
    three[33] = 2;
    assert_eq!(Datagram3::decode(&three.into()), Err(Error::Unsupported("a datagram's version")));
}

#[test]
fn flags_without_a_meaning_are_not_looked_at() {
    let mut three = vector("3_options").to_vec();
    three[32] = 0xff;
    three[33] |= 0xe0;
    assert_eq!(Datagram3::decode(&three.into()).unwrap().options, java_options());
}

#[test]
fn options_are_bounded() {
    let mut options = Mapping::new();
    for n in 0..1000 {
        options.insert(format!("key {n}"), "a value");
    }
    let (alice, hash) = (keys("alice_key_file"), bob());
    let long = Error::TooLong("a datagram's options");
    assert_eq!(Datagram2::sign(&alice, &hash, &options, b""), Err(long));
    assert_eq!(Datagram3::encode(&hash, &options, b""), Err(long));
    let mut received = [vec![7; 32], vec![0, 0x13]].concat();
    options.encode(&mut received);
    assert_eq!(Datagram3::decode(&received.into()), Err(long));
}

#[test]
fn without_a_payload_there_is_still_a_datagram() {
    let alice = keys("alice_key_file");
    let one = Datagram1::open(&Datagram1::sign(&alice, b"").into()).unwrap();
    let two = Datagram2::sign(&alice, &bob(), &Mapping::new(), b"").unwrap();
    let two = Datagram2::open(&two.into(), &bob(), NOW).unwrap();
    let three = Datagram3::decode(&Datagram3::encode(&bob(), &Mapping::new(), b"").unwrap().into()).unwrap();
    assert!(one.payload.is_empty() && two.payload.is_empty() && three.payload.is_empty());
}

proptest! {
    #[test]
    fn round_trips(
        to: [u8; 32],
        pairs in prop::collection::btree_map("[a-z]{1,20}", ".{0,40}", 0..8),
        payload: Vec<u8>,
    ) {
        let (alice, to, options) = (keys("alice_key_file"), DestHash(to), pairs.into_iter().collect::<Mapping>());
        let one = Datagram1::open(&Datagram1::sign(&alice, &payload).into()).unwrap();
        prop_assert_eq!((&one.from, &one.payload[..]), (alice.destination(), &payload[..]));
        let two = Datagram2::sign(&alice, &to, &options, &payload).unwrap();
        let two = Datagram2::open(&two.into(), &to, NOW).unwrap();
        prop_assert_eq!((&two.from, &two.options, &two.payload[..]), (alice.destination(), &options, &payload[..]));
        let three = Datagram3::encode(&to, &options, &payload).unwrap();
        let three = Datagram3::decode(&three.into()).unwrap();
        prop_assert_eq!((three.from, &three.options, &three.payload[..]), (to, &options, &payload[..]));
    }

    #[test]
    fn never_panics(which in 0..OF_KIND_2.len(), at in 0..470usize, insert: Vec<u8>) {
        let mut bytes = vector(OF_KIND_2[which]).to_vec();
        bytes.splice(at..at, insert.iter().copied());
        for bytes in [Bytes::from(bytes), insert.into()] {
            let _ = Datagram1::open(&bytes);
            let _ = Datagram2::open(&bytes, &bob(), NOW);
            let _ = Datagram3::decode(&bytes);
        }
    }
}
