use super::*;
use crate::testing::instant;

fn backoff(limit: usize) -> Backoff {
    Backoff::new(limit, Delays::default(), Rng::from_seed([3; 32]))
}

#[test]
fn waits_double_up_to_the_longest_and_vary() {
    let mut backoff = backoff(10);
    let (peer, mut now) = (RouterHash([1; 32]), instant());
    let mut expected = 20.0;
    for _ in 0..12 {
        let wait = (backoff.failed(peer, now, Blame::Network) - now).as_secs_f64();
        assert!(wait >= expected * 0.75 && wait <= expected * 1.25, "{wait} for {expected}");
        assert!(backoff.until(&peer, now).is_some());
        now += Duration::from_secs_f64(wait);
        assert!(backoff.until(&peer, now).is_none());
        expected = f64::min(expected * 2.0, 1800.0);
    }
    backoff.succeeded(&peer);
    assert!((backoff.failed(peer, now, Blame::Network) - now).as_secs_f64() <= 25.0);
}

#[test]
fn old_failures_are_forgotten_and_blame_matters() {
    let mut backoff = backoff(10);
    let (peer, now) = (RouterHash([1; 32]), instant());
    backoff.failed(peer, now, Blame::Network);
    let later = now + Duration::from_hours(1);
    assert!((backoff.failed(peer, later, Blame::Network) - later).as_secs_f64() <= 25.0);
    assert!(backoff.failed(RouterHash([2; 32]), now, Blame::Peer) - now >= Duration::from_secs(225));
    assert!(backoff.failed(RouterHash([3; 32]), now, Blame::Local) - now <= Duration::from_secs(3));
}

#[test]
fn a_shorter_hold_does_not_cut_a_longer_one() {
    let mut backoff = backoff(10);
    let (peer, now) = (RouterHash([1; 32]), instant());
    let long = backoff.hold_off(peer, now, Duration::from_secs(1000));
    assert_eq!(backoff.hold_off(peer, now, Duration::from_secs(1)), long);
}

#[test]
fn memory_is_bounded() {
    for limit in [1, 2, 100] {
        let mut backoff = backoff(limit);
        for n in 0..1000_u32 {
            let mut hash = [0; 32];
            hash[..4].copy_from_slice(&n.to_be_bytes());
            let now = instant() + Duration::from_secs(u64::from(n % 7));
            backoff.failed(RouterHash(hash), now, Blame::Network);
            assert!(backoff.len() <= limit && !backoff.is_empty());
            assert!(backoff.until(&RouterHash(hash), now).is_some());
        }
    }
}

#[test]
fn a_hold_for_good_is_a_hold() {
    let (peer, now) = (RouterHash([1; 32]), instant());
    assert!(backoff(1).hold_off(peer, now, Duration::MAX) > now + Duration::from_hours(24));
}
