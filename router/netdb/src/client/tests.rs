use allium_wire::{DestinationKeys, RouterKeys};

use super::*;
use crate::testing::{NOON, Says, lease_set, rng};

const TEN: Duration = Duration::from_mins(10);

#[test]
fn the_newest_lease_set_is_kept_until_it_ends() {
    let mut db = ClientDb::new(5);
    let keys = DestinationKeys::generate(&mut rng(1));
    let set = |after| LeaseSet::V2(lease_set(&keys, NOON + Duration::from_secs(after), TEN, &mut rng(2)));
    assert!(db.insert_lease_set(set(5), NOON));
    assert!(!db.insert_lease_set(set(5), NOON) && !db.insert_lease_set(set(4), NOON));
    assert!(db.insert_lease_set(set(6), NOON));
    let hash = keys.destination().dest_hash();
    assert!(db.lease_set(&hash, NOON + TEN).is_some());
    assert!(db.lease_set(&hash, NOON + TEN + Duration::from_secs(6)).is_none());
    assert!(!db.insert_lease_set(set(7), NOON + 2 * TEN), "ended already");
    db.remove_lease_set(&hash);
    assert!(db.is_empty());
}

#[test]
fn both_kinds_are_bounded() {
    let mut db = ClientDb::new(5);
    let mut rng = rng(1);
    for after in 0..20 {
        let at = NOON + Duration::from_secs(after);
        let keys = DestinationKeys::generate(&mut rng);
        assert!(db.insert_lease_set(LeaseSet::V2(lease_set(&keys, at, TEN, &mut rng)), NOON));
        assert!(db.lease_set(&keys.destination().dest_hash(), NOON).is_some());
        let router = RouterKeys::generate(&mut rng);
        db.insert_router(Arc::new(Says::floodfill(at).sign(&router)), at);
        assert!(db.router(&router.hash()).is_some());
    }
    assert_eq!((db.len(), db.routers().count()), (10, 5));
    db.expire(NOON + Duration::from_hours(2));
    assert!(db.is_empty());
}
