use proptest::prelude::*;

use super::*;
use crate::keys::CryptoKey;

fn sample(length: u64, media: Option<&str>) -> Root {
    let media = media.map(|media| media.parse().unwrap());
    let root = |body| Root::new(RootKind::Data, length, [7; 32], media.clone(), Params::default(), body);
    let size = root(Bytes::new()).levels().last().map_or(length, |top| top.entries());
    root(vec![5; size as usize].into())
}

#[test]
fn what_is_written_reads_the_same() {
    for length in [0, 1, 1000, 100_000, 5 << 20, 21 << 20, 1 << 40] {
        for media in [None, Some("text/html; charset=utf-8")] {
            let root = sample(length, media);
            assert_eq!(Root::decode(&root.encode().into()).as_ref(), Ok(&root));
            let (piece, chk) = root.seal(&Secrecy::Convergent).unwrap();
            assert_eq!((Root::open(&chk, &piece.block), piece.role), (Ok(root), Role::Root));
        }
    }
}

#[test]
fn hostile_roots_are_told_from_good_ones() {
    let good = sample(100_000, Some("text/html")).encode();
    let changed = |at: usize, bytes: &[u8]| {
        let mut root = good.clone();
        root[at..at + bytes.len()].copy_from_slice(bytes);
        Root::decode(&root.into()).unwrap_err()
    };
    assert_eq!(changed(0, &[2]), Error::Root("it is of another version, or was not made by allium"));
    assert_eq!(changed(1, &[2]), Error::Root("its kind"));
    for depth in [0, 2, 3, 255] {
        assert!(matches!(changed(2, &[depth]), Error::Root("its depth" | "its segments")));
    }
    assert_eq!(changed(3, &u64::MAX.to_be_bytes()), Error::Root("its length"));
    assert_eq!(changed(3, &MAX_LENGTH.to_be_bytes()), Error::Root("its depth"));
    assert_eq!(changed(3, &9u64.to_be_bytes()), Error::Root("its depth"));
    assert_eq!(changed(3, &40_000u64.to_be_bytes()), Error::Root("its end"), "fewer blocks than entries");
    for (data, check) in [(0u16, 0u16), (1, 1), (65535, 0), (128, 129)] {
        assert_eq!(
            changed(43, &[data.to_be_bytes(), check.to_be_bytes()].concat()),
            Error::Root("its segments")
        );
    }
    assert_eq!(changed(47, &[255]), Error::Root("its content type"));
    assert_eq!(changed(48, b"text\r\n"), Error::Root("its content type"));
    assert_eq!(changed(SIZE - 1, &[1]), Error::Root("its end"));
    assert_eq!(Root::decode(&Bytes::from(good[..40].to_vec())), Err(Error::Root("too short")));
}

#[test]
fn a_key_for_something_else_does_not_open_it() {
    let (piece, chk) = sample(10, None).seal(&Secrecy::Convergent).unwrap();
    let folder = Chk { root: RootKind::Manifest, ..chk.clone() };
    assert_eq!(Root::open(&folder, &piece.block), Err(Error::Kind));
    let other = Chk { crypto: CryptoKey([0; 32]), ..chk.clone() };
    assert!(matches!(Root::open(&other, &piece.block), Err(Error::Root(_))));
    let elsewhere = ContentBlock::decode(vec![0; SIZE].into()).unwrap();
    assert!(matches!(Root::open(&chk, &elsewhere), Err(Error::Root("it is another block"))));
}

proptest! {
    #[test]
    fn decoding_never_panics(start in proptest::collection::vec(0u8.., 0..80), length: u64, depth in 0u8..8,
                             data: u16, check: u16) {
        let mut plain = start.clone();
        plain.resize(SIZE, 0);
        let _ = Root::decode(&plain.clone().into());
        plain[..3].copy_from_slice(&[1, 0, depth]);
        plain[3..11].copy_from_slice(&(length % (2 * MAX_LENGTH)).to_be_bytes());
        plain[43..45].copy_from_slice(&(data % 300).to_be_bytes());
        plain[45..47].copy_from_slice(&(check % 300).to_be_bytes());
        plain[47] = 0;
        if let Ok(root) = Root::decode(&plain.clone().into()) {
            prop_assert!(root.body().len() <= SIZE && root.levels().len() == usize::from(depth));
            prop_assert_eq!(root.encode(), plain);
        }
    }
}
