use super::*;

#[test]
fn timestamps_are_rounded_to_the_nearest_second() {
    for (millis, seconds) in [(0, 0), (499, 0), (500, 1), (1499, 1), (1500, 2), (u64::MAX, u32::MAX)] {
        assert_eq!(nearest_second(Date(millis)), seconds);
    }
}

#[test]
fn travel_time_is_no_skew() {
    // Sent at 100 s by a clock that agrees with ours, three seconds on the way.
    let seen = Skew::observed(100, Date(103_000));
    assert_eq!(seen, Skew(-3000));
    assert_eq!(seen.after(Duration::from_secs(6)), Skew(0));
    assert_eq!(seen.after(Duration::from_mins(10)), Skew(2000));
}

#[test]
fn a_minute_either_way_is_allowed() {
    for millis in [-60_000, 0, 60_000] {
        assert!(!Skew(millis).excessive());
    }
    for millis in [-60_001, 60_001, i64::MIN, i64::MAX] {
        assert!(Skew(millis).excessive());
    }
    assert!(Skew::observed(u32::MAX, Date(0)).excessive());
    assert_eq!(Skew::observed(0, Date(u64::MAX)).0, -i64::MAX);
    assert_eq!(Skew(-1500).to_string(), "1.500 s behind");
}
