use super::*;
use crate::testing::instant;

#[test]
fn the_later_direction_counts_and_crowds_shorten_the_time() {
    let policy = TerminationPolicy::default();
    let start = instant();
    let activity = Activity { received: start, sent: start + Duration::from_secs(10) };
    assert_eq!(policy.idle_at(activity, 1), start + Duration::from_secs(310));
    assert_eq!(policy.idle_at(activity, 1001), start + Duration::from_secs(125));
    assert!(!policy.is_idle(activity, 1, start + Duration::from_secs(309)));
    assert!(policy.is_idle(activity, 1, start + Duration::from_secs(310)));
}
