use super::*;
use crate::clock::Clock;

fn after(start: Now, millis: u64) -> Now {
    let time = Duration::from_millis(millis);
    Now { instant: start.instant + time, date: start.date + time }
}

fn start() -> Now {
    Clock::system().now()
}

#[test]
fn silence_casts_doubt_on_the_tunnels_and_then_on_the_lease_set() {
    let start = start();
    let mut peer = Peer::new(start.instant);
    let mut ask = |millis, again| peer.ask(after(start, millis).instant, again);
    let (quiet, doubt) = (Silence::default(), Silence { doubt: true, refresh: false });
    assert_eq!(ask(0, false), quiet);
    assert_eq!(ask(1000, true), quiet, "an answer may still come");
    assert_eq!(ask(1400, false), quiet, "nothing was sent again");
    assert_eq!(ask(2000, true), doubt);
    assert_eq!(ask(3000, true), quiet, "the tests are under way");
    assert_eq!(ask(4500, true), Silence { doubt: false, refresh: true });
    assert_eq!(ask(6100, true), doubt);
    assert_eq!(ask(9600, true), Silence { doubt: false, refresh: true });
    peer.hear(after(start, 10_000).instant);
    assert_eq!(peer.ask(after(start, 20_000).instant, true), quiet, "a new silence");
}

#[test]
fn datagrams_that_nobody_answers_cast_doubt_once() {
    let start = start();
    let mut peer = Peer::new(start.instant);
    let doubts = |peer: &mut Peer, times: &[u64]| {
        times.iter().filter(|millis| peer.post(after(start, **millis)).doubt).copied().collect::<Vec<_>>()
    };
    assert_eq!(doubts(&mut peer, &[0, 2000, 3500, 5000, 60_000]), [3500]);
    peer.hear(after(start, 61_000).instant);
    assert_eq!(doubts(&mut peer, &[70_000, 74_000, 80_000]), [74_000]);
}
