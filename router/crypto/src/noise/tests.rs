use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::hash::hkdf_one;
use crate::vectors::{array, bytes, java};
use crate::x25519::{PublicKey, StaticSecret};
use crate::{Rng, aead};

const N: &str = "Noise_N_25519_ChaChaPoly_SHA256";
const NTCP2: &str = "Noise_XKaesobfse+hs2+hs3_25519_ChaChaPoly_SHA256";
const RATCHET: &str = "Noise_IKelg2+hs2_25519_ChaChaPoly_SHA256";

fn secret(part: &Value, name: &str) -> StaticSecret {
    StaticSecret::from_bytes(array(part, name))
}

fn mix_dh(state: &mut SymmetricState, secret: &StaticSecret, public: PublicKey) {
    state.mix_key(&*secret.dh(&public).unwrap());
}

fn opened(state: &mut SymmetricState, sealed: &[u8]) -> Vec<u8> {
    let mut data = sealed.to_vec();
    let len = state.decrypt_and_hash(&mut data).unwrap();
    data.truncate(len);
    data
}

#[test]
fn trap_31_names_of_up_to_32_bytes_are_padded() {
    for (name, h0, h1) in [
        (NTCP2, 0x72e8_42c5_45e1_8080, 0x49ff_483f_c404_b9b2),
        (
            "Noise_XKchaobfse+hs1+hs2+hs3_25519_ChaChaPoly_SHA256",
            0xb137_2281_7423_a8fd,
            0xdc85_e6af_7b02_650c,
        ),
        (N, 0x4e6f_6973_655f_4e5f, 0x694d_5244_5a27_d9ad),
        (RATCHET, 0x4caf_11ef_2c8e_3656, 0x9ccf_852c_c93b_b950_u64),
    ] {
        let state = SymmetricState::new(name);
        assert_eq!(state.ck()[..8], u64::to_be_bytes(h0), "{name}");
        assert_eq!(state.h()[..8], h1.to_be_bytes(), "{name}");
        assert_eq!(state.key(), None);
    }
    assert_eq!(SymmetricState::new(N).ck(), *b"Noise_N_25519_ChaChaPoly_SHA256\0");
    assert_eq!(SymmetricState::new(&"x".repeat(32)).ck(), [b'x'; 32]);
}

#[test]
fn ntcp2_as_the_responder() {
    let part = java("ntcp2_handshake");
    let (bob, e_bob) = (secret(&part, "bob_static_private"), secret(&part, "bob_ephemeral_private"));
    let (alice, e_alice) = (secret(&part, "alice_static_private"), secret(&part, "alice_ephemeral_private"));
    let mut state = SymmetricState::new(NTCP2);
    state.mix_hash(&bob.public().0);
    assert_eq!(state.h(), array(&part, "h_start"));
    for (message, e, dh) in [
        (&part["message_1"], &e_alice, bob.dh(&e_alice.public())),
        (&part["message_2"], &e_bob, e_bob.dh(&e_alice.public())),
    ] {
        let sent = bytes(message, "message");
        assert_eq!(sent[..32], e.public().0);
        state.mix_hash(&sent[..32]);
        state.mix_key(&*dh.unwrap());
        assert_eq!(opened(&mut state, &sent[32..]), bytes(message, "payload"));
        assert_eq!((state.ck(), state.h()), (array(message, "ck"), array(message, "h_before_padding")));
        state.mix_hash(&bytes(message, "padding"));
    }
    let message = &part["message_3"];
    let sent = bytes(message, "message");
    assert_eq!(opened(&mut state, &sent[..48]), alice.public().0); // message 2's key, next nonce
    mix_dh(&mut state, &e_bob, alice.public());
    assert_eq!(opened(&mut state, &sent[48..]), bytes(message, "payload"));
    assert_eq!((state.ck(), state.h()), (array(message, "ck"), array(message, "h_before_padding")));

    let data = &part["data_phase"];
    assert_eq!(state.split(), (array(data, "key_alice_to_bob"), array(data, "key_bob_to_alice")));
    let ask = hkdf_one(&state.ck(), &[], b"ask");
    assert_eq!(ask, array(data, "ask_master"));
    let sip = hkdf_one(&ask, &[&state.h()[..], b"siphash"].concat(), &[]);
    assert_eq!(sip, array(data, "sip_master"));
    let (to_bob, to_alice) = hkdf(&sip, &[], &[]);
    assert_eq!(to_bob[..24], array::<24>(data, "sip_alice_to_bob"));
    assert_eq!(to_alice[..24], array::<24>(data, "sip_bob_to_alice"));
}

/// The same messages from the initiator's side, made byte for byte.
#[test]
fn ntcp2_as_the_initiator() {
    let part = java("ntcp2_handshake");
    let alice = secret(&part, "alice_static_private");
    let e_alice = secret(&part, "alice_ephemeral_private");
    let bob = secret(&part, "bob_static_private").public();
    let e_bob = secret(&part, "bob_ephemeral_private").public();
    let mut state = SymmetricState::new(NTCP2);
    state.mix_hash(&bob.0);
    let first = &part["message_1"];
    let mut sent = e_alice.public().0.to_vec();
    state.mix_hash(&sent);
    mix_dh(&mut state, &e_alice, bob);
    sent.extend(bytes(first, "payload"));
    state.encrypt_and_hash(&mut sent, 32);
    assert_eq!(sent, bytes(first, "message"));
    state.mix_hash(&bytes(first, "padding"));

    state.mix_hash(&e_bob.0);
    mix_dh(&mut state, &e_alice, e_bob);
    opened(&mut state, &bytes(&part["message_2"], "message")[32..]);
    state.mix_hash(&bytes(&part["message_2"], "padding"));

    let mut sent = alice.public().0.to_vec();
    state.encrypt_and_hash(&mut sent, 0);
    mix_dh(&mut state, &alice, e_bob);
    sent.extend(bytes(&part["message_3"], "payload"));
    state.encrypt_and_hash(&mut sent, 48);
    assert_eq!(sent, bytes(&part["message_3"], "message"));
    assert_eq!(state.h(), array(&part["message_3"], "h_before_padding"));
}

#[test]
fn build_records() {
    for kind in ["participant", "inbound_gateway", "outbound_endpoint"] {
        let part = java(&format!("short_build_record_{kind}"));
        let (record, hop) = (bytes(&part, "record"), secret(&part, "hop_static_private"));
        let ephemeral = PublicKey(record[16..48].try_into().unwrap());
        let mut state = SymmetricState::new(N);
        state.mix_hash(&hop.public().0);
        state.mix_hash(&ephemeral.0);
        mix_dh(&mut state, &hop, ephemeral);
        assert_eq!(opened(&mut state, &record[48..]), bytes(&part, "opened"));
        assert_eq!(state.h(), array(&part, "reply_associated_data"));
        let (ck, reply_key) = hkdf(&state.ck(), &[], b"SMTunnelReplyKey");
        assert_eq!(reply_key, array(&part, "reply_key"));
        let (ck, layer_key) = hkdf(&ck, &[], b"SMTunnelLayerKey");
        assert_eq!(layer_key, array(&part, "layer_key"));
        if kind == "outbound_endpoint" {
            let (ck, iv_key) = hkdf(&ck, &[], b"TunnelLayerIVKey");
            assert_eq!(iv_key, array(&part, "iv_key"));
            let (tag, key) = hkdf(&ck, &[], b"RGarlicKeyAndTag");
            assert_eq!(key, array(&part, "garlic_reply_key"));
            assert_eq!(tag[..8], array::<8>(&part, "garlic_reply_tag"));
        } else {
            assert_eq!(ck, array(&part, "iv_key"));
        }
        let mut reply = bytes(&part, "reply_record");
        let slot = part["reply_slot"].as_u64().unwrap();
        let reply = aead::Key::new(&reply_key).open(slot, &state.h(), &mut reply).unwrap();
        assert_eq!(reply.last().map(|code| u64::from(*code)), part["reply_code"].as_u64());
    }
}

#[test]
fn router_garlic() {
    let part = java("router_garlic");
    let (message, router) = (bytes(&part, "message"), secret(&part, "router_static_private"));
    let ephemeral = PublicKey(message[..32].try_into().unwrap());
    let mut state = SymmetricState::new(N);
    state.mix_hash(&router.public().0);
    state.mix_hash(&ephemeral.0);
    mix_dh(&mut state, &router, ephemeral);
    assert_eq!(opened(&mut state, &message[32..]).len(), message.len() - 48);
}

#[test]
fn trap_40_a_ratchet_session_from_new_session_to_reply() {
    let part = java("ratchet_session");
    let (bob, e_bob) = (secret(&part, "bob_static_private"), secret(&part, "bob_ephemeral_private"));
    let alice = secret(&part, "alice_static_private").public();
    let e_alice = secret(&part, "alice_ephemeral_private").public();
    let message = bytes(&part, "1_new_session");
    let mut state = SymmetricState::new(RATCHET);
    state.mix_hash(&bob.public().0);
    state.mix_hash(&e_alice.0);
    mix_dh(&mut state, &bob, e_alice);
    assert_eq!(opened(&mut state, &message[32..80]), alice.0);
    mix_dh(&mut state, &bob, alice);
    opened(&mut state, &message[80..]);

    let message = bytes(&part, "2_new_session_reply");
    state.mix_hash(&message[..8]);
    state.mix_hash(&e_bob.public().0);
    mix_dh(&mut state, &e_bob, e_alice);
    mix_dh(&mut state, &e_bob, alice);
    assert!(opened(&mut state, &message[40..56]).is_empty());
    let (_, to_alice) = state.split();
    let mut payload = message[56..].to_vec();
    let key = aead::Key::new(&hkdf_one(&to_alice, &[], b"AttachPayloadKDF"));
    assert!(key.open(0, &state.h(), &mut payload).is_ok());
}

#[test]
fn a_failed_message_leaves_the_state() {
    let mut state = SymmetricState::new(N);
    state.mix_key(b"secret");
    let mut sealed = b"clear, then sealed".to_vec();
    state.clone().encrypt_and_hash(&mut sealed, 7);
    let (ck, h) = (state.ck(), state.h());
    assert_eq!(state.decrypt_and_hash(&mut [0; 15]), Err(Error::Length));
    assert_eq!(state.decrypt_and_hash(&mut [0; 40]), Err(Error::Authentication));
    assert_eq!((state.ck(), state.h()), (ck, h));
    assert_eq!(opened(&mut state, &sealed[7..]), b"then sealed");
    assert_ne!(state.h(), h);
}

#[test]
fn nonces_count_and_can_be_set() {
    let mut state = SymmetricState::new(N);
    state.mix_key(b"secret");
    let key = aead::Key::new(&state.key().unwrap());
    for expected in [0, 1, 7] {
        if expected == 7 {
            state.set_nonce(7);
        }
        let (h, mut sealed) = (state.h(), b"text".to_vec());
        state.encrypt_and_hash(&mut sealed, 0);
        assert_eq!(key.open(expected, &h, &mut sealed), Ok(&mut b"text".to_owned()[..]));
    }
    state.mix_key(b"another");
    let (h, mut sealed) = (state.h(), vec![]);
    state.encrypt_and_hash(&mut sealed, 9);
    assert!(aead::Key::new(&state.key().unwrap()).open(0, &h, &mut sealed).is_ok());
    assert_eq!(
        state.key(),
        Some(hkdf(&hkdf_one(&SymmetricState::new(N).ck(), b"secret", &[]), b"another", &[]).1)
    );
}

proptest! {
    #[test]
    fn both_sides_keep_one_state(inputs in prop::collection::vec(any::<[u8; 20]>(), 1..6), seed: [u8; 32]) {
        let mut rng = Rng::from_seed(seed);
        let (mut one, mut other) = (SymmetricState::new(RATCHET), SymmetricState::new(RATCHET));
        for input in inputs {
            if rng.chance(0.6) {
                one.mix_key(&input);
                other.mix_key(&input);
            }
            if rng.chance(0.3) {
                one.mix_hash(&input);
                other.mix_hash(&input);
            }
            let mut message = input.to_vec();
            one.encrypt_and_hash(&mut message, 4);
            prop_assert_eq!(&message[..4], &input[..4]);
            prop_assert_eq!(message.len(), if one.key().is_some() { 36 } else { 20 });
            prop_assert_eq!(opened(&mut other, &message[4..]), &input[4..]);
            prop_assert_eq!((one.h(), one.ck()), (other.h(), other.ck()));
            prop_assert_eq!(one.split(), other.split());
        }
    }
}
