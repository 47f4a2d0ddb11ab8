use super::*;
use crate::clock::Clock;

const STEP: Duration = Duration::from_millis(20);

fn start() -> Instant {
    Clock::system().now().instant
}

/// Attempts within a time on a link that is given more than it carries.
fn attempts(mut rate: f64, gain: f64, seconds: u64) -> usize {
    let (mut backlog, mut now) = (Backlog::default(), start());
    let end = now + Duration::from_secs(seconds);
    let mut count = 0;
    while now < end {
        now += STEP;
        if backlog.wrote(now, (rate * STEP.as_secs_f64()) as u64, 1 << 20) {
            count += 1;
            rate *= gain;
        }
    }
    count
}

#[test]
fn attempts_that_help_are_repeated_soon_and_others_hardly() {
    assert!(attempts(1e5, 2.0, 10) >= 5);
    let useless = attempts(1e5, 1.0, 600);
    assert!((3..=16).contains(&useless), "{useless}");
}

#[test]
fn a_short_backlog_is_none() {
    let (mut backlog, mut now) = (Backlog::default(), start());
    for round in 0..1000 {
        now += STEP;
        let waiting = if round % 4 == 0 { 0 } else { 1 << 20 };
        assert!(!backlog.wrote(now, 1000, waiting));
    }
}

#[test]
fn much_after_little_looks_for_bandwidth_once() {
    let (mut backlog, mut now) = (Backlog::default(), start());
    assert!(!backlog.writes(now, 1 << 20), "the connection is new");
    for _ in 0..30 {
        now += Duration::from_millis(200);
        assert!(!backlog.writes(now, 2000));
    }
    assert!(backlog.writes(now, 1 << 16));
    assert!(!backlog.writes(now + STEP, 1 << 16));
}
