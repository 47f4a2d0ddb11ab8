use std::collections::VecDeque;

use super::*;
use crate::testing::{ms, start};

/// A path of 0.5 s that delivers `rate` packets a second at most and never loses any.
struct Model {
    begin: Instant,
    control: Congestion,
    rtt: Rtt,
    flying: VecDeque<(Instant, Instant, Flight)>,
    free: Instant,
    rate: f64,
    time: u64,
}

impl Model {
    fn new(rate: f64) -> Self {
        let begin = start();
        let control = Congestion::new(&Config::default());
        Self { begin, control, rtt: Rtt::new(), flying: VecDeque::new(), free: begin, rate, time: 0 }
    }

    /// Runs for a while with always something to send, paced.
    fn run(&mut self, time: u64) {
        let end = self.time + time;
        let mut tokens = 0.0;
        while self.time < end {
            self.time += 1;
            let now = self.begin + ms(self.time);
            let mut acked = 0;
            let mut measured = None;
            while let Some(&(arrives, sent, flight)) = self.flying.front()
                && arrives <= now
            {
                self.flying.pop_front();
                self.control.delivered(now, sent, flight, PACKET, true);
                acked += PACKET;
                measured = Some((now - sent).as_secs_f64());
            }
            if let Some(measured) = measured {
                self.rtt.sample(now, measured);
                self.control.acknowledged(now, &mut self.rtt, acked, Some(measured));
            }
            tokens = f64::min(tokens + self.control.pacing_rate(&self.rtt) / 1000.0, 20.0 * PACKET as f64);
            while tokens > 0.0 && self.control.has_room() {
                tokens -= PACKET as f64;
                let flight = self.control.sent(now, PACKET);
                self.free = self.free.max(now) + Duration::from_secs_f64(1.0 / self.rate);
                self.flying.push_back((self.free + ms(500), now, flight));
            }
        }
    }

    fn packets(&self) -> u64 {
        self.control.window() / PACKET
    }
}

#[test]
fn the_window_doubles_each_round_trip() {
    let mut model = Model::new(1e6);
    model.run(490);
    assert_eq!(model.packets(), 64);
    let mut last = 64;
    for _ in 0..3 {
        model.run(550);
        assert!(
            model.packets() > last * 8 / 5 && model.packets() <= last * 9 / 4,
            "{} {last}",
            model.packets()
        );
        last = model.packets();
    }
    model.run(5000);
    assert_eq!(model.packets(), 4096);
}

#[test]
fn a_full_path_gets_its_product_twice() {
    let mut model = Model::new(1000.0);
    model.run(20_000);
    let estimate = model.control.bandwidth() / PACKET as f64;
    assert!((980.0..1100.0).contains(&estimate), "{estimate}");
    assert!((950..1200).contains(&model.packets()), "{}", model.packets());
    let flying = model.control.in_flight() / PACKET;
    assert!((350..800).contains(&flying), "{flying}");
}

#[test]
fn loss_lowers_a_ceiling_and_a_mistake_raises_it_again() {
    let mut model = Model::new(1e6);
    model.run(2500);
    let before = model.packets();
    let sent = model.begin + ms(model.time);
    for _ in 0..before / 8 {
        model.control.lost(sent, PACKET, true);
    }
    let now = sent;
    model.control.acknowledged(now, &mut model.rtt, 0, None);
    assert_eq!(model.control.phase, Phase::Drain);
    assert!(model.control.ceiling.is_some());
    for _ in 0..before / 8 {
        model.control.not_lost(PACKET);
    }
    assert_eq!(model.control.phase, Phase::Startup);
    assert!(model.control.ceiling.is_none());
}

#[test]
fn a_collapse_can_be_taken_back() {
    let mut model = Model::new(1000.0);
    model.run(10_000);
    let before = (model.packets(), model.control.bandwidth());
    model.control.collapse();
    model.control.collapse();
    assert_eq!((model.packets(), model.control.bandwidth()), (8, 0.0));
    model.control.not_lost(PACKET);
    assert_eq!((model.packets(), model.control.bandwidth()), before);
}

#[test]
fn what_was_learned_fades() {
    let mut model = Model::new(1000.0);
    model.run(10_000);
    let before = model.control.bandwidth();
    let in_flight = model.control.in_flight();
    model.control.forget(in_flight);
    model.control.sent(model.begin + ms(model.time + 70_000), PACKET);
    let after = model.control.bandwidth();
    assert!((after / before - 0.5 * COLD).abs() < 0.01, "{before} {after}");
}

#[test]
fn the_peak_of_the_last_while() {
    let mut peak = Peak::default();
    peak.update(0.0, 10.0, 5.0);
    peak.update(1.0, 10.0, 9.0);
    for second in 2..11 {
        peak.update(f64::from(second), 10.0, 6.0);
        assert!(peak.get() > 8.9);
    }
    peak.update(11.5, 10.0, 4.0);
    assert!((5.9..6.1).contains(&peak.get()));
    peak.update(40.0, 10.0, 1.0);
    assert!(peak.get() < 1.1);
}
