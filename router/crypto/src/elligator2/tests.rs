use proptest::prelude::*;

use super::*;
use crate::Rng;
use crate::vectors::{array, bytes, java};

fn vectors() -> Vec<serde_json::Value> {
    java("elligator2").as_array().unwrap().clone()
}

#[test]
fn representatives_of_known_keys() {
    assert!(!vectors().is_empty());
    for vector in vectors() {
        let secret = StaticSecret::from_bytes(array(&vector, "private"));
        assert_eq!(secret.public().0, array(&vector, "public"));
        for (name, tweak) in [("representative_false", 0), ("representative_true", 1)] {
            let expected = (vector[name] != "none").then(|| array(&vector, name));
            assert_eq!(representative(&secret.public(), tweak), expected, "{name}");
            assert!(expected.is_none_or(|bytes| decode(&bytes) == secret.public()));
        }
    }
}

#[test]
fn trap_41_the_wire_carries_a_representative_of_the_ephemeral_key() {
    let part = java("ratchet_session");
    for (name, at, private) in
        [("1_new_session", 0, "alice_ephemeral_private"), ("2_new_session_reply", 8, "bob_ephemeral_private")]
    {
        let sent: [u8; 32] = bytes(&part, name)[at..at + 32].try_into().unwrap();
        assert_eq!(decode(&sent), StaticSecret::from_bytes(array(&part, private)).public());
    }
}

#[test]
fn half_of_the_keys_have_a_representative() {
    let mut rng = Rng::from_seed([1; 32]);
    let have =
        (0..400).filter(|_| representative(&StaticSecret::generate(&mut rng).public(), 0).is_some()).count();
    assert!((150..250).contains(&have), "{have}");
}

#[test]
fn top_bits_and_choice_are_random() {
    let mut rng = Rng::from_seed([2; 32]);
    let mut seen = [0u32; 8];
    for _ in 0..160 {
        let (secret, sent) = generate(&mut rng);
        assert_eq!(decode(&sent), secret.public());
        let first = representative(&secret.public(), 0).unwrap();
        let mut plain = sent;
        plain[31] &= 0x3f;
        seen[usize::from(sent[31] >> 6) | usize::from(plain != first) << 2] += 1;
    }
    assert!(seen.iter().all(|n| *n > 5), "{seen:?}");
}

#[test]
fn edges() {
    assert_eq!(decode(&[0; 32]), PublicKey([0; 32]));
    assert_eq!(representative(&PublicKey([0; 32]), 0), Some([0; 32]));
    assert_eq!(representative(&PublicKey([0; 32]), 1), None);
    let minus_a = PublicKey(A.neg().to_bytes()); // the one pole of the map
    assert_eq!((representative(&minus_a, 0), representative(&minus_a, 1)), (None, None));
    let twist = PublicKey(Field::small(2).to_bytes());
    assert_eq!((representative(&twist, 0), representative(&twist, 1)), (None, None));
}

proptest! {
    #[test]
    fn every_string_decodes_to_what_it_represents(mut bytes: [u8; 32], top in 0u8..4) {
        let key = decode(&bytes);
        bytes[31] = bytes[31] & 0x3f | top << 6;
        prop_assert_eq!(decode(&bytes), key);
        // Both representatives exist, and are canonical (r, not -r); one of them is the string's own.
        let both = [0, 1].map(|bit| representative(&key, bit | top << 6).unwrap());
        prop_assert!(both.iter().all(|one| decode(one) == key && one[31] >> 6 == top));
        bytes[31] &= 0x3f;
        let r = Field::from_bytes(&bytes);
        let own = Field::select(r, r.neg(), r.is_upper_half()).to_bytes();
        prop_assert!(both.iter().any(|one| one[..31] == own[..31] && one[31] & 0x3f == own[31]));
    }

    #[test]
    fn representatives_decode_to_their_key(secret: [u8; 32], tweak: u8) {
        let key = StaticSecret::from_bytes(secret).public();
        if let Some(sent) = representative(&key, tweak) {
            prop_assert_eq!(decode(&sent), key);
            prop_assert_eq!(sent[31] & 0xc0, tweak & 0xc0);
            let again = representative(&key, tweak ^ 1).unwrap();
            prop_assert_ne!(again, sent);
        }
    }
}
