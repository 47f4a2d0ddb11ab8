//! Bursts of losses on a path that is known to be fast.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::testing::link::Link;
use crate::testing::{Sim, ms};
use crate::{Config, ConnectionId};

const MB: u64 = 1_000_000;
const BURST: u64 = 5500;
/// Round trips that it takes without losses.
const USUAL: f64 = 3.4;
/// A round trip, in seconds.
const ROUND: f64 = 0.72;

/// Three hops each way, all packets striped over four tunnels.
fn striped() -> Link {
    Link { delay: ms(345), jitter: ms(10), hops: 3, spray: true, ..Link::default() }
}

/// A pair of hosts whose path from the first to the second is as warm as it gets.
fn warm(link: &Link) -> Sim {
    let mut sim = Sim::new(21, link, [Config::default(), Config::default()]);
    let id = sim.upload(80 * MB);
    sim.run(Duration::from_secs(120), |sim| sim.sides[1].app.received() == 80 * MB);
    assert_eq!(sim.sides[0].host.stats(id).map(|stats| stats.peer_window), Some(4096));
    sim.run_for(ms(3000));
    sim
}

/// Sends the burst over a warm path; how long that took, in round trips.
fn burst(link: &Link, doomed: BTreeSet<u64>, again: f64) -> (Sim, ConnectionId, f64) {
    let mut sim = warm(link);
    sim.sides[0].link.doomed = doomed;
    sim.sides[0].link.doomed_again = again;
    let total = 80 * MB + BURST * 1812;
    let id = sim.upload(BURST * 1812);
    let time = sim.run(Duration::from_secs(120), |sim| sim.sides[1].app.received() == total);
    (sim, id, time.as_secs_f64() / ROUND)
}

/// Loses some of a burst, and checks how many round trips longer it takes than without losses, and how many
/// packets are sent in vain.
fn recovers(doomed: impl IntoIterator<Item = u64>, again: f64, rounds: f64, vain: u64) {
    let doomed: BTreeSet<u64> = doomed.into_iter().collect();
    for link in [striped(), Link { disorder: true, tunnels: 6, jitter: ms(30), ..striped() }] {
        let (sim, id, time) = burst(&link, doomed.clone(), again);
        let resent = sim.sides[0].host.stats(id).map_or(0, |stats| stats.retransmits);
        let lost = sim.sides[0].link.state.dropped;
        assert!(time < USUAL + rounds, "{time} round trips");
        assert!(resent < lost + vain, "{resent} sent again of {lost}");
    }
}

#[test]
fn one_run_is_lost() {
    recovers(2000..2500, 0.0, 4.0, 800);
    recovers(4900..5400, 0.0, 4.0, 800);
    recovers(1..501, 0.0, 4.0, 800);
    recovers(2000..4000, 0.0, 8.0, 2500);
}

#[test]
fn runs_are_lost_here_and_there() {
    recovers((0..500).map(|n| 1000 + n / 24 * 200 + n % 24), 0.0, 4.0, 200);
    recovers((0..2000).map(|n| 500 + n / 24 * 48 + n % 24), 0.0, 8.0, 2500);
}

#[test]
fn more_gaps_than_a_report_can_name() {
    recovers((0..500).map(|n| 1000 + n * 5), 0.0, 4.0, 800);
    recovers((0..500).map(|n| 1000 + n * 2), 0.0, 4.0, 800);
    recovers((0..2000).map(|n| 1000 + n * 2), 0.0, 8.0, 2500);
}

#[test]
fn the_end_is_lost_as_well() {
    recovers((2000..2300).chain(5300..5500), 0.0, 4.0, 800);
    recovers(5000..5500, 0.0, 4.0, 800);
    recovers(3500..5500, 0.0, 8.0, 2500);
}

#[test]
fn what_is_sent_again_is_lost_again() {
    recovers(2000..2500, 0.1, 8.0, 1000);
    recovers((0..500).map(|n| 1000 + n * 5), 0.1, 8.0, 1000);
    recovers(2000..4000, 0.1, 12.0, 3000);
}

/// The most bytes that leave in any tenth of a second, and how many seconds the transfer takes.
fn leaving(sim: &mut Sim, total: u64) -> (u64, f64) {
    let goal = sim.sides[1].app.received() + total;
    sim.upload(total);
    let (mut most, mut marks) = (0, std::collections::VecDeque::new());
    let time = sim.run(Duration::from_secs(60), |sim| {
        let bytes = sim.sides[0].link.state.bytes;
        marks.push_back((sim.elapsed, bytes));
        while marks.front().is_some_and(|&(at, _)| at + ms(100) < sim.elapsed) {
            marks.pop_front();
        }
        most = most.max(marks.front().map_or(0, |&(_, before)| bytes - before));
        sim.sides[1].app.received() == goal
    });
    (most, time.as_secs_f64())
}

#[test]
fn what_is_remembered_does_not_leave_at_once() {
    let bandwidth = Some(5.5e6);
    let mut sim =
        Sim::new(5, &Link { bandwidth, queue: 8e6, ..striped() }, [Config::default(), Config::default()]);
    sim.sides[1].link = striped();
    let id = sim.upload(60 * MB);
    sim.run(Duration::from_secs(60), |sim| sim.sides[1].app.received() == 60 * MB);
    for pause in [100, 900, 4000, 4000] {
        sim.run_for(ms(pause));
        sim.sides[0].link.state.longest_queue = Duration::ZERO;
        let estimate = sim.sides[0].host.stats(id).map_or(0.0, |stats| stats.bandwidth);
        let (most, time) = leaving(&mut sim, 10 * MB);
        assert!(estimate > 3.5e6 && estimate < 6.2e6, "{estimate}");
        assert!((most as f64) < 5.5e5 * 1.4 + 64.0 * 1836.0, "{most} bytes in 0.1 s");
        assert!(time < 4.6, "{time}");
    }
}

#[test]
fn acknowledgements_in_lumps_do_not_look_like_speed() {
    for lumps in [0, 100, 250] {
        let forth = Link { bandwidth: Some(5.5e6), queue: 20e6, ..striped() };
        let mut sim = Sim::new(5, &forth, [Config::default(), Config::default()]);
        sim.sides[1].link = Link { lumps: ms(lumps), ..striped() };
        let id = sim.upload(300 * MB);
        let mut most: f64 = 0.0;
        sim.run(Duration::from_secs(60), |sim| {
            most = most.max(sim.sides[0].host.stats(id).map_or(0.0, |stats| stats.bandwidth));
            sim.sides[1].app.received() > 80 * MB
        });
        assert!(most < 5.2e6 * 1.2 && most > 4.5e6, "{most} with {lumps}");
    }
}

#[test]
fn a_path_that_was_never_full_is_not_flooded() {
    let mut sim = warm(&striped());
    let known = sim.sides[0].host.connections().find_map(|id| sim.sides[0].host.stats(id));
    let known = known.map_or(0.0, |stats| stats.bandwidth);
    let (most, time) = leaving(&mut sim, 10 * MB);
    assert!((most as f64) < known / 10.0 * 1.25 + 64.0 * 1836.0, "{most} bytes in 0.1 s of {known} B/s");
    assert!(time < 3.5 * ROUND, "{time}");
}

#[test]
fn short_transfers_in_lumps_do_not_look_like_speed() {
    let mut most: f64 = 0.0;
    let forth = Link { bandwidth: Some(5.5e6), queue: 20e6, lumps: ms(200), ..striped() };
    let mut sim = Sim::new(5, &forth, [Config::default(), Config::default()]);
    sim.sides[1].link = Link { lumps: ms(250), ..striped() };
    for round in 1..6 {
        let id = sim.upload(10 * MB);
        sim.run(Duration::from_secs(60), |sim| {
            most = most.max(sim.sides[0].host.stats(id).map_or(0.0, |stats| stats.bandwidth));
            sim.sides[1].app.received() == round * 10 * MB
        });
        sim.run_for(ms(2000));
    }
    assert!(most < 5.2e6 * 1.2 && most > 4.0e6, "{most}");
}

#[test]
fn near_by_eight_streams_are_as_fast_as_one() {
    for delay in [1, 3, 10] {
        let link = Link { delay: ms(delay), bandwidth: Some(30e6), queue: 20e6, ..Link::default() };
        let mut rates = Vec::new();
        for streams in [1, 8] {
            let mut sim = Sim::new(5, &link, [Config::default(), Config::default()]);
            sim.sides[1].link.bandwidth = None;
            for _ in 0..streams {
                sim.upload(80 * MB / streams);
            }
            let time = sim.run(Duration::from_secs(60), |sim| sim.sides[1].app.received() == 80 * MB);
            rates.push(80.0 / time.as_secs_f64());
            assert!(sim.sides[0].link.state.longest_queue < ms(50), "{:?}", sim.sides[0].link.state);
            let host = &sim.sides[0].host;
            assert!(host.connections().all(|id| host.stats(id).is_some_and(|s| s.retransmits == 0)));
        }
        assert!(rates[0] > 25.0 && rates[1] > rates[0] * 0.95, "{rates:?}");
    }
}
