use hex_literal::hex;
use proptest::prelude::*;

use super::*;
use crate::Rng;

/// RFC 7748, section 6.1.
#[test]
fn alice_and_bob() {
    let alice =
        StaticSecret::from_bytes(hex!("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"));
    let bob =
        StaticSecret::from_bytes(hex!("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"));
    assert_eq!(bob.public().0, hex!("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"));
    assert_eq!(alice.public().0, hex!("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"));
    let shared = hex!("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
    assert_eq!(*alice.dh(&bob.public()).unwrap(), shared);
    assert_eq!(*bob.dh(&alice.public()).unwrap(), shared);
}

#[test]
fn keys_of_small_order_are_refused() {
    let secret = StaticSecret::from_bytes([9; 32]);
    for bytes in [
        [0; 32],
        hex!("0100000000000000000000000000000000000000000000000000000000000000"),
        hex!("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
        hex!("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
        hex!("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        hex!("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    ] {
        assert_eq!(secret.dh(&PublicKey(bytes)).unwrap_err(), Error::BadKey);
    }
}

#[test]
fn debug_shows_public_keys_alone() {
    let secret = StaticSecret::from_bytes([9; 32]);
    let shared = secret.dh(&secret.public()).unwrap();
    assert_eq!(format!("{secret:?} {shared:?}"), "StaticSecret { .. } Shared { .. }");
    assert!(format!("{:?}", PublicKey([0xa5; 32])).starts_with("PublicKey(a5a5"));
}

proptest! {
    #[test]
    fn both_sides_agree(a: [u8; 32], b: [u8; 32]) {
        let (a, b) = (StaticSecret::from_bytes(a), StaticSecret::from_bytes(b));
        prop_assert_eq!(*a.dh(&b.public()).unwrap(), *b.dh(&a.public()).unwrap());
    }

    #[test]
    fn private_bytes_are_kept(bytes: [u8; 32], seed: [u8; 32]) {
        prop_assert_eq!(*StaticSecret::from_bytes(bytes).to_bytes(), bytes);
        let drawn = StaticSecret::generate(&mut Rng::from_seed(seed));
        prop_assert_eq!(StaticSecret::from_bytes(*drawn.to_bytes()).public(), drawn.public());
    }
}
