use hex_literal::hex;
use proptest::prelude::*;

use super::*;
use crate::keys::OwnerKey;
use crate::signed::{Slot, Target};

fn content(fill: u8) -> ContentBlock {
    ContentBlock::seal(&[fill; 100], &CryptoKey([fill; 32]), 0).unwrap()
}

fn signed(version: u64, data: &'static [u8]) -> SignedBlock {
    let owner = OwnerKey::from_word("word");
    let target = Target::Inline { media: None, data: Bytes::from_static(data) };
    SignedBlock::seal(&owner, Slot::Document("name"), version, &target).unwrap()
}

#[test]
fn content_is_named_by_its_ciphertext() {
    let block = content(9);
    assert_eq!(block.bytes().len(), SIZE);
    assert_eq!(Block::decode(block.bytes().clone()).unwrap(), Block::Content(block.clone()));
    let plain = block.open(&CryptoKey([9; 32]), 0);
    assert_eq!((&plain[..100], plain.len()), (&[9; 100][..], SIZE));
    assert!(plain[100..].iter().all(|byte| *byte == 0));
    assert_ne!(block.open(&CryptoKey([9; 32]), 1), plain);
    // By vectors.py. With another value every key that was ever given away would be useless.
    assert_eq!(block.key().0, hex!("e0f204612644d46896038b230239af77514fc92e969e182d68f4d535f0a912df"));
}

#[test]
fn other_lengths_are_no_blocks() {
    for length in [0, 1, SIZE - 1, SIZE + 1, SignedBlock::LEN - 1, SignedBlock::LEN + 1, 2 * SIZE] {
        assert_eq!(Block::decode(vec![1; length].into()), Err(Error::Length(length)));
    }
    assert_eq!(
        ContentBlock::seal(&vec![0; SIZE + 1], &CryptoKey([0; 32]), 0),
        Err(Error::TooLarge(SIZE + 1))
    );
}

#[test]
fn a_changed_block_has_another_name() {
    let block = content(1);
    let mut bytes = block.bytes().to_vec();
    bytes[SIZE - 1] ^= 1;
    assert_ne!(Block::decode(bytes.into()).unwrap().key(), block.key());
}

#[test]
fn newer_versions_replace_older_ones_and_conflicts_end_alike() {
    let [old, new, other] = [signed(1, b"a"), signed(2, b"b"), signed(2, b"c")].map(Block::Signed);
    assert!(old.key() == new.key() && new.key() == other.key());
    assert!(new.supersedes(&old) && !old.supersedes(&new), "a replayed older version changes nothing");
    assert!(!new.supersedes(&new.clone()));
    assert_ne!(new.supersedes(&other), other.supersedes(&new), "everybody keeps the same one");
    assert_eq!((old.version(), Block::Content(content(1)).version()), (Some(1), None));
    let elsewhere = SignedBlock::seal(
        &OwnerKey::from_word("word"),
        Slot::Document("other name"),
        9,
        &Target::Inline { media: None, data: Bytes::new() },
    );
    assert!(!Block::Signed(elsewhere.unwrap()).supersedes(&old));
    assert!(!Block::Content(content(1)).supersedes(&Block::Content(content(2))));
}

#[test]
fn keys_print_shortly_and_order_by_distance() {
    let key = Key([0xff; 32]);
    assert_eq!(format!("{key} {key:?}"), "---- Key(----)");
    assert_eq!(format!("{key:#}").len(), 43);
    let near = Key([0xfe; 32]).distance(&key);
    assert!(near < Key([0x7f; 32]).distance(&key));
    assert_eq!(key.distance(&key), Key([0; 32]));
}

proptest! {
    #[test]
    fn decoding_never_panics(bytes: Vec<u8>, wanted in 0..3usize) {
        let mut bytes = bytes;
        bytes.resize([bytes.len(), SIZE, SignedBlock::LEN][wanted], 1);
        if let Ok(block) = Block::decode(bytes.clone().into()) {
            prop_assert_eq!(block.encode(), bytes);
        }
    }
}
