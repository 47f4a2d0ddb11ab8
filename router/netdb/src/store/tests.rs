use allium_wire::{DestinationKeys, RouterKeys};

use super::*;
use crate::testing::{NOON, Says, lease_set, rng};

fn record(keys: &DestinationKeys, date: Date) -> LeaseSetRecord {
    LeaseSetRecord::from(&lease_set(keys, date, Duration::from_mins(10), &mut rng(3)))
}

#[test]
fn only_news_is_kept() {
    let mut routers = Routers::new(10, rng(1).hasher());
    let keys = RouterKeys::generate(&mut rng(2));
    let mut offer = |says: Says| routers.insert(Arc::new(says.sign(&keys)));
    assert_eq!(offer(Says::floodfill(NOON)), Offered::New);
    assert_eq!(offer(Says::router(NOON)), Offered::Old);
    assert_eq!(offer(Says::router(NOON - Duration::from_secs(9))), Offered::Old);
    assert_eq!(offer(Says::router(NOON + Duration::from_secs(9))), Offered::Newer);
    assert_eq!(routers.floodfills().count(), 0, "it is no floodfill any more");
    assert_eq!(routers.len(), 1);
}

#[test]
fn the_eldest_are_evicted_but_for_those_to_keep() {
    let mut routers = Routers::new(100, rng(1).hasher());
    let mut rng = rng(2);
    let hashes: Vec<RouterHash> = (0..100u64)
        .map(|age| {
            let keys = RouterKeys::generate(&mut rng);
            routers.insert(Arc::new(Says::router(NOON - Duration::from_mins(age)).sign(&keys)));
            keys.hash()
        })
        .collect();
    let evicted = routers.evict(NOON, |hash| *hash == hashes[99]);
    assert_eq!(evicted, hashes[93..99].iter().rev().copied().collect::<Vec<_>>());
    assert_eq!(routers.len(), 94);
    assert!(routers.evict(NOON, |_| false).is_empty(), "not full");
    let expired = routers.expire(NOON - Duration::from_mins(50), |hash| *hash == hashes[60]);
    assert_eq!(expired.len() + routers.len(), 94);
    assert!(routers.get(&hashes[60]).is_some() && routers.get(&hashes[61]).is_none());
    assert!(routers.get(&hashes[50]).is_some());
}

#[test]
fn lifetimes_shrink() {
    let hours: Vec<u64> =
        [0, 119, 120, 210, 299, 1000, 3000, 9000].map(|n| lifetime(n).as_secs() / 3600).into();
    assert_eq!(hours, [72, 72, 72, 51, 31, 30, 12, 4]);
}

#[test]
fn lease_sets_are_replaced_by_newer_ones_and_end() {
    let own = RouterHash([4; 32]);
    let mut sets = LeaseSets::new(10);
    let keys = DestinationKeys::generate(&mut rng(5));
    let second = NOON + Duration::from_secs(1);
    assert_eq!(sets.insert(record(&keys, NOON), &own, NOON), Offered::New);
    assert_eq!(sets.insert(record(&keys, NOON), &own, NOON), Offered::Old);
    assert_eq!(sets.insert(record(&keys, second), &own, NOON), Offered::Newer);
    assert_eq!(sets.insert(record(&keys, NOON), &own, NOON), Offered::Old);
    let key = keys.destination().hash();
    assert_eq!(sets.get(&key, NOON).map(|set| set.published), Some(second));
    let end = NOON + Duration::from_mins(11);
    assert!(sets.get(&key, end).is_none());
    sets.expire(end);
    assert_eq!(sets.len(), 0);
}

#[test]
fn the_farthest_lease_sets_go_first() {
    let own = RouterHash([4; 32]);
    let mut sets = LeaseSets::new(10);
    let mut rng = rng(5);
    let mut keys: Vec<[u8; 32]> = (0..30)
        .map(|_| {
            let keys = DestinationKeys::generate(&mut rng);
            sets.insert(record(&keys, NOON), &own, NOON);
            assert!(sets.len() <= 10);
            keys.destination().hash()
        })
        .collect();
    keys.sort_by_key(|key| distance(&routing_key(key, NOON).0, &own.0));
    assert!(keys[..10].iter().all(|key| sets.get(key, NOON).is_some()));
}
