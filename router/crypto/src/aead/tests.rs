use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Nonce as OracleNonce};
use proptest::prelude::*;

use super::*;
use crate::vectors::{array, bytes, java};

#[test]
fn trap_1_nonces_are_little_endian_after_four_zero_bytes() {
    assert_eq!(nonce(0x0102_0304_0506_0708), [0, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1]);
}

#[test]
fn first_frame_of_ntcp2() {
    let part = java("ntcp2_handshake");
    let part = &part["data_phase"];
    let key = Key::new(&array(part, "key_alice_to_bob"));
    let mut frame = bytes(part, "sixteen_zero_bytes_sealed_by_alice_first");
    assert_eq!(key.open(0, &[], &mut frame), Ok(&mut [0; 16][..]));
}

#[test]
fn too_short_for_a_tag() {
    let key = Key::new(&[1; 32]);
    for len in 0..TAG {
        assert_eq!(key.open(0, &[], &mut vec![0; len]), Err(Error::Length));
    }
    assert_eq!(key.open(0, &[], &mut [0; TAG]), Err(Error::Authentication));
}

#[test]
fn seal_from_beyond_the_end_seals_nothing() {
    let key = Key::new(&[1; 32]);
    let mut data = vec![7; 3];
    key.seal_vec(1, b"ad", &mut data, 100);
    assert_eq!(data[..3], [7; 3]);
    assert_eq!(key.open(1, b"ad", &mut data[3..]), Ok(&mut [][..]));
}

proptest! {
    #[test]
    fn seals_like_the_portable_cipher(
        key: [u8; 32],
        counter: u64,
        ad in prop::collection::vec(any::<u8>(), 0..80),
        plain in prop::collection::vec(any::<u8>(), 0..1500),
        from in 0usize..40,
    ) {
        let from = from.min(plain.len());
        let cipher = Key::new(&key);
        let mut sealed = plain.clone();
        cipher.seal_vec(counter, &ad, &mut sealed, from);

        let payload = Payload { msg: &plain[from..], aad: &ad };
        let oracle = ChaCha20Poly1305::new(&key.into());
        let expected = oracle.encrypt(&OracleNonce::from(nonce(counter)), payload).unwrap();
        prop_assert_eq!(&sealed[..from], &plain[..from]);
        prop_assert_eq!(&sealed[from..], &expected[..]);
        prop_assert_eq!(&*cipher.open(counter, &ad, &mut sealed[from..]).unwrap(), &plain[from..]);
    }

    #[test]
    fn any_change_is_noticed(
        key: [u8; 32],
        plain in prop::collection::vec(any::<u8>(), 0..100),
        at: prop::sample::Index,
        bit in 0u8..8,
    ) {
        let cipher = Key::new(&key);
        let mut sealed = plain;
        cipher.seal_vec(5, b"ad", &mut sealed, 0);
        prop_assert!(cipher.open(6, b"ad", &mut sealed.clone()).is_err());
        prop_assert!(cipher.open(5, b"da", &mut sealed.clone()).is_err());
        let at = at.index(sealed.len());
        sealed[at] ^= 1u8 << bit;
        prop_assert_eq!(cipher.open(5, b"ad", &mut sealed), Err(Error::Authentication));
    }
}
