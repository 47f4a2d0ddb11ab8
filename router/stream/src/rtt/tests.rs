use super::*;
use crate::testing::{ms, start};

#[test]
fn mean_deviation_and_minimum() {
    let now = start();
    let mut rtt = Rtt::new();
    assert_eq!((rtt.smoothed(), rtt.minimum()), (None, None));
    assert_eq!(rtt.probe_timeout(ms(3500)), ms(3500));
    rtt.sample(now, 0.8);
    assert_eq!((rtt.smoothed(), rtt.minimum()), (Some(0.8), Some(0.8)));
    rtt.sample(now, 0.72);
    assert!((rtt.smoothed().unwrap() - 0.79).abs() < 1e-9);
    assert_eq!(rtt.minimum(), Some(0.72));
    for _ in 0..100 {
        rtt.sample(now, 0.7);
    }
    assert!(rtt.probe_timeout(ms(0)) > ms(800) && rtt.probe_timeout(ms(0)) < ms(1000));
}

#[test]
fn lateness_is_remembered_for_a_while() {
    let now = start();
    let mut rtt = Rtt::new();
    rtt.sample(now, 0.7);
    assert!((rtt.reordering() - 0.175).abs() < 1e-9, "a quarter of the round trip before anything is known");
    rtt.overtaken(now, 0.3);
    assert!((rtt.reordering() - 0.375).abs() < 1e-9);
    rtt.overtaken(now, 30.0);
    assert!((rtt.reordering() - 1.75).abs() < 1e-9, "never more than two and a half round trips");
    let mut later = now;
    for _ in 0..4 {
        later += ms(12_000);
        rtt.sample(later, 0.7);
    }
    assert!((rtt.reordering() - 0.175).abs() < 1e-9);
}

#[test]
fn an_old_minimum_is_measured_anew() {
    let now = start();
    let mut rtt = Rtt::new();
    rtt.sample(now, 0.5);
    rtt.sample(now + ms(15_000), 0.51);
    assert!(!rtt.minimum_is_old(now + ms(30_000)), "nearly the same counts");
    rtt.sample(now + ms(31_000), 0.9);
    assert!(rtt.minimum_is_old(now + ms(36_000)));
    rtt.renew_minimum(now + ms(36_000), 0.9);
    assert_eq!(rtt.minimum(), Some(0.9));
    assert!(!rtt.minimum_is_old(now + ms(37_000)));
}
