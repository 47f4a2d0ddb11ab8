use std::hash::BuildHasher;

use proptest::prelude::*;

use crate::{HashMap, Rng};

#[test]
fn one_seed_gives_one_sequence() {
    let draw = |seed| {
        let mut rng = Rng::from_seed([seed; 32]);
        let mut child = rng.fork();
        let mut buffer = [0; 7];
        rng.fill(&mut buffer);
        (rng.u32(), rng.u64(), child.u64(), buffer, rng.array::<9>(), rng.hasher().hash_one(5))
    };
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
}

#[test]
fn forks_are_independent() {
    let mut rng = Rng::from_seed([3; 32]);
    let (mut a, mut b) = (rng.fork(), rng.fork());
    let drawn = [rng.u64(), a.u64(), b.u64()];
    assert!(drawn[0] != drawn[1] && drawn[1] != drawn[2] && drawn[0] != drawn[2]);
    let before = b.u64();
    a.fill(&mut [0; 1000]);
    let mut again = Rng::from_seed([3; 32]);
    let _ = again.fork();
    let mut b_again = again.fork();
    assert_eq!((b_again.u64(), b_again.u64()), (drawn[2], before));
}

#[test]
fn below_is_fair_and_in_range() {
    let mut rng = Rng::from_seed([4; 32]);
    assert_eq!((rng.below(0), rng.below(1)), (0, 0));
    let mut counts = [0u32; 6];
    for _ in 0..60_000 {
        counts[rng.below(6) as usize] += 1;
    }
    assert!(counts.iter().all(|n| (9_500..10_500).contains(n)), "{counts:?}");
    // Three quarters of 2^64: without redrawing, a third of the numbers would come twice as often.
    let n = 3 << 62;
    let low = (0..30_000).filter(|_| rng.below(n) < n / 3).count();
    assert!((9_500..10_500).contains(&low), "{low}");
}

#[test]
fn chances() {
    let mut rng = Rng::from_seed([5; 32]);
    assert!((0..1000).all(|_| rng.chance(1.0) && !rng.chance(0.0) && !rng.chance(f64::NAN)));
    let hits = (0..10_000).filter(|_| rng.chance(0.25)).count();
    assert!((2_300..2_700).contains(&hits), "{hits}");
    assert!((0..1000).all(|_| (0.0..1.0).contains(&rng.unit())));
}

#[test]
fn choose_and_shuffle() {
    let mut rng = Rng::from_seed([6; 32]);
    assert_eq!(rng.choose::<u8>(&[]), None);
    let mut firsts = [0u32; 4];
    for _ in 0..4000 {
        let mut items = [0, 1, 2, 3];
        rng.shuffle(&mut items);
        firsts[items[0]] += 1;
        items.sort_unstable();
        assert_eq!(items, [0, 1, 2, 3]);
        assert!(rng.choose(&items).is_some());
    }
    assert!(firsts.iter().all(|n| (850..1150).contains(n)), "{firsts:?}");
}

#[test]
fn maps_of_one_seed_have_one_order() {
    let order = |seed| {
        let mut map = HashMap::with_hasher(Rng::from_seed([seed; 32]).hasher());
        map.extend((0..100u32).map(|n| (n, n)));
        map.into_keys().collect::<Vec<_>>()
    };
    assert_eq!(order(1), order(1));
    assert_ne!(order(1), order(2));
}

#[test]
fn debug_shows_no_state() {
    let mut rng = Rng::from_seed([7; 32]);
    assert_eq!(format!("{:?} {:?}", rng.hasher(), rng), "Seeded { .. } Rng { .. }");
}

proptest! {
    #[test]
    fn range_stays_inside(seed: [u8; 32], start: u64, end: u64) {
        let drawn = Rng::from_seed(seed).range(start..end);
        prop_assert!(drawn == start || (start..end).contains(&drawn));
    }
}
