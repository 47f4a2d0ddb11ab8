use hex_literal::hex;

use super::*;
use crate::vectors::{array, java};

#[test]
fn sha_2_of_abc_in_parts() {
    let expected = hex!("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_eq!(sha256(b"abc"), expected);
    assert_eq!(sha256_of(&[b"a", b"", b"bc"]), expected);
    assert_eq!(
        sha512_of(&[b"ab", b"c"]),
        hex!(
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
            "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
        )
    );
}

/// RFC 4231, test cases 2 and 6 (a key longer than a block).
#[test]
fn hmac_of_parts() {
    let expected = hex!("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    assert_eq!(hmac_sha256(b"Jefe", &[b"what do ya want ", b"for nothing?"]), expected);
    let expected = hex!("60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    assert_eq!(
        hmac_sha256(&[0xaa; 131], &[b"Test Using Larger Than Block-Size Key - Hash Key First"]),
        expected
    );
}

/// ECIES ratchet, "KDF for tag sets": each kind of input to HKDF, empty and not.
#[test]
fn hkdf_makes_a_ratchet_tag_set() {
    let part = java("ratchet_tag_set");
    let (next_root, ck) =
        hkdf(&array(&part, "root_key"), &array::<32>(&part, "data_key"), b"KDFDHRatchetStep");
    assert_eq!(next_root, array(&part, "next_root_key"));
    let (tags, mut keys) = hkdf(&ck, &[], b"TagAndKeyGenKeys");
    let (mut tags, constant) = hkdf(&tags, &[], b"STInitialization");
    for n in 0..5 {
        let tag;
        (tags, tag) = hkdf(&tags, &constant, b"SessionTagKeyGen");
        assert_eq!(tag[..8], array::<8>(&part, &format!("tag_{n}")));
        let key;
        (keys, key) = hkdf(&keys, &[], b"SymmetricRatchet");
        assert_eq!(key, array(&part, &format!("key_{n}")));
    }
    assert_eq!(hkdf_one(&constant, b"ikm", b"info"), hkdf(&constant, b"ikm", b"info").0);
}

#[test]
fn compare() {
    assert!(crate::ct_eq(b"", b"") && crate::ct_eq(b"abc", b"abc"));
    assert!(!crate::ct_eq(b"abc", b"abd") && !crate::ct_eq(b"abc", b"abcd"));
}
