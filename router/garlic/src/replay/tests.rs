use super::*;
use crate::testing::{Clock, rng};

#[test]
fn dates_pass_from_five_minutes_ago_to_two_ahead() {
    let now = Date::from_seconds(1_000_000);
    for (seconds, passes) in [
        (999_699, false),
        (999_700, true),
        (1_000_000, true),
        (1_000_120, true),
        (1_000_121, false),
        (0, false),
    ] {
        assert_eq!(is_recent(now, seconds), passes, "{seconds}");
    }
    assert!(!is_recent(now, u32::MAX));
}

#[test]
fn keys_are_remembered_for_as_long_as_their_dates_pass_and_in_bounded_number() {
    let (mut clock, mut replays) = (Clock::new(), Replays::new(&mut rng(1)));
    let key = |number: u32| {
        let mut key = [0; 32];
        key[..4].copy_from_slice(&number.to_le_bytes());
        PublicKey(key)
    };
    replays.insert(clock.now().instant, &key(0));
    replays.insert(clock.pass(420_000).instant, &key(1));
    assert!(replays.contains(&key(0)) && replays.contains(&key(1)) && !replays.contains(&key(2)));
    replays.insert(clock.pass(1).instant, &key(2));
    assert!(!replays.contains(&key(0)) && replays.contains(&key(1)));
    for number in 3..20_000 {
        replays.insert(clock.now().instant, &key(number));
    }
    assert_eq!((replays.seen.len(), replays.order.len()), (KEYS, KEYS));
    assert!(replays.contains(&key(19_999)) && !replays.contains(&key(2)));
}

#[test]
fn the_allowance_refills_with_time() {
    let (mut clock, mut allowance) = (Clock::new(), Allowance::new());
    let now = clock.now().instant;
    assert_eq!((0..2000).filter(|_| allowance.take(now)).count() as u64, BURST);
    let now = clock.pass(400).instant;
    assert_eq!((0..2000).filter(|_| allowance.take(now)).count(), 100);
    let now = clock.pass(1_000_000).instant;
    assert_eq!((0..2000).filter(|_| allowance.take(now)).count() as u64, BURST);
    // Asking often does not keep it from refilling.
    let given = (0..1000).filter(|_| allowance.take(clock.pass(1).instant)).count();
    assert!((240..=250).contains(&given), "{given}");
}
