use std::collections::BTreeMap;

use allium_crypto::aead;
use bytes::BytesMut;
use serde_json::Value;

use super::*;
use crate::payload;
use crate::tagset::Entry;
use crate::testing::{Clock, array, bytes, secret, sessions};

/// The tag set of the handshake in sessions.json, as both sides derive it: here only the keys from the split matter.
fn handshake(vector: &Value) -> Split {
    let (alice, bob) = (secret(&vector["alice_static_private"]), secret(&vector["bob_static_private"]));
    let mut message = bytes(&vector["new_session"]);
    let key = crate::new_session::Ephemeral {
        secret: secret(&vector["alice_ephemeral_private"]),
        representative: message[..32].try_into().unwrap(),
    };
    let start = crate::new_session::start(&bob.public());
    let ephemeral = crate::new_session::ephemeral_of(&message).unwrap();
    let range = crate::new_session::open(&start, &bob, ephemeral, &mut message).unwrap().payload;
    let mut again = Vec::new();
    let sent =
        crate::new_session::Sent::seal(&alice, &bob.public(), key, &message[range], &mut again).unwrap();
    assert_eq!(again, bytes(&vector["new_session"]));
    sent.open_reply(&alice, &mut bytes(&vector["new_session_reply"])).unwrap().0
}

/// The next key in a message of the vector, which must be the one of this entry.
fn next_key_in(message: &[u8], entry: &Entry) -> NextKey {
    assert_eq!(message[..8], entry.tag);
    let mut sealed = message[8..].to_vec();
    let plain = aead::Key::new(&entry.key).open(u64::from(entry.number), &entry.tag, &mut sealed).unwrap();
    let [next_key] = payload::read(BytesMut::from(&*plain)).unwrap().next_keys[..] else {
        panic!("one next key")
    };
    next_key
}

fn make_set(seed: &Seed, id: u16, ahead: u16, table: &mut BTreeMap<Tag, u16>) -> Set {
    Set::new(seed, u32::from(id), id, Lookahead { least: ahead, most: 1024 }, table)
}

fn entry(tags: &mut SendTags, number: &Value) -> Entry {
    let number = number.as_u64().unwrap();
    std::iter::from_fn(|| tags.next()).find(|entry| u64::from(entry.number) == number).unwrap()
}

#[test]
fn three_steps_of_next_keys_are_javas() {
    let vector = sessions("ratchet_next_keys");
    let split = handshake(&vector);
    let now = Clock::new().now().instant;
    let mut alice = Outbound::new(&split.forward);
    let mut reverse = SendTags::new(&split.backward);
    let mut table = BTreeMap::new();
    let mut bob = Inbound::new(make_set(&split.forward, 0, 32, &mut table));
    for (step, flags) in [(1, (5, 3)), (2, (1, 2)), (3, (4, 3))] {
        let part = &vector[format!("next_tag_set_{step}")];
        assert_eq!(alice.tags.next_root(), &array::<32>(&part["root_key"]));
        assert!(!alice.wants_exchange() && alice.offer(now).is_none());
        let sealed_with = entry(&mut alice.tags, &part["forward_message_number"]);
        assert!(alice.wants_exchange());
        alice.begin_exchange(|| secret(&part["alice_next_private"]));
        let offer = alice.offer(now).unwrap();
        assert_eq!(offer, next_key_in(&bytes(&part["forward_message"]), &sealed_with));

        let place = bob.sets.len() - 1;
        let fresh = || secret(&part["bob_next_private"]);
        assert!(bob.accept(offer, place, fresh, |seed, id, ahead| make_set(seed, id, ahead, &mut table)));
        let answer = bob.answer().unwrap();
        let sealed_with = entry(&mut reverse, &part["reverse_message_number"]);
        assert_eq!(answer, next_key_in(&bytes(&part["reverse_message"]), &sealed_with));
        assert_eq!((offer.flags, answer.flags), flags);

        assert!(alice.accept(answer));
        assert_eq!(u64::from(alice.id), part["tag_set_id"].as_u64().unwrap());
        assert_eq!(alice.tags.next_root(), &array::<32>(&part["next_root_key"]));
        let newest = bob.sets.last_mut().unwrap();
        assert_eq!((newest.id, newest.tags.next_root()), (alice.id, alice.tags.next_root()));
        let mut tags =
            SendTags::new(&Seed { root: array(&part["root_key"]), data: array(&part["tag_set_key"]) });
        for number in 0..3_u16 {
            let entry = tags.next().unwrap();
            assert_eq!(entry.tag, array(&part[format!("tag_{number}")]));
            assert_eq!(*newest.tags.key(number).unwrap(), array(&part[format!("key_{number}")]));
            assert!(newest.tags.live().any(|tag| tag == entry.tag));
        }
        newest.tags.consume(0, 1024, &mut table);
    }
}

/// Alice's side and Bob's after `steps` exchanges, with Bob's newest set in use.
fn after(steps: u16) -> (Outbound, Inbound, BTreeMap<Tag, u16>) {
    let seed = Seed { root: [1; 32], data: [2; 32] };
    let mut table = BTreeMap::new();
    let (mut alice, mut bob) = (Outbound::new(&seed), Inbound::new(make_set(&seed, 0, 32, &mut table)));
    for step in 0..steps {
        let offer = step_to_offer(&mut alice, step);
        assert!(offer_to(&mut bob, offer, step, &mut table));
        assert!(alice.accept(bob.answer().unwrap()));
        bob.sets.last_mut().unwrap().tags.consume(0, 1024, &mut table);
    }
    (alice, bob, table)
}

fn step_to_offer(alice: &mut Outbound, step: u16) -> NextKey {
    alice.begin_exchange(|| StaticSecret::from_bytes([step as u8 + 1; 32]));
    alice.exchange.as_ref().unwrap().block
}

fn offer_to(bob: &mut Inbound, offer: NextKey, step: u16, table: &mut BTreeMap<Tag, u16>) -> bool {
    let place = bob.sets.len() - 1;
    let fresh = || StaticSecret::from_bytes([step as u8 + 101; 32]);
    bob.accept(offer, place, fresh, |seed, id, ahead| make_set(seed, id, ahead, table))
}

#[test]
fn ids_go_as_the_specification_lists_them() {
    for (steps, sender, receiver) in [(1, 0, 0), (2, 1, 0), (3, 1, 1), (4, 2, 1), (5, 2, 2), (6, 3, 2)] {
        let (alice, bob, _) = after(steps);
        assert_eq!(alice.id, steps);
        assert_eq!(alice.id, bob.sets.last().unwrap().id);
        assert_eq!(alice.ours.as_ref().unwrap().id, sender);
        assert_eq!((alice.theirs.unwrap().0, bob.ours.as_ref().unwrap().id), (receiver, receiver));
    }
}

#[test]
fn a_repeated_offer_is_answered_again_until_the_new_set_is_in_use() {
    let (mut alice, mut bob, mut table) = after(2);
    let offer = step_to_offer(&mut alice, 2);
    assert!(offer_to(&mut bob, offer, 2, &mut table));
    let (answer, sets) = (bob.answer().unwrap(), bob.sets.len());
    bob.answer_due = false;
    assert!(offer_to(&mut bob, offer, 9, &mut table), "again");
    assert_eq!((bob.answer(), bob.sets.len()), (Some(answer), sets));
    bob.answer_due = false;
    bob.sets.last_mut().unwrap().tags.consume(0, 1024, &mut table);
    assert!(!offer_to(&mut bob, offer, 9, &mut table), "a late copy");
    assert_eq!(bob.sets.len(), sets);
    assert!(alice.accept(answer));
    assert!(!alice.accept(answer), "twice");
}

#[test]
fn offers_and_answers_out_of_turn_are_ignored() {
    let stranger = Some(StaticSecret::from_bytes([77; 32]).public());
    for steps in 0..5_u16 {
        let (mut alice, mut bob, mut table) = after(steps);
        let good = step_to_offer(&mut alice, steps);
        for flags in [0, 1, 4, 5] {
            for id in 0..6 {
                let offer = NextKey { flags, id, key: if flags & 1 != 0 { stranger } else { None } };
                let fits = (flags, id) == (good.flags, good.id);
                if !fits && bob.answered.is_none_or(|(before, _)| before != offer) {
                    assert!(!offer_to(&mut bob, offer, 50, &mut table), "{steps} {offer:?}");
                }
            }
        }
        let old = bob.sets.len().checked_sub(2);
        if let Some(place) = old {
            assert!(!bob.accept(good, place, || unreachable!(), |_, _, _| unreachable!()), "in an old set");
        }
        assert!(offer_to(&mut bob, good, steps, &mut table));
        let answer = bob.answer().unwrap();
        for id in 0..6 {
            for key in [None, stranger] {
                let wrong = NextKey { flags: answer.flags, id, key };
                if (id, key.is_some()) != (answer.id, answer.key.is_some()) {
                    assert!(!alice.accept(wrong), "{steps} {wrong:?}");
                }
            }
        }
        assert!(alice.accept(answer));
    }
}

#[test]
fn a_next_key_of_small_order_changes_nothing() {
    let (mut alice, mut bob, mut table) = after(0);
    let offer = NextKey { flags: 5, id: 0, key: Some(PublicKey([0; 32])) };
    assert!(!offer_to(&mut bob, offer, 0, &mut table));
    let offer = step_to_offer(&mut alice, 0);
    assert!(!alice.accept(NextKey { flags: 3, id: 0, key: Some(PublicKey([0; 32])) }));
    assert!(offer_to(&mut bob, offer, 0, &mut table));
    assert!(alice.accept(bob.answer().unwrap()));
    assert_eq!(alice.tags.next_root(), bob.sets.last().unwrap().tags.next_root());
}
