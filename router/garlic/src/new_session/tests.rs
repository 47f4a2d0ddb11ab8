use allium_crypto::Error as CryptoError;
use allium_crypto::noise::SymmetricState;
use serde_json::Value;

use super::*;
use crate::tagset::SendTags;
use crate::testing::{bytes, java, public, rng, secret};

/// An ephemeral key of a vector, as it was encoded there.
fn ephemeral(private: &Value, representative: &[u8]) -> Ephemeral {
    let secret = secret(private);
    let representative = representative.try_into().unwrap();
    assert_eq!(elligator2::decode(&representative), secret.public());
    Ephemeral { secret, representative }
}

fn accept(local: &StaticSecret, message: &mut [u8]) -> Result<NewSession, Error> {
    open(&start(&local.public()), local, ephemeral_of(message)?, message)
}

/// Opens the vector's message with the next entry of the sender's tag set, and seals it again to the same bytes.
fn existing(vector: &Value, name: &str, tags: &mut SendTags) {
    let message = bytes(&vector[name]);
    let entry = tags.next().unwrap();
    assert_eq!(message[..8], entry.tag);
    let key = aead::Key::new(&entry.key);
    let mut sealed = message[8..].to_vec();
    let mut plain = key.open(u64::from(entry.number), &entry.tag, &mut sealed).unwrap().to_vec();
    key.seal_vec(u64::from(entry.number), &entry.tag, &mut plain, 0);
    assert_eq!(plain, message[8..]);
}

#[test]
fn both_roles_make_what_java_makes() {
    let vector = java("ratchet_session");
    let (alice, bob) = (secret(&vector["alice_static_private"]), secret(&vector["bob_static_private"]));

    let new_session = bytes(&vector["1_new_session"]);
    let mut copy = new_session.clone();
    let opened = accept(&bob, &mut copy).unwrap();
    let received = opened.received.unwrap();
    assert_eq!(received.peer(), alice.public());
    let payload = &copy[opened.payload];
    assert_eq!(payload[..7], *b"\x00\x00\x04\x6b\x03\xe8\x01");
    let mut sealed = Vec::new();
    let key = ephemeral(&vector["alice_ephemeral_private"], &new_session[..32]);
    let sent = Sent::seal(&alice, &bob.public(), key, payload, &mut sealed).unwrap();
    assert_eq!(sealed, new_session);

    let reply = bytes(&vector["2_new_session_reply"]);
    let mut copy = reply.clone();
    let (at_alice, payload) = sent.open_reply(&alice, &mut copy).unwrap();
    let tag = SendTags::new(&received.reply_seed()).next().unwrap().tag;
    assert_eq!(tag, SendTags::new(&sent.reply_seed()).next().unwrap().tag);
    let mut sealed = Vec::new();
    let key = ephemeral(&vector["bob_ephemeral_private"], &reply[8..40]);
    let at_bob = received.seal_reply(tag, key, &copy[payload], &mut sealed).unwrap();
    assert_eq!(sealed, reply);

    for split in [at_alice, at_bob] {
        let (mut forward, mut backward) = (SendTags::new(&split.forward), SendTags::new(&split.backward));
        for number in [3, 5, 7] {
            existing(&vector, &format!("{number}_existing_session_alice_to_bob"), &mut forward);
            existing(&vector, &format!("{}_existing_session_bob_to_alice", number + 1), &mut backward);
        }
    }
}

#[test]
fn one_new_session_may_have_several_replies() {
    let (mut rng, vector) = (rng(1), java("ratchet_session"));
    let (alice, bob) = (secret(&vector["alice_static_private"]), secret(&vector["bob_static_private"]));
    let mut message = Vec::new();
    let sent =
        Sent::seal(&alice, &bob.public(), Ephemeral::generate(&mut rng), b"question", &mut message).unwrap();
    assert_eq!(message.len(), b"question".len() + NEW_SESSION_OVERHEAD);
    let received = accept(&bob, &mut message).unwrap().received.unwrap();
    let mut tags = SendTags::new(&received.reply_seed());
    let mut roots = Vec::new();
    for answer in [&b"first"[..], b"", b"third"] {
        let mut reply = Vec::new();
        let tag = tags.next().unwrap().tag;
        let at_bob = received.seal_reply(tag, Ephemeral::generate(&mut rng), answer, &mut reply).unwrap();
        assert_eq!(reply.len(), answer.len() + REPLY_OVERHEAD);
        let (at_alice, payload) = sent.open_reply(&alice, &mut reply).unwrap();
        assert_eq!(&reply[payload], answer);
        assert_eq!(at_alice.forward.data, at_bob.forward.data);
        assert_eq!(at_alice.backward.data, at_bob.backward.data);
        assert_ne!(at_alice.forward.data, at_bob.backward.data);
        roots.push(at_alice.forward.root);
    }
    assert!(roots[0] != roots[1] && roots[1] != roots[2]);
}

/// A New Session without a static key: 32 zeros in its place, and the payload under the same key with nonce 1.
#[test]
fn an_unbound_new_session_is_understood() {
    let (mut rng, bob) = (rng(2), secret(&java("ratchet_session")["bob_static_private"]));
    let Ephemeral { secret, representative } = Ephemeral::generate(&mut rng);
    let mut state: SymmetricState = start(&bob.public());
    state.mix_hash(&secret.public().0);
    state.mix_key(&*secret.dh(&bob.public()).unwrap());
    let mut message = representative.to_vec();
    message.extend([0; 32]);
    state.encrypt_and_hash(&mut message, 32);
    message.extend(b"payload");
    state.encrypt_and_hash(&mut message, 80);
    let opened = accept(&bob, &mut message).unwrap();
    assert!(opened.received.is_none());
    assert_eq!(&message[opened.payload], b"payload");
}

#[test]
fn a_changed_or_cut_message_is_refused() {
    let vector = java("ratchet_session");
    let (alice, bob) = (secret(&vector["alice_static_private"]), secret(&vector["bob_static_private"]));
    let new_session = bytes(&vector["1_new_session"]);
    for place in 0..new_session.len() {
        let mut changed = new_session.clone();
        changed[place] ^= 1;
        assert!(matches!(accept(&bob, &mut changed), Err(Error::Peer(CryptoError::Authentication))));
        assert!(accept(&bob, &mut new_session[..place].to_vec()).is_err());
    }
    let mut copy = new_session.clone();
    let payload = accept(&bob, &mut copy).unwrap().payload;
    let key = ephemeral(&vector["alice_ephemeral_private"], &new_session[..32]);
    let sent = Sent::seal(&alice, &bob.public(), key, &copy[payload], &mut Vec::new()).unwrap();
    let reply = bytes(&vector["2_new_session_reply"]);
    for place in 0..reply.len() {
        let mut changed = reply.clone();
        changed[place] ^= 1;
        assert!(sent.open_reply(&alice, &mut changed).is_err());
        assert!(sent.open_reply(&alice, &mut reply[..place].to_vec()).is_err());
    }
    assert!(sent.open_reply(&alice, &mut reply.clone()).is_ok());
    assert!(sent.open_reply(&bob, &mut reply.clone()).is_err());
}

/// The two top bits of an encoded key are random and ignored, so a replay with others has the same key.
#[test]
fn the_top_bits_of_an_encoded_key_do_not_matter() {
    let vector = java("ratchet_session");
    let bob = secret(&vector["bob_static_private"]);
    let mut message = bytes(&vector["1_new_session"]);
    message[31] ^= 0xc0;
    assert_eq!(ephemeral_of(&message).unwrap(), public(&vector["alice_ephemeral_private"]));
    assert!(accept(&bob, &mut message).is_ok());
}

#[test]
fn a_key_of_small_order_is_refused() {
    let bob = secret(&java("ratchet_session")["bob_static_private"]);
    // The representative of 0 stands for the key 0.
    assert!(matches!(
        accept(&bob, &mut [0; 200]),
        Err(Error::Peer(CryptoError::BadKey | CryptoError::Authentication))
    ));
    let sealed =
        Sent::seal(&bob, &PublicKey([0; 32]), Ephemeral::generate(&mut rng(3)), &[], &mut Vec::new());
    assert!(matches!(sealed, Err(Error::Peer(CryptoError::BadKey))));
}
