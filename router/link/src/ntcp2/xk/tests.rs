use super::*;
use allium_crypto::Rng;

/// The handshake that another implementation computed from fixed keys, options and padding.
fn vector() -> serde_json::Value {
    let all: serde_json::Value =
        serde_json::from_str(include_str!("../../../../../tests/vectors/java.json")).unwrap();
    all["ntcp2_handshake"].clone()
}

fn bytes(value: &serde_json::Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn array<const N: usize>(value: &serde_json::Value) -> [u8; N] {
    bytes(value).try_into().unwrap()
}

fn secret(value: &serde_json::Value) -> StaticSecret {
    StaticSecret::from_bytes(array(value))
}

struct Keys {
    alice: StaticSecret,
    bob: StaticSecret,
    alice_ephemeral: StaticSecret,
    bob_ephemeral: StaticSecret,
}

fn keys(v: &serde_json::Value) -> Keys {
    Keys {
        alice: secret(&v["alice_static_private"]),
        bob: secret(&v["bob_static_private"]),
        alice_ephemeral: secret(&v["alice_ephemeral_private"]),
        bob_ephemeral: secret(&v["bob_ephemeral_private"]),
    }
}

#[track_caller]
fn assert_state(xk: &Xk, message: &serde_json::Value) {
    assert_eq!(xk.0.ck(), array::<32>(&message["ck"]));
    assert_eq!(xk.0.h(), array::<32>(&message["h_before_padding"]));
}

fn assert_data_phase(xk: Xk, d: &serde_json::Value) {
    assert_eq!(xk.0.split(), (array(&d["key_alice_to_bob"]), array(&d["key_bob_to_alice"])));
    let (to_bob, to_alice) = xk.sip();
    assert_eq!(to_bob[..24], bytes(&d["sip_alice_to_bob"]));
    assert_eq!(to_alice[..24], bytes(&d["sip_bob_to_alice"]));
    let (mut to_bob, _) = xk.split();
    let mut sealed = vec![0; 16];
    to_bob.key.seal_vec(0, &[], &mut sealed, 0);
    assert_eq!(sealed, bytes(&d["sixteen_zero_bytes_sealed_by_alice_first"]));
    for frame in 1..=3 {
        let mask = d[format!("length_mask_alice_to_bob_frame_{frame}")].as_u64().unwrap();
        assert_eq!(u64::from(to_bob.lengths.next_mask()), mask);
    }
}

#[test]
fn alice_writes_and_reads_the_vector() {
    let v = vector();
    let k = keys(&v);
    let mut xk = Xk::new(&k.bob.public());
    assert_eq!(xk.0.h(), array::<32>(&v["h_start"]));

    let m = &v["message_1"];
    let message =
        xk.write(Stage::Message1, &k.alice_ephemeral, &k.bob.public(), array(&m["payload"])).unwrap();
    assert_eq!(message, bytes(&m["message"]));
    assert_state(&xk, m);
    xk.padding(&bytes(&m["padding"]));

    let m = &v["message_2"];
    let (bob, options) = xk.read(Stage::Message2, &k.alice_ephemeral, &array(&m["message"])).unwrap();
    assert_eq!((bob, options), (k.bob_ephemeral.public(), array(&m["payload"])));
    assert_state(&xk, m);
    xk.padding(&bytes(&m["padding"]));

    let m = &v["message_3"];
    assert_eq!(xk.write_3(&k.alice, &bob, &bytes(&m["payload"])).unwrap(), bytes(&m["message"]));
    assert_state(&xk, m);
    assert_data_phase(xk, &v["data_phase"]);
}

#[test]
fn bob_reads_and_writes_the_vector() {
    let v = vector();
    let k = keys(&v);
    let mut xk = Xk::new(&k.bob.public());

    let m = &v["message_1"];
    let (alice, options) = xk.read(Stage::Message1, &k.bob, &array(&m["message"])).unwrap();
    assert_eq!((alice, options), (k.alice_ephemeral.public(), array(&m["payload"])));
    assert_state(&xk, m);
    xk.padding(&bytes(&m["padding"]));

    let m = &v["message_2"];
    let message = xk.write(Stage::Message2, &k.bob_ephemeral, &alice, array(&m["payload"])).unwrap();
    assert_eq!(message, bytes(&m["message"]));
    assert_state(&xk, m);
    xk.padding(&bytes(&m["padding"]));

    let m = &v["message_3"];
    let mut message = bytes(&m["message"]);
    let (alice, len) = xk.read_3(&k.bob_ephemeral, &mut message).unwrap();
    assert_eq!(alice, k.alice.public());
    assert_eq!(message[MESSAGE_3_PART_1..][..len], bytes(&m["payload"]));
    assert_state(&xk, m);
    assert_data_phase(xk, &v["data_phase"]);
}

#[test]
fn keys_of_small_order_are_refused() {
    let mut rng = Rng::from_seed([1; 32]);
    let secret = StaticSecret::generate(&mut rng);
    for key in [[0; 32], std::array::from_fn(|at| u8::from(at == 0))] {
        let mut xk = Xk::new(&secret.public());
        let mut message = [7; MESSAGE];
        message[..32].copy_from_slice(&key);
        assert_eq!(xk.read(Stage::Message1, &secret, &message).unwrap_err(), Error::BadKey(Stage::Message1));
        let bob = PublicKey(key);
        let error = Xk::new(&bob).write(Stage::Message1, &secret, &bob, [0; OPTIONS]).unwrap_err();
        assert_eq!(error, Error::BadKey(Stage::Message1));
    }
}

#[test]
fn short_messages_are_errors() {
    let mut rng = Rng::from_seed([1; 32]);
    let secret = StaticSecret::generate(&mut rng);
    for len in 0..MESSAGE_3_PART_1 {
        let mut xk = Xk::new(&secret.public());
        let error = xk.read_3(&secret, &mut vec![0; len]).unwrap_err();
        assert_eq!(error, Error::Length(Stage::Message3, len));
    }
}

#[test]
fn padding_counts_from_its_first_byte_and_no_padding_not_at_all() {
    let bob = StaticSecret::generate(&mut Rng::from_seed([1; 32])).public();
    let hash = |padding: &[u8]| {
        let mut xk = Xk::new(&bob);
        xk.padding(padding);
        xk.0.h()
    };
    assert_eq!(hash(&[]), Xk::new(&bob).0.h());
    assert_ne!(hash(&[0]), hash(&[]));
}
