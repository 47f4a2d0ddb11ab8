use super::*;
use crate::testing::instant;

#[test]
fn keys_are_known_for_their_time() {
    let mut cache = ReplayCache::new(10, &mut Rng::from_seed([0; 32]));
    let start = instant();
    assert!(cache.insert([1; 32], start));
    assert!(!cache.insert([1; 32], start));
    let almost = (start + ReplayCache::MEMORY).checked_sub(Duration::from_millis(1)).unwrap();
    assert!(cache.contains(&[1; 32], almost));
    assert!(!cache.contains(&[1; 32], start + ReplayCache::MEMORY));
    assert!(cache.is_empty());
    assert!(ReplayCache::MEMORY >= 2 * SKEW_MAX);
}

#[test]
fn memory_is_bounded_and_the_newest_stay() {
    let mut cache = ReplayCache::new(3, &mut Rng::from_seed([0; 32]));
    for n in 0..100 {
        assert!(cache.insert([n; 32], instant()));
        assert!(cache.len() <= 3);
    }
    assert!((97..100).all(|n| cache.contains(&[n; 32], instant())));
    assert_eq!(cache.ages.len(), 3);
}
