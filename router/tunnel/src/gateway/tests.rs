use super::*;
use crate::testing::{hash, rng};
use allium_wire::Reader;
use allium_wire::tunnel::content_at;
use proptest::prelude::*;

fn targets() -> [Target; 3] {
    [Target::Local, Target::Router(hash(1)), Target::Tunnel { gateway: hash(2), tunnel: TunnelId(3) }]
}

fn pack(items: &[(Target, &[u8])]) -> Vec<BytesMut> {
    Packer::new(rng(1)).pack(TunnelId(5), items).unwrap()
}

/// The fragments in a message: how many, and their bytes together.
fn content(page: &BytesMut) -> (usize, usize) {
    let mut reader = Reader::new(&page[content_at(page).unwrap()..]);
    let (mut count, mut bytes) = (0, 0);
    while reader.remaining() > 0 {
        let (_, size) = Instructions::decode(&mut reader).unwrap();
        reader.take(size).unwrap();
        (count, bytes) = (count + 1, bytes + size);
    }
    (count, bytes)
}

#[test]
fn the_limits_of_a_page_are_the_specifications() {
    let tunnel = targets()[2];
    assert_eq!(pack(&[(tunnel, &[1; 964])]).len(), 1);
    assert_eq!(pack(&[(tunnel, &[1; 965])]).len(), 2);
    let two = pack(&[(tunnel, &[1; 960 + 996])]);
    assert_eq!(two.iter().map(content).collect::<Vec<_>>(), [(1, 960), (1, 996)]);
    assert_eq!(pack(&[(tunnel, &[1; 960 + 997])]).len(), 3);
    assert_eq!(pack(&[(Target::Local, &[1; 1000])]).len(), 1);
    let large = vec![1; LARGEST + 1];
    assert_eq!(pack(&[(tunnel, &large[1..])]).len(), 64);
    assert_eq!(Packer::new(rng(1)).pack(TunnelId(5), &[(tunnel, &large[..])]), Err(Error::TooLong));
}

#[test]
fn messages_given_together_share_pages() {
    let small = [0u8; 100];
    let pages = pack(&[(Target::Local, &small[..]); 9]);
    assert_eq!(pages.iter().map(content).collect::<Vec<_>>(), [(9, 900)]);
    let medium = [0u8; 700];
    let pages = pack(&[(Target::Local, &medium[..]); 7]);
    assert_eq!(pages.len(), 5, "4900 bytes and instructions fill five pages");
    let pages = pack(&[(Target::Local, &medium[..]); 2]);
    assert_eq!(
        pages.iter().map(content).collect::<Vec<_>>(),
        [(1, 700), (1, 700)],
        "splitting would gain nothing"
    );
}

#[test]
fn padding_is_random_and_never_zero() {
    let mut packer = Packer::new(rng(2));
    let mut ivs = std::collections::BTreeSet::new();
    for _ in 0..50 {
        let page = packer.pack(TunnelId(5), &[(Target::Local, &[0; 20][..])]).unwrap().remove(0);
        assert_eq!(page[..4], [0, 0, 0, 5]);
        assert_eq!(content_at(&page), Ok(DATA - 23));
        assert!(page[24..DATA - 24].iter().all(|byte| *byte != 0));
        ivs.insert(page[4..20].to_vec());
    }
    assert_eq!(ivs.len(), 50);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_is_lost_and_no_page_is_wasted(sizes in proptest::collection::vec((0usize..3, 1usize..5000), 1..12)) {
        let bodies: Vec<Vec<u8>> = sizes.iter().map(|(_, size)| vec![7; *size]).collect();
        let items: Vec<(Target, &[u8])> =
            sizes.iter().zip(&bodies).map(|((target, _), body)| (targets()[*target], &body[..])).collect();
        let pages = pack(&items);
        let total: usize = sizes.iter().map(|s| s.1).sum();
        prop_assert_eq!(pages.iter().map(|p| content(p).1).sum::<usize>(), total);
        prop_assert!(pages.iter().all(|p| p.len() == DATA));
        prop_assert!(pages.len() <= total / 850 + 2 + sizes.len() / 8, "{} pages for {} bytes", pages.len(), total);
    }
}
