use proptest::prelude::*;

use super::*;
use crate::testing::NOON;

#[test]
fn keys_follow_the_date() {
    // SHA-256 of 32 zero bytes and "20261123", and of "20261124".
    let today = routing_key(&[0; 32], NOON);
    assert_eq!(today.0[..4], TODAY);
    let tomorrow = tomorrows_key(&[0; 32], NOON);
    assert_eq!(tomorrow.0[..4], TOMORROW);
    let midnight = NOON + Duration::from_hours(12);
    assert_eq!(routing_key(&[0; 32], midnight - Duration::from_millis(1)), today);
    assert_eq!(routing_key(&[0; 32], midnight), tomorrow);
}

const TODAY: [u8; 4] = [0x7a, 0xde, 0x24, 0xe0];
const TOMORROW: [u8; 4] = [0x82, 0x5d, 0x4e, 0xeb];

proptest! {
    #[test]
    fn the_closest_come_first(target: [u8; 32], hashes in prop::collection::vec(any::<[u8; 32]>(), 0..40), count in prop_oneof![0usize..12, 60usize..70]) {
        let mut expected: Vec<RouterHash> = hashes.iter().map(|hash| RouterHash(*hash)).collect();
        let got = closest(&RoutingKey(target), expected.iter().copied(), count);
        expected.sort_by_key(|hash| distance(&hash.0, &target));
        expected.truncate(count);
        prop_assert_eq!(got, expected);
    }

    #[test]
    fn distance_is_a_metric(a: [u8; 32], b: [u8; 32]) {
        prop_assert_eq!(distance(&a, &b), distance(&b, &a));
        prop_assert_eq!(distance(&a, &a), Distance([0; 32]));
    }
}
