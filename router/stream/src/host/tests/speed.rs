//! How fast streams are over modelled networks.

use std::time::Duration;

use crate::Config;
use crate::testing::link::Link;
use crate::testing::{Sim, ms};

const MB: u64 = 1_000_000;

/// Six links of 10 ms jitter each way, four tunnels.
fn far() -> Link {
    Link { delay: ms(320), jitter: ms(10), hops: 6, ..Link::default() }
}

fn upload(link: &Link, total: u64, limit: Duration) -> (Sim, f64) {
    let mut sim = Sim::new(7, link, [Config::default(), Config::default()]);
    let id = sim.upload(total);
    let time = sim.run(limit, |sim| sim.sides[1].app.received() == total);
    let rate = total as f64 / time.as_secs_f64() / 1e6;
    println!("{rate:.2} MB/s in {time:?}; {:?}", sim.sides[0].host.stats(id));
    println!("acks {} of {}; link {:?}", sim.sides[1].sent, sim.sides[0].sent, sim.sides[0].link.state);
    (sim, rate)
}

#[test]
fn twenty_megabytes_over_a_long_path() {
    let (_, rate) = upload(&far(), 20 * MB, Duration::from_secs(60));
    assert!(rate >= 2.0);
}

#[test]
fn spikes_of_the_links_below() {
    for tunnels in [1, 3, 5] {
        let link = Link { spikes: 0.01, tunnels, ..far() };
        let (_, rate) = upload(&link, 20 * MB, Duration::from_secs(60));
        assert!(rate >= 1.0);
    }
}

#[test]
fn each_packet_takes_any_tunnel() {
    let link = Link { spikes: 0.01, tunnels: 5, spray: true, ..far() };
    let (_, rate) = upload(&link, 20 * MB, Duration::from_secs(60));
    assert!(rate >= 1.0);
}

#[test]
fn one_packet_in_a_hundred_is_lost() {
    let link = Link { loss: 0.01, ..far() };
    let (_, rate) = upload(&link, 20 * MB, Duration::from_secs(60));
    assert!(rate >= 1.0);
    let link = Link { loss: 0.01, spikes: 0.01, spray: true, ..far() };
    let (_, rate) = upload(&link, 20 * MB, Duration::from_secs(60));
    assert!(rate >= 1.0);
}

#[test]
fn a_bottleneck_is_filled_and_not_flooded() {
    for queue in [0.5e6, 2e6, 20e6] {
        let link = Link { bandwidth: Some(3e6), queue, ..far() };
        let (mut sim, rate) = upload(&link, 60 * MB, Duration::from_secs(120));
        let state = sim.sides[0].link.state.clone();
        println!("mean queue {:?}", state.queued / state.carried as u32);
        let id = *sim.sides[0].app.streams.keys().next().unwrap();
        sim.sides[0].app.send(id, 0, false);
        assert!(rate >= 2.0);
    }
}

#[test]
fn near_by() {
    for (delay, bandwidth) in [(2, 60e6), (5, 60e6), (10, 60e6), (10, 1e9)] {
        let link = Link { delay: ms(delay), jitter: ms(0), bandwidth: Some(bandwidth), queue: 50e6, ..Link::default() };
        let (sim, rate) = upload(&link, 200 * MB, Duration::from_secs(60));
        let state = sim.sides[0].link.state.clone();
        println!("mean queue {:?}", state.queued / state.carried as u32);
        assert!(rate >= 40.0);
    }
}

#[test]
#[ignore = "prints a trace"]
fn trace() {
    let link = Link { bandwidth: Some(3e6), queue: 0.5e6, ..far() };
    let mut sim = Sim::new(7, &link, [Config::default(), Config::default()]);
    let id = sim.upload(60 * MB);
    let mut last = 0;
    while sim.sides[1].app.received() < 60 * MB && sim.elapsed < Duration::from_secs(60) {
        sim.run_for(ms(500));
        let stats = sim.sides[0].host.stats(id).unwrap();
        let got = sim.sides[1].app.received();
        println!("{:?} got {} rate {:.2} window {} flight {} bw {:.2} rtt {:?} min {:?} resent {} spurious {} {}", sim.elapsed, got / 1000, (got - last) as f64 / 0.5e6, stats.window / 1836, stats.in_flight / 1836, stats.bandwidth / 1e6, stats.rtt, stats.rtt_min, stats.retransmits, stats.spurious, sim.sides[0].host.phase(id));
        last = got;
    }
}

#[test]
fn four_streams_share() {
    let link = Link { bandwidth: Some(3e6), queue: 4e6, ..far() };
    let mut sim = Sim::new(7, &link, [Config::default(), Config::default()]);
    for _ in 0..4 {
        sim.upload(15 * MB);
    }
    sim.run(Duration::from_secs(60), |sim| sim.sides[1].app.received() >= 30 * MB);
    let shares: Vec<u64> = sim.sides[1].app.streams.values().map(|stream| stream.received).collect();
    println!("{:?} {shares:?}", sim.elapsed);
    assert!(shares.iter().all(|&share| share > 30 * MB / 4 * 9 / 10));
    // A fifth one gets its share soon, for it begins with what the others know.
    let late = sim.upload(5 * MB);
    let time = sim.run(Duration::from_secs(60), |sim| sim.sides[0].app.streams[&late].is_shut_down);
    println!("late {time:?}");
}

#[test]
fn the_next_connection_starts_warm() {
    let (mut sim, _) = upload(&far(), 20 * MB, Duration::from_secs(60));
    sim.run_for(Duration::from_secs(5));
    sim.upload(5 * MB);
    let time = sim.run(Duration::from_secs(60), |sim| sim.sides[1].app.received() == 25 * MB);
    println!("warm {time:?}");
    assert!(time < ms(2500));
}
