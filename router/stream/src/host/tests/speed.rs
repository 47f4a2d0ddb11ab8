//! How fast streams are over modelled networks.

use std::time::Duration;

use crate::testing::app::bytes;
use crate::testing::link::Link;
use crate::testing::{Sim, ms};
use crate::{Config, ConnectionId};

const MB: u64 = 1_000_000;
/// Payload in what a link carries.
const PAYLOAD: f64 = 1812.0 / (1834.0 + 100.0);

/// Six links of up to 10 ms jitter each way, four tunnels: 0.7 s there and back.
fn far() -> Link {
    Link { delay: ms(320), jitter: ms(10), hops: 6, ..Link::default() }
}

fn sim(link: &Link) -> Sim {
    Sim::new(7, link, [Config::default(), Config::default()])
}

/// Runs until `total` bytes have arrived in all; megabytes a second.
fn receive(sim: &mut Sim, total: u64) -> f64 {
    let before = sim.sides[1].app.received();
    let time = sim.run(Duration::from_secs(120), |sim| sim.sides[1].app.received() >= total);
    (sim.sides[1].app.received() - before) as f64 / time.as_secs_f64() / 1e6
}

/// Sends `total` bytes from a cold start; megabytes a second.
fn upload(link: &Link, total: u64) -> (Sim, ConnectionId, f64) {
    let mut sim = sim(link);
    let id = sim.upload(total);
    let rate = receive(&mut sim, total);
    (sim, id, rate)
}

#[test]
fn twenty_megabytes_over_a_long_path() {
    let (sim, id, rate) = upload(&far(), 20 * MB);
    assert!(rate >= 2.5, "{rate}");
    assert_eq!(sim.sides[0].host.stats(id).map(|stats| stats.retransmits), Some(0));
    assert!(sim.sides[1].sent < sim.sides[0].sent / 20, "few acknowledgements");
}

#[test]
fn spikes_of_the_links_below() {
    for tunnels in [1, 3, 5] {
        let (sim, id, rate) = upload(&Link { spikes: 0.01, tunnels, ..far() }, 20 * MB);
        assert!(rate >= if tunnels == 1 { 1.3 } else { 2.0 }, "{rate}");
        assert!(sim.sides[0].host.stats(id).is_some_and(|stats| stats.retransmits < 100));
    }
}

#[test]
fn each_packet_takes_any_tunnel() {
    let (sim, id, rate) = upload(&Link { spikes: 0.01, tunnels: 5, spray: true, ..far() }, 20 * MB);
    assert!(rate >= 2.0, "{rate}");
    assert!(sim.sides[0].host.stats(id).is_some_and(|stats| stats.retransmits < 100));
}

#[test]
fn one_packet_in_a_hundred_is_lost() {
    let (_, _, rate) = upload(&Link { loss: 0.01, ..far() }, 20 * MB);
    assert!(rate >= 1.2, "{rate}");
    let (_, _, rate) = upload(&Link { loss: 0.01, spikes: 0.01, spray: true, ..far() }, 20 * MB);
    assert!(rate >= 1.2, "{rate}");
}

#[test]
fn a_bottleneck_is_filled_and_not_flooded() {
    for queue in [0.5e6, 2e6, 20e6] {
        let mut sim = sim(&Link { bandwidth: Some(3e6), queue, ..far() });
        sim.upload(100 * MB);
        let cold = receive(&mut sim, 20 * MB);
        assert!(cold >= 1.3, "{cold}");
        let before = sim.sides[0].link.state.clone();
        let rate = receive(&mut sim, 80 * MB);
        assert!(rate > 3.0 * PAYLOAD * 0.9, "{rate} with {queue}");
        let after = &sim.sides[0].link.state;
        let mean = after.queued.saturating_sub(before.queued) / (after.carried - before.carried) as u32;
        assert!(mean < ms(350), "half a round trip: {mean:?} with {queue}");
        assert!(after.longest_queue < ms(1050), "{:?} with {queue}", after.longest_queue);
        assert!(after.dropped - before.dropped < 600);
    }
}

#[test]
fn near_by_the_wire_is_the_limit() {
    for (delay, bandwidth, least) in [(2, 60e6, 50.0), (5, 60e6, 50.0), (10, 60e6, 50.0), (10, 1e9, 200.0)] {
        let link = Link { delay: ms(delay), bandwidth: Some(bandwidth), queue: 50e6, ..Link::default() };
        let (sim, _, rate) = upload(&link, 200 * MB);
        assert!(rate >= least, "{rate}");
        assert!(sim.sides[0].link.state.longest_queue < ms(delay * 2) * 3);
    }
}

#[test]
fn four_streams_share() {
    let mut sim = sim(&Link { bandwidth: Some(3e6), queue: 4e6, ..far() });
    for _ in 0..4 {
        sim.upload(15 * MB);
    }
    receive(&mut sim, 30 * MB);
    for stream in sim.sides[1].app.streams.values() {
        assert!(stream.received > 30 * MB / 4 * 9 / 10 && stream.received < 30 * MB / 4 * 11 / 10);
    }
    // One that comes later gets its share at once.
    let late = sim.upload(5 * MB);
    let time = sim.run(Duration::from_secs(60), |sim| sim.sides[0].app.streams[&late].is_shut_down);
    assert!(time < Duration::from_secs(10), "{time:?}");
}

#[test]
fn the_next_connection_starts_warm() {
    let (mut sim, _, _) = upload(&far(), 20 * MB);
    sim.run_for(Duration::from_secs(5));
    sim.upload(5 * MB);
    let rate = receive(&mut sim, 25 * MB);
    assert!(rate > 2.5, "{rate}");
}

#[test]
fn a_path_that_changes_is_learned_anew() {
    let mut sim = sim(&Link { bandwidth: Some(5e6), queue: 20e6, ..far() });
    sim.upload(300 * MB);
    receive(&mut sim, 40 * MB);
    sim.sides[0].link.bandwidth = Some(1e6);
    receive(&mut sim, 60 * MB);
    let before = sim.sides[0].link.state.clone();
    let rate = receive(&mut sim, 70 * MB);
    let after = sim.sides[0].link.state.clone();
    let mean = after.queued.saturating_sub(before.queued) / (after.carried - before.carried) as u32;
    assert!(rate > PAYLOAD * 0.85 && mean < ms(1200), "less: {rate} {mean:?}");
    sim.sides[0].link.bandwidth = Some(5e6);
    receive(&mut sim, 100 * MB);
    let rate = receive(&mut sim, 150 * MB);
    assert!(rate > 5.0 * PAYLOAD * 0.85, "more: {rate}");
    for side in &mut sim.sides {
        side.link.delay = ms(550);
    }
    receive(&mut sim, 200 * MB);
    let rate = receive(&mut sim, 250 * MB);
    assert!(rate > 5.0 * PAYLOAD * 0.7, "longer: {rate}");
}

#[test]
fn pages_do_not_hide_how_fast_a_path_is() {
    let (mut sim, id, _) = upload(&far(), 20 * MB);
    let bandwidth = |sim: &Sim| sim.sides[0].host.stats(id).map_or(0.0, |stats| stats.bandwidth);
    let before = bandwidth(&sim);
    // They follow so closely that there is always something in flight.
    for _ in 0..60 {
        sim.connect(&bytes(0, 1000));
        sim.run_for(ms(400));
    }
    assert!(bandwidth(&sim) > before * 0.6, "{} of {before}", bandwidth(&sim));
    sim.upload(5 * MB);
    let total = sim.sides[1].app.received() + 5 * MB;
    let rate = receive(&mut sim, total);
    assert!(rate > 1.8, "{rate}");
}

#[test]
fn links_that_slowed_down_while_pages_came_are_not_flooded() {
    let lossy = Link { spikes: 0.03, tunnels: 3, ..far() };
    let (mut sim, id, before) = upload(&lossy, 20 * MB);
    for _ in 0..20 {
        sim.connect(&bytes(0, 1000));
        sim.run_for(ms(400));
    }
    let bandwidth = |sim: &Sim| sim.sides[0].host.stats(id).map_or(0.0, |stats| stats.bandwidth);
    let known = bandwidth(&sim);
    sim.sides[0].link.bandwidth = Some(0.4e6);
    sim.sides[0].link.queue = 20e6;
    sim.sides[0].link.state.longest_queue = Duration::ZERO;
    sim.upload(5 * MB);
    let total = sim.sides[1].app.received() + 5 * MB;
    let rate = receive(&mut sim, total);
    assert!(known > 1e6 && before > 1.0, "{known} {before}");
    let longest = sim.sides[0].link.state.longest_queue;
    assert!(longest < ms(3000), "{longest:?}, {rate} MB/s of {known}");
    assert!(rate > 0.4 * PAYLOAD * 0.7, "{rate}");
}
