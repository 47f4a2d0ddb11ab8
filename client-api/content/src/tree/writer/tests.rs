use hex_literal::hex;

use super::*;
use crate::tree::tests::{put, small};

#[test]
fn keys_are_these() {
    // By vectors.py. With other values every key that was ever given away would be useless.
    let content: Vec<u8> = (0..700_000u64).map(|n| (n * n / 251 % 256) as u8).collect();
    let typed = Options { media: Some("text/plain".parse().unwrap()), ..small() };
    let (one, _) = put(&content[..1000], typed);
    let bare = Options { params: Params::new(16, 0).unwrap(), ..Options::default() };
    let (two, store) = put(&content, bare);
    assert_eq!(store.len(), 1 + 22);
    let both = |chk: Chk| (chk.routing.0, *chk.crypto.as_bytes());
    assert_eq!(
        both(one),
        (
            hex!("ab9bd4249db7b35056d0b8b8c98ee059ab05f2e6ae2c806cd7b268cc5798228b"),
            hex!("f8153f57fc00324dce8695557769d442f7e0bec582432e17b3653324ed23490b")
        )
    );
    assert_eq!(
        both(two),
        (
            hex!("58f179bd8b97733550b1bc39f7553b429530774f180aaabe20d7cd4a011c4a8c"),
            hex!("6516eeffa1c02c204838d1e2f287fa1bd33baf84e083af9f3d13fa12c2814188")
        )
    );
    // With check blocks, as this program made it when the format was fixed.
    let (usual, _) = put(&content, Options::default());
    assert_eq!(usual.routing.0, hex!("923cc097c58bffdf1e6d8dd811a4c8831097a8bb5fd6b652e3ecb5b585ae3e6c"));
}

#[test]
fn the_order_of_blocks_is_the_order_of_content() {
    let mut writer = Writer::new(small());
    let mut roles = Vec::new();
    assert_eq!(writer.push(&vec![1; 20 * SIZE]).unwrap(), 16 * SIZE);
    while let Some(piece) = writer.poll().unwrap() {
        roles.push(piece.role);
    }
    assert_eq!(writer.push(&vec![2; SIZE]).unwrap(), SIZE);
    writer.finish();
    assert_eq!(writer.push(&[3]).unwrap(), 0);
    assert_eq!(writer.chk(), None);
    while let Some(piece) = writer.poll().unwrap() {
        roles.push(piece.role);
    }
    let expected = [
        vec![Role::Data; 16],
        vec![Role::Check; 8],
        vec![Role::Data],
        vec![Role::Check; 3],
        vec![Role::Root],
    ];
    assert_eq!(roles, expected.concat());
    assert!(writer.chk().is_some());
}

#[test]
fn how_the_bytes_arrive_does_not_matter() {
    let content = crate::tree::tests::pattern(3 * 16 * SIZE + 77);
    let (expected, _) = put(&content, small());
    for step in [1000, 32_768, 7_777_777] {
        let mut writer = Writer::new(small());
        for mut chunk in content.chunks(step) {
            while !chunk.is_empty() {
                let taken = writer.push(chunk).unwrap();
                chunk = &chunk[taken..];
                while writer.poll().unwrap().is_some() {}
            }
        }
        writer.finish();
        while writer.poll().unwrap().is_some() {}
        assert_eq!(writer.chk(), Some(&expected), "{step}");
    }
}
