//! Publishers who lie.

use bytes::Bytes;

use super::*;
use crate::keys::{RootKind, Secrecy, context};
use crate::tree::tests::{Store, drive, get, pattern, put, small};
use crate::tree::{Params, Piece};

/// A root over entries and blocks of the caller's making.
fn forged(content: &[u8], hash: [u8; 32], edit: impl FnOnce(&mut Vec<u8>, &mut Store)) -> (Chk, Store) {
    let mut store = Store::new();
    let params = Params::new(16, 8).unwrap();
    let mut plain = content.to_vec();
    plain.resize(content.len().next_multiple_of(SIZE), 0);
    let crypto = Secrecy::Convergent.key(context::SEGMENT_CRYPTO, &[&plain]);
    let mut entry = crypto.as_bytes().to_vec();
    let data = plain.chunks_exact(SIZE);
    let check = Erasure::default().encode(plain.chunks_exact(SIZE), params.check_of(data.len())).unwrap();
    for (number, plain) in data.chain(check.chunks_exact(SIZE)).enumerate() {
        let block = ContentBlock::seal(plain, &crypto, number as u32).unwrap();
        entry.extend_from_slice(&block.key().0);
        store.insert(block.key(), (block, Role::Data, number));
    }
    edit(&mut entry, &mut store);
    let root = Root::new(RootKind::Data, content.len() as u64, hash, None, params, Bytes::from(entry));
    let (Piece { block, role }, chk) = root.seal(&Secrecy::Convergent).unwrap();
    store.insert(chk.routing, (block, role, store.len()));
    (chk, store)
}

#[test]
fn a_hash_that_does_not_fit_is_told_at_the_end() {
    let content = pattern(5 * SIZE);
    let right = *blake3::hash(&content).as_bytes();
    let (chk, store) = forged(&content, right, |_, _| {});
    assert!(get(&chk, &store, 9, false).content == content);
    let (chk, store) = forged(&content, [0; 32], |_, _| {});
    assert_eq!(get(&chk, &store, 9, false).error, Some(Error::Hash));
    let mut reader = Reader::new(chk, Options::default());
    reader.select(1..content.len() as u64);
    assert!(drive(&mut reader, &store, 9, false).content == content[1..], "the hash is of all of it");
}

#[test]
fn check_blocks_that_belong_to_other_data_are_noticed() {
    let content = pattern(5 * SIZE);
    let right = *blake3::hash(&content).as_bytes();
    // The last data block is another than the one that the check blocks were made of, and nobody has it.
    let (chk, store) = forged(&content, right, |entry, store| {
        let at = 32 + 4 * 32..32 + 5 * 32;
        let key = Key(entry[at.clone()].try_into().unwrap());
        store.remove(&key);
        entry[at].fill(9);
    });
    assert_eq!(get(&chk, &store, 9, false).error, Some(Error::Inconsistent));
}

#[test]
fn entries_that_name_one_block_again_and_again_end() {
    let content = pattern(16 * SIZE);
    let (chk, store) = forged(&content, [0; 32], |entry, _| {
        let first: Vec<u8> = entry[32..64].to_vec();
        for key in entry[32..].chunks_exact_mut(32) {
            key.copy_from_slice(&first);
        }
    });
    let got = get(&chk, &store, 9, false);
    assert_eq!((got.error, got.asked.len()), (Some(Error::Hash), 2));
    // Or the root itself, which can't be: its key is a hash of the entry.
    let (chk, mut store) = forged(&content, [0; 32], |_, _| {});
    store.retain(|key, _| *key == chk.routing);
    assert!(matches!(get(&chk, &store, 9, false).error, Some(Error::Lost { have, need: 16 }) if have < 16));
}

#[test]
fn junk_for_a_root_is_told() {
    let (chk, mut store) = put(b"content", small());
    let junk = ContentBlock::decode(vec![3; SIZE].into()).unwrap();
    let chk = Chk { routing: junk.key(), ..chk };
    store.insert(junk.key(), (junk, Role::Root, 1));
    let got = get(&chk, &store, 1, false);
    assert!(matches!(got.error, Some(Error::Root(_))));
}
