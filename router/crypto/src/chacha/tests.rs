use hex_literal::hex;

use super::*;
use crate::aead;

/// RFC 8439, section 2.4.2.
#[test]
fn sunscreen() {
    let key = std::array::from_fn(|i| i as u8);
    let mut text =
        *b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, \
        sunscreen would be it.";
    xor(&key, &hex!("000000000000004a00000000"), 1, &mut text);
    assert_eq!(text[..32], hex!("6e2e359a2568f98041ba0728dd0d6981e97e7aec1d4360c20a27afccfd9fae0b"));
    assert_eq!(text[96..], hex!("5af90bbf74a35be6b40b8eedf2785e42874d"));
}

#[test]
fn trap_9_counter_1_is_the_aead_payload() {
    let mut sealed = vec![9; 200];
    aead::Key::new(&[2; 32]).seal_vec(7, &[], &mut sealed, 0);
    xor(&[2; 32], &aead::nonce(7), 1, &mut sealed[..200]);
    assert_eq!(sealed[..200], [9; 200]);
}

#[test]
fn counters_continue() {
    let (mut whole, mut parts) = ([0; 192], [0; 192]);
    xor(&[3; 32], &[4; 12], 0, &mut whole);
    xor(&[3; 32], &[4; 12], 0, &mut parts[..64]);
    xor(&[3; 32], &[4; 12], 1, &mut parts[64..]);
    assert_eq!(whole, parts);
}

#[test]
fn nothing_stays_clear_past_the_last_block() {
    let mut data = [5; 200];
    xor(&[3; 32], &[4; 12], u32::MAX, &mut data);
    assert!(data.iter().all(|byte| *byte == 0));
}
