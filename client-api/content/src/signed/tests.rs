use allium_crypto::Rng;
use hex_literal::hex;
use proptest::prelude::*;

use super::*;
use crate::keys::RootKind;

fn owner(seed: u8) -> OwnerKey {
    OwnerKey::generate(&mut Rng::from_seed([seed; 32]))
}

fn inline(data: &[u8]) -> Target {
    Target::Inline { media: Some("text/plain".parse().unwrap()), data: Bytes::copy_from_slice(data) }
}

fn chk() -> Chk {
    Chk { routing: Key([3; 32]), crypto: CryptoKey([4; 32]), root: RootKind::Manifest }
}

#[test]
fn who_has_the_uri_finds_and_reads_it() {
    let owner = owner(1);
    let reader = owner.reader();
    let slot = Slot::Document("site-5");
    for target in [
        inline(b"hello"),
        Target::Inline { media: None, data: Bytes::new() },
        Target::Redirect(chk()),
        Target::Link(Uri::Ksk { word: "word".parse().unwrap(), path: "a/b".parse().unwrap() }),
    ] {
        let block = SignedBlock::seal(&owner, slot, 7, &target).unwrap();
        assert_eq!(block.key(), reader.locate(slot));
        let read = SignedBlock::decode(block.bytes().clone()).unwrap();
        assert_eq!((&read, read.version()), (&block, 7));
        assert_eq!(read.open(&reader, slot), Ok(target));
    }
}

#[test]
fn the_same_document_is_the_same_block_and_never_shares_a_key_stream() {
    let owner = owner(1);
    let seal =
        |version, data| SignedBlock::seal(&owner, Slot::Document("a"), version, &inline(data)).unwrap();
    let first = seal(0, b"one");
    assert_eq!(first, seal(0, b"one"));
    for other in [seal(1, b"one"), seal(0, b"two")] {
        let [a, b] = [&first, &other].map(|block| Fields::read(&block.bytes).unwrap().nonce.to_owned());
        assert_ne!(a, b);
    }
    // By vectors.py. With other values every key that was ever given away would be useless.
    let word = OwnerKey::from_word("word");
    let block = SignedBlock::seal(&word, Slot::Document("word"), 0, &inline(b"one")).unwrap();
    assert_eq!(block.key().0, hex!("296e73e772381f6e7ebb3b8ce5cd66efa80b0a8ce44ca1a5f5452d4b081793e1"));
    let hash = derive("allium content 1: test", &[block.bytes()]);
    assert_eq!(hash, hex!("330c02190a82d352e22ca26c87f6b2bc1d262dc8db4b088616f3ce314ad316b4"));
}

#[test]
fn holders_learn_neither_name_nor_content() {
    let (owner, name) = (owner(1), "a rather telling name");
    let block =
        SignedBlock::seal(&owner, Slot::Document(name), 0, &inline(b"a rather telling text")).unwrap();
    for secret in [&name.as_bytes()[..8], b"telling", &owner.crypto().0[..8], &owner.signing().seed()[..8]] {
        assert!(!block.bytes().windows(secret.len()).any(|window| window == secret));
    }
    // Who knows the owner's public key, but not the URI, can't confirm a guessed name.
    let guesser = SskKey { crypto: CryptoKey([0; 32]), ..owner.reader() };
    assert_ne!(guesser.locate(Slot::Document(name)), block.key());
    assert_eq!(block.open(&guesser, Slot::Document(name)), Err(Error::OtherKey));
}

#[test]
fn documents_are_not_exchanged_for_each_other() {
    let (owner, stranger) = (owner(1), owner(2));
    let block = SignedBlock::seal(&owner, Slot::Document("a"), 0, &inline(b"x")).unwrap();
    let reader = owner.reader();
    for slot in [Slot::Document("b"), Slot::Newest("a")] {
        assert_eq!(block.open(&reader, slot), Err(Error::OtherKey));
    }
    assert_eq!(block.open(&stranger.reader(), Slot::Document("a")), Err(Error::OtherKey));
    // A stranger signs under the owner's name: the key is another one.
    let forged = OwnerKey::from_parts(*stranger.signing().seed(), owner.crypto().clone());
    let forged = SignedBlock::seal(&forged, Slot::Document("a"), 9, &inline(b"y")).unwrap();
    assert_ne!(forged.key(), block.key());
}

#[test]
fn any_changed_bit_is_noticed() {
    let block = SignedBlock::seal(&owner(1), Slot::Document("a"), 3, &inline(b"x")).unwrap();
    for at in [0, 1, 32, 33, 64, 65, 72, 73, 84, 85, 600, UNSIGNED - 1, UNSIGNED, SignedBlock::LEN - 1] {
        let mut bytes = block.bytes().to_vec();
        bytes[at] ^= 1;
        let expected = if at == 0 { Error::Version(0) } else { Error::Signature };
        assert_eq!(SignedBlock::decode(bytes.into()), Err(expected), "byte {at}");
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let owner = owner(1);
    let media: MediaType = "text/plain".parse().unwrap();
    for (length, fits) in [(INLINE - 10, true), (INLINE - 9, false), (usize::MAX, false)] {
        assert_eq!(Target::fits(Some(&media), length), fits);
        if length < usize::MAX {
            let sealed = SignedBlock::seal(&owner, Slot::Document("a"), 0, &inline(&vec![1; length]));
            assert_eq!(sealed.is_ok(), fits);
        }
    }
    let path = ["x"; 30].map(|part| part.repeat(30)).join("/");
    let link = Uri::Ssk { key: owner.reader(), name: "n".parse().unwrap(), path: path.parse().unwrap() };
    let sealed = SignedBlock::seal(&owner, Slot::Document("a"), 0, &Target::Link(link));
    assert!(matches!(sealed, Err(Error::TooLarge(_))));
}

#[test]
fn an_owner_who_lies_gets_nowhere() {
    let document = |kind: u8, length: u16, body: &[u8]| {
        let mut plain = vec![kind];
        plain.extend_from_slice(&length.to_be_bytes());
        plain.extend_from_slice(body);
        plain.resize(PAYLOAD, 0);
        Target::decode(&plain)
    };
    let mut private = chk().encode();
    private[65] = 1;
    assert!(document(1, 69, &chk().encode()).is_some());
    for (kind, length, body) in [
        (0, 0, &b""[..]),
        (4, 0, b""),
        (1, 68, &chk().encode()),
        (1, 70, &chk().encode()),
        (1, 69, &private),
        (2, 0, b""),
        (2, 2, b"\x05text"),
        (2, 5, b"\x04text"),
        (2, 1, b"\0and what nobody sees"),
        (2, u16::MAX, b""),
        (3, 5, b"KSK@\xff"),
        (3, 0, b""),
    ] {
        assert_eq!(document(kind, length, body), None, "{kind} {length}");
    }
    let secret = owner(1).expose();
    assert_eq!(document(3, secret.len() as u16 + 1, format!("{}n", &*secret).as_bytes()), None);
}

proptest! {
    #[test]
    fn documents_never_panic(plain: Vec<u8>) {
        let _ = Target::decode(&plain);
        let mut plain = plain;
        plain.resize(PAYLOAD, 0);
        if let Some(target) = Target::decode(&plain) {
            prop_assert_eq!(Target::decode(&target.encode().unwrap()), Some(target));
        }
    }

    #[test]
    fn any_document_round_trips(name in "[a-z/é]{0,30}", data in proptest::collection::vec(0u8.., 0..1010),
                                version: u64) {
        let owner = owner(4);
        let block = SignedBlock::seal(&owner, Slot::Document(&name), version, &inline(&data)).unwrap();
        let read = SignedBlock::decode(block.bytes().clone()).unwrap();
        prop_assert_eq!(read.version(), version);
        prop_assert_eq!(read.open(&owner.reader(), Slot::Document(&name)), Ok(inline(&data)));
    }
}
