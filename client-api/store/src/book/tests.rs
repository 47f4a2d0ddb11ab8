use allium_crypto::Rng;
use proptest::prelude::*;

use super::*;
use crate::testing::start;

fn book(seed: u8, count: usize, most: usize) -> (Book, Rng) {
    let mut rng = Rng::from_seed([seed; 32]);
    let mut book = Book::new(Place(rng.array()), most, 64);
    for _ in 0..count {
        book.add(start().instant, DestHash(rng.array()));
    }
    (book, rng)
}

proptest! {
    #[test]
    fn the_closest_are_the_closest(seed: u8, count in 0usize..300, n in 0usize..20, point: [u8; 32], odd: bool) {
        let (book, _) = book(seed, count, 1024);
        let keep = |peer: &Peer| !odd || peer.node.0[0] % 2 == 1;
        let found: Vec<_> = book.closest(&point, n, keep).iter().map(|peer| peer.node).collect();
        let mut all: Vec<_> = book.iter().filter(|peer| keep(peer)).collect();
        all.sort_by_key(|peer| distance(&peer.place.0, &point));
        prop_assert_eq!(found, all.iter().take(n).map(|peer| peer.node).collect::<Vec<_>>());
    }
}

#[test]
fn a_full_book_keeps_near_peers_and_drops_crowds() {
    let (mut book, mut rng) = book(1, 64, 64);
    for peer in book.iter().map(|peer| peer.node).collect::<Vec<_>>() {
        book.answered(start().instant, peer, None);
    }
    let center = book.center;
    let mut near = DestHash(rng.array());
    while shared(&Place::of(&near).0, &center.0) < 8 {
        near = DestHash(rng.array());
    }
    assert!(book.add(start().instant, near), "a near stranger is taken in");
    let mut far = DestHash(rng.array());
    while shared(&Place::of(&far).0, &center.0) > 0 {
        far = DestHash(rng.array());
    }
    assert!(!book.add(start().instant, far), "a far one is not, where all are live");
    assert_eq!(book.len(), 64);
    assert_eq!(book.places.len(), 64);
}

#[test]
fn silence_counts_only_while_others_answer() {
    let (mut book, _) = book(2, 2, 64);
    let [quiet, other] = book.iter().map(|peer| peer.node).collect::<Vec<_>>()[..] else { panic!() };
    let asked = start().instant + ALONE + Duration::from_secs(1);
    let later = asked + Duration::from_secs(1);
    book.answered(start().instant, quiet, None);
    book.answered(start().instant, other, None);
    for _ in 0..10 {
        assert!(!book.silent(later, &quiet, asked), "nobody answered since");
    }
    book.answered(later, other, None);
    for _ in 0..10 {
        assert!(!book.silent(later, &quiet, asked), "what is given up at once counts once");
    }
    assert!(book.silent(later + AT_ONCE, &quiet, asked), "the second time it is gone");
    assert!(!book.get(&quiet).unwrap().is_live(later));
    assert!(book.answered(later, quiet, None), "and news when it is back");
    assert!(book.get(&quiet).unwrap().is_live(later));
}

#[test]
fn a_liar_is_left_alone_longer_each_time() {
    let (mut book, _) = book(3, 1, 64);
    let liar = book.iter().next().unwrap().node;
    let now = start().instant;
    book.answered(now, liar, None);
    book.shun(now, &liar);
    assert!(!book.get(&liar).unwrap().is_live(now + SHUNNED / 2));
    assert!(book.get(&liar).unwrap().is_live(now + SHUNNED));
    book.shun(now, &liar);
    assert!(!book.get(&liar).unwrap().is_live(now + SHUNNED));
}
