//! Everything that is written arrives whole and in order, whatever the network does.

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use crate::testing::app::Service;
use crate::testing::link::Link;
use crate::testing::{Sim, ms};
use crate::{Config, Reason};

fn links() -> impl Strategy<Value = Link> {
    let times = (1u64..400, 0u64..20, 1u64..6);
    let faults = (0.0..0.15f64, 0.0..0.1f64, 0.0..0.03f64);
    let bandwidth = prop_oneof![Just(None), (0.1e6..20e6).prop_map(Some)];
    (times, faults, any::<bool>(), any::<bool>(), bandwidth).prop_map(
        |((delay, jitter, tunnels), (loss, duplicates, spikes), spray, disorder, bandwidth)| Link {
            delay: ms(delay),
            jitter: ms(jitter),
            loss,
            duplicates,
            spikes,
            tunnels,
            spray,
            disorder,
            bandwidth,
            queue: 1e6,
            ..Link::default()
        },
    )
}

fn configs() -> impl Strategy<Value = Config> {
    let buffers = (20_000usize..1_000_000, 30_000usize..1_000_000, 8u32..4096);
    let windows = (2u32..64, 0u32..48, 16u32..4096);
    (buffers, windows, 1u64..750, 600u16..1812).prop_map(
        |(
            (send_buffer, receive_buffer, receive_window),
            (initial_window, early_window, max_window),
            ack,
            mtu,
        )| {
            Config {
                send_buffer,
                receive_buffer,
                receive_window,
                initial_window,
                early_window,
                max_window,
                ack_delay: ms(ack),
                mtu,
                max_resends: 30,
                ..Config::default()
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn both_ways(
        there in links(),
        back in links(),
        first in configs(),
        second in configs(),
        seed: u8,
        sizes in (0u64..400_000, 0u64..400_000),
        first_write in 0usize..4000,
        after: bool,
        hints: bool,
    ) {
        let mut sim = Sim::new(seed, &there, [first, second]);
        sim.sides[1].link = back;
        sim.sides[1].hints = hints;
        let (request, answer) = (sizes.0 + first_write as u64, sizes.1 + 1);
        sim.sides[1].app.service = if after { Service::ServeAfter(answer) } else { Service::Serve(answer) };
        let id = sim.connect(&crate::testing::app::bytes(0, first_write));
        sim.sides[0].app.send(id, request, true);
        sim.sides[0].app.streams.get_mut(&id).unwrap().sent = first_write as u64;
        sim.run(Duration::from_secs(900), |sim| {
            sim.sides[1].app.received() == request && sim.sides[0].app.received() == answer
        });
        sim.run(Duration::from_secs(900), |sim| {
            sim.sides.iter().all(|side| side.app.streams.values().all(|s| s.closed.is_some() && s.finished))
        });
        prop_assert_eq!(sim.sides[0].app.streams[&id].closed, Some(Reason::Finished));
        sim.run_for(Duration::from_secs(300));
        for side in &sim.sides {
            prop_assert_eq!(side.host.host_stats().connections, 0);
            prop_assert_eq!(side.host.in_flight(), 0);
            prop_assert!(side.host.host_stats().forged == 0);
        }
    }

    #[test]
    fn a_reader_that_pauses(
        link in links(),
        config in configs(),
        seed: u8,
        pauses in proptest::collection::vec((10u64..8000, 10u64..3000), 1..5),
    ) {
        let total = 600_000;
        let mut sim = Sim::new(seed, &link, [Config { max_resends: 30, ..Config::default() }, config]);
        sim.upload(total);
        for (pause, go) in pauses {
            sim.sides[1].app.reading = false;
            sim.run_for(ms(pause));
            sim.sides[1].app.reading = true;
            sim.run_for(ms(go));
        }
        sim.run(Duration::from_secs(900), |sim| sim.sides[1].app.received() == total);
    }
}

#[test]
fn an_outage_passes() {
    let link = Link { delay: ms(100), ..Link::default() };
    let mut sim = Sim::new(3, &link, [Config::default(), Config::default()]);
    sim.upload(5_000_000);
    sim.run_for(ms(1500));
    for side in &mut sim.sides {
        side.link.cut = true;
    }
    sim.run_for(ms(20_000));
    for side in &mut sim.sides {
        side.link.cut = false;
    }
    let time = sim.run(ms(60_000), |sim| sim.sides[1].app.received() == 5_000_000);
    assert!(time < ms(25_000), "{time:?}");
}

#[test]
fn choking_bounds_what_is_kept() {
    let link = Link { delay: ms(20), ..Link::default() };
    let config = Config { receive_buffer: 200_000, ..Config::default() };
    let mut sim = Sim::new(3, &link, [Config::default(), config]);
    let id = sim.upload(3_000_000);
    sim.sides[1].app.reading = false;
    sim.run_for(ms(60_000));
    let there = sim.sides[1].app.incoming[0];
    let kept = sim.sides[1].host.stats(there).unwrap().bytes_received;
    assert!((90_000..250_000).contains(&kept), "{kept}");
    assert!(sim.sides[0].host.stats(id).unwrap().choked);
    let sent = sim.sides[0].sent;
    sim.run_for(ms(60_000));
    assert!(sim.sides[0].sent - sent < 20, "only probes while choked");
    sim.sides[1].app.reading = true;
    let time = sim.run(ms(30_000), |sim| sim.sides[1].app.received() == 3_000_000);
    assert!(time < ms(5000), "{time:?}");
}
