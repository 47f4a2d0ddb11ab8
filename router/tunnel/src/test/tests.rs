use super::*;
use crate::testing::now_at;

fn pair(n: u32) -> Pairing<u32> {
    Pairing { tested: n, partner: 1000 + n }
}

fn begin(tests: &mut TunnelTests<u32>, at: u64, n: u32) -> u32 {
    let message = tests.begin(now_at(at), pair(n)).unwrap();
    DeliveryStatus::decode(&message.body).unwrap().id
}

#[test]
fn a_test_passes_once_and_measures_the_round_trip() {
    let mut tests = TunnelTests::new(Rng::from_seed([1; 32]));
    let nonce = begin(&mut tests, 0, 7);
    assert_eq!(tests.arrived(now_at(700), nonce ^ 1), None);
    let passed = tests.arrived(now_at(700), nonce).unwrap();
    assert_eq!(passed, Passed { pairing: pair(7), rtt: Duration::from_millis(700), late: false });
    assert_eq!(tests.arrived(now_at(701), nonce), None);
    assert!(tests.is_empty());
}

#[test]
fn a_lost_test_is_reported_once_and_may_still_come_late() {
    let mut tests = TunnelTests::new(Rng::from_seed([2; 32]));
    let nonce = begin(&mut tests, 0, 1);
    let due = tests.deadline().unwrap();
    assert_eq!(tests.expired(now_at(1000)), None);
    let now = now_at(10_000);
    assert!(due <= now.instant);
    assert_eq!(tests.expired(now), Some(pair(1)));
    assert_eq!(tests.expired(now), None);
    assert_eq!(tests.deadline(), None);
    assert!(tests.arrived(now_at(12_000), nonce).unwrap().late);
    begin(&mut tests, 20_000, 2);
    assert!(tests.expired(now_at(90_000)).is_some());
    assert!(tests.expired(now_at(190_000)).is_none());
    assert!(tests.is_empty(), "forgotten in the end");
}

#[test]
fn tests_are_bounded_and_go_with_their_tunnel() {
    let mut tests = TunnelTests::new(Rng::from_seed([3; 32]));
    for n in 0..MOST as u32 {
        assert!(tests.begin(now_at(0), pair(n % 10)).is_some());
    }
    assert!(tests.begin(now_at(0), pair(3)).is_none());
    tests.forget(3);
    assert!(tests.len() < MOST);
    tests.forget(1004);
    assert!(tests.begin(now_at(0), pair(3)).is_some());
}
