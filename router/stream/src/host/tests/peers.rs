//! Sending to other routers.

use crate::Config;
use crate::testing::link::Link;
use crate::testing::peer::{Kind, PATIENCE};
use crate::testing::{Sim, ms};

const MB: u64 = 1_000_000;

fn upload(kind: Kind, link: &Link, total: u64, reads: Option<f64>) -> (Sim, f64) {
    let mut sim = Sim::with_peer(11, link, Config::default(), kind);
    sim.peer.as_mut().unwrap().reads = reads;
    sim.upload(total);
    let time = sim.run(PATIENCE, |sim| sim.peer.as_ref().unwrap().received == total);
    let rate = total as f64 / time.as_secs_f64() / 1e6;
    (sim, rate)
}

fn far() -> Link {
    Link { delay: ms(320), jitter: ms(10), ..Link::default() }
}

#[test]
fn i2pd_takes_large_windows() {
    let (sim, rate) = upload(Kind::I2pd, &far(), 20 * MB, None);
    assert!(rate > 1.5);
    assert_eq!(sim.peer.as_ref().unwrap().refused, 0);
    let (_, rate) = upload(Kind::I2pd, &Link { spikes: 0.01, ..far() }, 20 * MB, None);
    assert!(rate > 0.8);
    let (_, rate) = upload(Kind::I2pd, &Link { loss: 0.01, ..far() }, 20 * MB, None);
    assert!(rate > 0.4);
}

#[test]
fn java_takes_what_it_can() {
    let (_, rate) = upload(Kind::Java, &far(), 10 * MB, None);
    assert!(rate > 1.0);
    let (_, rate) = upload(Kind::Java, &Link { spikes: 0.01, ..far() }, 5 * MB, None);
    assert!(rate > 0.1);
    let (_, rate) = upload(Kind::Java, &Link { loss: 0.01, ..far() }, 5 * MB, None);
    assert!(rate > 0.1);
    let (_, rate) = upload(Kind::Java, &far(), 5 * MB, Some(0.2e6));
    assert!(rate > 0.1);
}
