use super::*;
use crate::testing::{ms, start};

/// Bytes that leave in ten seconds if each wake-up comes on a whole millisecond.
fn sent(rate: f64) -> f64 {
    let begin = start();
    let mut pacer = Pacer::new();
    let (mut time, mut total) = (0, 0.0);
    while time < 10_000 {
        let now = begin + ms(time);
        while pacer.ready(now, rate, 18_000.0) {
            pacer.spend(1800.0);
            total += 1800.0;
        }
        let next = pacer.next(now, rate).saturating_duration_since(begin);
        assert!(next > ms(time));
        time = next.as_nanos().div_ceil(1_000_000) as u64;
    }
    total
}

#[test]
fn the_rate_is_kept() {
    for rate in [1e4, 1e5, 2e6, 4e7, 3e8] {
        let sent = sent(rate);
        assert!((sent - rate * 10.0).abs() < rate * 0.1 + 20_000.0, "{rate}: {sent}");
    }
}

#[test]
fn nothing_is_saved_up() {
    let now = start();
    let mut pacer = Pacer::new();
    assert!(pacer.ready(now, 1e6, 18_000.0));
    pacer.spend(18_000.0);
    let later = now + ms(60_000);
    let mut burst = 0;
    while pacer.ready(later, 1e6, 18_000.0) {
        pacer.spend(1800.0);
        burst += 1;
    }
    assert_eq!(burst, 10);
}
