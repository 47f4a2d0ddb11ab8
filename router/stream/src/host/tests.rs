mod handshake;
mod hostile;
mod peers;
mod recovery;
mod speed;
mod whole;

use crate::testing::app::Service;
use crate::testing::link::Link;
use crate::testing::{Sim, ms};
use crate::{Config, Reason};

fn near() -> Link {
    Link { delay: ms(5), ..Link::default() }
}

fn sim(seed: u8, link: &Link) -> Sim {
    Sim::new(seed, link, [Config::default(), Config::default()])
}

#[test]
fn a_request_and_its_answer_take_one_round_trip() {
    let mut sim = sim(1, &Link::default());
    sim.sides[1].app.service = Service::Serve(1000);
    let id = sim.connect(&crate::testing::app::bytes(0, 300));
    sim.sides[0].app.send(id, 0, true);
    let time = sim.run(ms(5000), |sim| sim.sides[0].app.received() == 1000);
    assert!(time < ms(760), "{time:?}");
    assert_eq!(sim.sides[1].app.received(), 300);
    assert_eq!(sim.sides[1].sent, 1, "the answer is in the packet that answers the SYN");
    sim.run(ms(20_000), |sim| {
        sim.sides.iter().all(|side| side.app.streams.values().all(|s| s.closed == Some(Reason::Finished)))
    });
    sim.run_for(ms(120_000));
    assert_eq!(sim.sides[0].host.host_stats().connections, 0);
    assert_eq!(sim.sides[1].host.host_stats().connections, 0);
}

#[test]
fn data_comes_whole_both_ways() {
    let mut sim = sim(2, &near());
    sim.sides[1].app.service = Service::Serve(3_000_000);
    let id = sim.upload(2_000_000);
    sim.run(ms(20_000), |sim| {
        sim.sides[1].app.received() == 2_000_000 && sim.sides[0].app.received() == 3_000_000
    });
    sim.run(ms(20_000), |sim| sim.sides[0].app.streams[&id].closed == Some(Reason::Finished));
}
