use super::*;
use crate::testing::{instant, rng};

const LIMIT: Limit = Limit { burst: 3, every: Duration::from_secs(1) };

#[test]
fn a_burst_is_paid_off_in_time() {
    let mut buckets = Buckets::new(LIMIT, 10, rng(1).hasher());
    let start = instant();
    let allowed = |buckets: &mut Buckets, at| (0..9).filter(|_| buckets.allow(&[1; 32], at)).count();
    assert_eq!(allowed(&mut buckets, start), 3);
    assert_eq!(allowed(&mut buckets, start + Duration::from_millis(999)), 0);
    assert_eq!(allowed(&mut buckets, start + Duration::from_millis(2500)), 2);
    assert_eq!(allowed(&mut buckets, start + Duration::from_millis(3001)), 1, "fractions are kept");
    assert_eq!(allowed(&mut buckets, start + Duration::from_hours(1)), 3);
    assert!(buckets.allow(&[2; 32], start));
}

#[test]
fn the_number_of_keys_is_bounded() {
    let mut buckets = Buckets::new(LIMIT, 10, rng(1).hasher());
    let start = instant();
    let allowed = (0..100u8).filter(|key| buckets.allow(&[*key; 32], start)).count();
    assert_eq!(allowed, 10);
    assert!(buckets.allow(&[3; 32], start), "those known may go on");
    assert!(buckets.allow(&[200; 32], start + Duration::from_secs(5)), "when they have paid there is room");
    assert!(buckets.debtors.len() <= 10);
}
