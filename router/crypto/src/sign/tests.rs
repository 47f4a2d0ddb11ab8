use hex_literal::hex;
use proptest::prelude::*;

use super::*;
use crate::Rng;
use crate::vectors::{bytes, java};

/// RFC 8032, section 7.1, test 1.
#[test]
fn ed25519_of_nothing() {
    let key = SigningKey::from_seed(hex!("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"));
    assert_eq!(key.public(), hex!("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"));
    assert_eq!(
        key.sign(&[]),
        hex!(
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
            "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
        )
    );
}

/// RFC 6979, A.2.5 and A.2.6, message "sample".
#[test]
fn ecdsa() {
    let p256 = hex!(
        "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6"
        "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299"
    );
    let mut signature = hex!(
        "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
        "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"
    );
    assert_eq!(verify(SignatureType::EcdsaP256, &p256, &[b"sam", b"ple"], &signature), Ok(()));
    signature[63] ^= 1;
    assert_eq!(verify(SignatureType::EcdsaP256, &p256, &[b"sample"], &signature), Err(Error::BadSignature));
    assert_eq!(
        verify(SignatureType::EcdsaP256, &[7; 64], &[b"sample"], &signature),
        Err(Error::BadSignature)
    );

    let p384 = hex!(
        "ec3a4e415b4e19a4568618029f427fa5da9a8bc4ae92e02e06aae5286b300c64"
        "def8f0ea9055866064a254515480bc138015d9b72d7d57244ea8ef9ac0c62189"
        "6708a59367f9dfb9f54ca84b3f1c9db1288b231c3ae0d4fe7344fd2533264720"
    );
    let signature = hex!(
        "94edbb92a5ecb8aad4736e56c691916b3f88140666ce9fa73d64c4ea95ad133c"
        "81a648152e44acf96e36dd1e80fabe4699ef4aeb15f178cea1fe40db2603138f"
        "130e740a19624526203b6351d0a3a94fa329c145786e679e7b82c71a38628ac8"
    );
    assert_eq!(verify(SignatureType::EcdsaP384, &p384, &[b"sample"], &signature), Ok(()));
    assert_eq!(verify(SignatureType::EcdsaP384, &p384, &[b"simple"], &signature), Err(Error::BadSignature));
}

#[test]
fn signatures_of_a_destination() {
    let sets = java("lease_sets");
    let public = &bytes(&sets, "destination_key_file")[352..384];
    let set = bytes(&sets, "lease_set_2");
    let (signed, signature) = set.split_at(set.len() - 64);
    // The store type is signed, and is not part of the structure.
    assert_eq!(verify(SignatureType::Ed25519, public, &[&[3], signed], signature), Ok(()));
    assert_eq!(verify(SignatureType::Ed25519, public, &[&[1], signed], signature), Err(Error::BadSignature));

    let datagram = bytes(&java("streaming"), "datagram_1_of_abc");
    assert_eq!(verify(SignatureType::Ed25519, public, &[&datagram[455..]], &datagram[391..455]), Ok(()));
}

/// An encrypted lease set begins with its signature type and blinded key; the store type (5) is signed too.
#[test]
fn red_dsa_by_a_blinded_key() {
    let set = bytes(&java("lease_sets"), "encrypted_lease_set");
    let (signed, signature) = set.split_at(set.len() - 64);
    assert_eq!(signed[..2], [0, 11]);
    assert_eq!(verify(SignatureType::RedDsa, &signed[2..34], &[&[5], signed], signature), Ok(()));
    assert_eq!(verify(SignatureType::RedDsa, &signed[2..34], &[signed], signature), Err(Error::BadSignature));
}

#[test]
fn types() {
    for number in 0..20 {
        match SignatureType::try_from(number) {
            Ok(kind) => {
                assert_eq!(u16::from(kind), number);
                let (public, signature) = (vec![0; kind.public_len()], vec![0; kind.signature_len()]);
                assert!(verify(kind, &public, &[b"message"], &signature).is_err());
                assert_eq!(verify(kind, &public[1..], &[], &signature), Err(Error::Length));
                assert_eq!(verify(kind, &public, &[], &signature[1..]), Err(Error::Length));
            }
            Err(error) => assert_eq!(error, Error::UnsupportedSignature(number)),
        }
    }
    let dsa = SignatureType::DsaSha1;
    assert_eq!(verify(dsa, &[1; 128], &[], &[1; 40]), Err(Error::UnsupportedSignature(0)));
}

#[test]
fn a_key_that_is_no_point() {
    let public = hex!("0200000000000000000000000000000000000000000000000000000000000000");
    assert_eq!(verify(SignatureType::Ed25519, &public, &[], &[0; 64]), Err(Error::BadKey));
}

#[test]
fn debug_shows_no_seed() {
    assert_eq!(format!("{:?}", SigningKey::from_seed([1; 32])), "SigningKey { .. }");
}

proptest! {
    #[test]
    fn signs_and_verifies_parts(
        seed: [u8; 32],
        message in prop::collection::vec(any::<u8>(), 1..200),
        cut: prop::sample::Index,
        at: prop::sample::Index,
    ) {
        let key = SigningKey::generate(&mut Rng::from_seed(seed));
        let (a, b) = message.split_at(cut.index(message.len()));
        let mut signature = key.sign(&[a, b]);
        prop_assert_eq!(signature, SigningKey::from_seed(*key.seed()).sign(&[&message]));
        for kind in [SignatureType::Ed25519, SignatureType::RedDsa] {
            prop_assert_eq!(verify(kind, &key.public(), &[&message], &signature), Ok(()));
        }
        signature[at.index(64)] ^= 0x10;
        let changed = verify(SignatureType::Ed25519, &key.public(), &[&message], &signature);
        prop_assert_eq!(changed, Err(Error::BadSignature));
    }

    #[test]
    fn hostile_keys_and_signatures(public: [u8; 96], message: [u8; 8], signature: [u8; 96]) {
        for (kind, len) in [(SignatureType::Ed25519, 32), (SignatureType::EcdsaP384, 96)] {
            let signature = &signature[..kind.signature_len()];
            prop_assert!(verify(kind, &public[..len], &[&message], signature).is_err());
        }
    }
}
