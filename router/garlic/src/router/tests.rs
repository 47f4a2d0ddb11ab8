use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::testing::{Clock, bytes, ciphertext, clove, java, rng, secret};

#[test]
fn what_java_seals_to_a_router_is_opened() {
    let vector = java("router_garlic");
    let inbox = Inbox::new(secret(&vector["router_static_private"]));
    let message = bytes(&vector["message"]);
    let [clove] = &inbox.open(BytesMut::from(&message[..])).unwrap()[..] else { panic!("one clove") };
    assert_eq!((clove.delivery, clove.message.id), (allium_wire::garlic::Delivery::Local, 0xadbb_143c));
    for place in 0..message.len() {
        let mut changed = message.clone();
        changed[place] ^= 1;
        assert!(inbox.open(BytesMut::from(&changed[..])).is_err());
        assert!(inbox.open(BytesMut::from(&message[..place])).is_err());
    }
}

#[test]
fn what_we_seal_to_a_router_only_it_opens() {
    let (mut rng, clock) = (rng(1), Clock::new());
    let (inbox, other) =
        (Inbox::new(StaticSecret::generate(&mut rng)), Inbox::new(StaticSecret::generate(&mut rng)));
    let cloves = [clove(1, 700), clove(2, 0)];
    let mut out = BytesMut::from(&b"before"[..]);
    seal(&mut rng, clock.now(), &inbox.local.public(), &cloves, &mut out).unwrap();
    let _ = out.split_to(6);
    let message = ciphertext(out);
    assert_eq!(inbox.open(message.clone()).unwrap(), cloves);
    assert!(matches!(other.open(message), Err(Error::Peer(allium_crypto::Error::Authentication))));
    let bad = seal(&mut rng, clock.now(), &PublicKey([0; 32]), &cloves, &mut BytesMut::new());
    assert_eq!(bad, Err(Error::Peer(allium_crypto::Error::BadKey)));
}

#[test]
fn a_reply_is_opened_once_and_in_time() {
    let mut clock = Clock::new();
    let mut tags = OneTimeTags::new(10, rng(1));
    let expires = clock.now().instant + Duration::from_secs(10);
    tags.register([1; 8], [2; 32], expires);
    tags.register([3; 8], [4; 32], expires);
    let reply = |key: u8, tag: u8| {
        let mut out = BytesMut::new();
        seal_reply(&[key; 32], [tag; 8], &clove(5, 300), &mut out).unwrap();
        ciphertext(out)
    };
    assert!(tags.expects(&reply(2, 1)) && !tags.expects(&reply(2, 9)) && !tags.expects(&[1; 7]));
    let now = clock.now();
    assert!(matches!(tags.open(now, reply(9, 1)), Err(Error::Peer(_))), "forged");
    assert_eq!(tags.open(now, reply(2, 1)).unwrap(), [clove(5, 300)]);
    assert!(matches!(tags.open(now, reply(2, 1)), Err(Error::Unknown)), "again");
    let now = clock.pass(10_000);
    assert!(matches!(tags.open(now, reply(4, 3)), Err(Error::Unknown)), "too late");
    tags.expire(now);
    assert!(tags.is_empty() && tags.order.is_empty());
}

#[test]
fn expected_replies_are_bounded() {
    let mut tags = OneTimeTags::new(100, rng(1));
    let start = Clock::new().now().instant;
    for number in 0..1000_u64 {
        tags.register(number.to_be_bytes(), [0; 32], start + Duration::from_secs(number));
    }
    assert_eq!((tags.len(), tags.order.len()), (100, 100));
    assert!(tags.expects(&999_u64.to_be_bytes()) && !tags.expects(&899_u64.to_be_bytes()));
    // The same tag again has the new key, and is forgotten when that one is.
    tags.register(999_u64.to_be_bytes(), [1; 32], start + Duration::from_secs(5000));
    assert_eq!(tags.keys.len(), 99);
    let mut now = Clock::new().now();
    now.instant = start + Duration::from_secs(4000);
    tags.expire(now);
    assert!(tags.expects(&999_u64.to_be_bytes()) && tags.len() == 1);
}

proptest! {
    #[test]
    fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        let inbox = Inbox::new(StaticSecret::from_bytes([1; 32]));
        prop_assert!(inbox.open(BytesMut::from(&bytes[..])).is_err());
        let mut tags = OneTimeTags::new(1, rng(1));
        let now = Clock::new().now();
        tags.register([0; 8], [0; 32], now.instant + Duration::from_secs(1));
        prop_assert!(tags.open(now, BytesMut::from(&[&[0; 8][..], &bytes].concat()[..])).is_err());
    }
}
