use proptest::prelude::*;

use super::*;
use crate::testing::NOON;

const PEER: RouterHash = RouterHash([1; 32]);
use Observation::{BuildAgreed, BuildRefused, BuildTimedOut, DialFailed, Linked, TestFailed, TestPassed};

fn after(observations: &[Observation]) -> ProfileView {
    let mut profiles = Profiles::new(10);
    for what in observations {
        profiles.observe(PEER, *what, NOON);
    }
    profiles.view(&PEER, NOON)
}

#[test]
fn good_routers_score_above_strangers_and_bad_ones_below() {
    let stranger = after(&[]).score;
    assert!((0.3..0.7).contains(&stranger));
    let good = after(&[BuildAgreed; 5]);
    assert!(good.score > stranger && good.proven);
    let better = after(&[BuildAgreed, BuildAgreed, TestPassed(Duration::from_millis(200))]);
    assert!(better.score > after(&[BuildAgreed, BuildAgreed]).score);
    assert_eq!(better.rtt, Some(Duration::from_millis(200)));
    for bad in [BuildRefused, BuildTimedOut, TestFailed] {
        assert!(after(&[bad; 5]).score < stranger * 0.6, "{bad:?}");
    }
    let slow = after(&[TestPassed(Duration::from_secs(5)); 3]);
    assert!(slow.score < after(&[TestPassed(Duration::from_millis(100)); 3]).score);
}

#[test]
fn dials_are_not_repeated_at_once() {
    let mut profiles = Profiles::new(10);
    profiles.observe(PEER, DialFailed, NOON);
    assert!(profiles.view(&PEER, NOON).dials_fail);
    assert!(!profiles.view(&PEER, NOON + Duration::from_secs(31)).dials_fail);
    for _ in 0..100 {
        profiles.observe(PEER, DialFailed, NOON);
    }
    assert!(profiles.view(&PEER, NOON + Duration::from_mins(59)).dials_fail);
    assert!(!profiles.view(&PEER, NOON + Duration::from_mins(61)).dials_fail);
    profiles.observe(PEER, Linked(Duration::from_millis(80)), NOON);
    let view = profiles.view(&PEER, NOON);
    assert_eq!((view.dials_fail, view.latency), (false, Some(Duration::from_millis(80))));
}

#[test]
fn the_past_fades() {
    let mut profiles = Profiles::new(10);
    for _ in 0..20 {
        profiles.observe(PEER, TestFailed, NOON);
    }
    let now = profiles.view(&PEER, NOON).score;
    let tomorrow = profiles.view(&PEER, NOON + Duration::from_hours(24)).score;
    let stranger = after(&[]).score;
    assert!(now < stranger / 3.0 && (tomorrow - stranger).abs() < 0.01);
    // A clock that goes back changes nothing.
    assert!((profiles.view(&PEER, NOON - Duration::from_hours(5)).score - now).abs() < 0.001);
    profiles.sweep(NOON + Duration::from_hours(80));
    assert!(profiles.is_empty());
}

#[test]
fn profiles_are_saved_and_restored() {
    let mut profiles = Profiles::new(10);
    profiles.observe(PEER, BuildAgreed, NOON);
    profiles.observe(PEER, TestPassed(Duration::from_millis(321)), NOON);
    profiles.observe(RouterHash([2; 32]), DialFailed, NOON);
    let saved = profiles.save().unwrap();
    let restored = Profiles::restore(&saved, 10).unwrap();
    assert_eq!(restored.profiles, profiles.profiles);
    assert_eq!(Profiles::restore(&saved, 1).unwrap().len(), 1);
    for garbage in [&b""[..], b"{}", b"[1]", b"[{\"router\":3}]"] {
        assert!(Profiles::restore(garbage, 10).is_err());
    }
    let odd = br#"[{"router":"zz","agreed":1},{"router":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=","agreed":-4e30,"future":1}]"#;
    let odd = Profiles::restore(odd, 10).unwrap();
    assert_eq!(odd.get(&PEER).map(|profile| profile.agreed), Some(0.0));
}

#[test]
fn the_number_is_bounded_and_the_useful_stay() {
    let mut profiles = Profiles::new(100);
    profiles.observe(PEER, BuildAgreed, NOON);
    for byte in 0..1000u16 {
        let mut hash = [9; 32];
        hash[..2].copy_from_slice(&byte.to_be_bytes());
        profiles.observe(RouterHash(hash), DialFailed, NOON);
        assert!(profiles.len() <= 100);
    }
    assert!(profiles.get(&PEER).is_some());
}

proptest! {
    #[test]
    fn scores_are_shares(counts: [f32; 6], rtt: Option<f32>, dials: u16, ahead in 0u64..1_000_000_000) {
        let [agreed, refused, timed_out, passed, failed, throughput] = counts;
        let profile = Profile { agreed, refused, timed_out, passed, failed, throughput, rtt, dial_failures: dials, ..Profile::default() };
        let view = profile.repaired().view(Date(ahead));
        prop_assert!((0.0..=1.0).contains(&view.score), "{}", view.score);
    }
}
