use allium_wire::DestHash;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::*;
use crate::config::Config;
use crate::testing::{ms, start};

const SIZE: u64 = 1834;

struct Bench {
    begin: Instant,
    queue: SendQueue,
    path: Path,
}

impl Bench {
    fn new() -> Self {
        let begin = start();
        let path = Path::new(begin, DestHash([1; 32]), &Config::default());
        Self { begin, queue: SendQueue::new(), path }
    }

    fn send(&mut self, at: u64, count: u32) {
        for _ in 0..count {
            let body = Body::Data(Bytes::from_static(b"data"));
            self.queue.push(self.begin + ms(at), body, SIZE, &mut self.path);
        }
    }

    fn ack(&mut self, at: u64, through: u32, nacks: &[u32]) -> Progress {
        let report = Report { through, nacks, whole: true };
        self.queue.acknowledge(self.begin + ms(at), report, &mut self.path)
    }

    fn resend(&mut self, at: u64) -> Vec<u32> {
        let now = self.begin + ms(at);
        std::iter::from_fn(|| self.queue.resend(now, &mut self.path).map(|(sequence, ..)| sequence)).collect()
    }

    fn in_flight(&self) -> u64 {
        self.path.congestion.in_flight() / SIZE
    }
}

#[test]
fn acknowledgements_move_the_base() {
    let mut bench = Bench::new();
    bench.send(0, 10);
    assert_eq!(bench.in_flight(), 10);
    assert_eq!(bench.ack(700, 4, &[2]).packets, 4);
    assert_eq!((bench.queue.base(), bench.queue.next(), bench.queue.span()), (2, 10, 8));
    assert_eq!(bench.ack(710, 4, &[]).packets, 1);
    assert_eq!((bench.queue.base(), bench.in_flight()), (5, 5));
    assert_eq!(bench.ack(720, 2, &[]).packets, 0, "an old one");
    assert!(bench.ack(730, 10, &[]).absurd);
    assert_eq!(bench.ack(740, 9, &[]).packets, 5);
    assert!(bench.queue.is_settled());
    assert_eq!(bench.in_flight(), 0);
    assert_eq!(bench.path.rtt.minimum(), Some(0.7));
}

#[test]
fn late_is_not_lost() {
    let mut bench = Bench::new();
    for step in 0..100 {
        bench.send(step * 10, 1);
    }
    // Number 0 is missing, all others arrive 700 ms after they were sent.
    for step in 1..14 {
        bench.ack(700 + step * 10, step as u32, &[0]);
        assert!(!bench.queue.has_lost(), "{step}");
    }
    assert!(bench.queue.loss_at.is_some());
    bench.ack(845, 13, &[]);
    assert_eq!(bench.queue.base(), 14);
    assert!(bench.path.rtt.reordering() > 0.15);
    assert_eq!(bench.queue.counters.resent, 0);
}

#[test]
fn missing_overtaken_and_old_is_lost() {
    let mut bench = Bench::new();
    for step in 0..100 {
        bench.send(step * 10, 1);
    }
    for step in 1..40 {
        bench.ack(700 + step * 10, step as u32, &[0]);
    }
    assert_eq!(bench.resend(1100), [0]);
    // It is not lost again before a packet that was sent after it arrived.
    for step in 40..100 {
        bench.ack(700 + step * 10, step as u32, &[0]);
    }
    assert!(!bench.queue.has_lost());
    bench.send(1110, 1);
    bench.ack(1820, 100, &[0]);
    bench.ack(2000, 100, &[0]);
    assert_eq!(bench.resend(2000), [0]);
    assert_eq!(bench.queue.counters.spurious, 0);
    assert_eq!(bench.ack(3010, 100, &[]).packets, 1);
    assert!(bench.queue.is_settled());
}

#[test]
fn an_acknowledgement_that_comes_too_soon_is_for_the_first_one() {
    let mut bench = Bench::new();
    for step in 0..100 {
        bench.send(step * 10, 1);
    }
    for step in 1..40 {
        bench.ack(700 + step * 10, step as u32, &[0]);
    }
    assert_eq!(bench.resend(1100), [0]);
    bench.ack(1150, 45, &[]);
    assert_eq!(bench.queue.counters.spurious, 1);
    assert!(bench.path.rtt.reordering() > 0.5, "{}", bench.path.rtt.reordering());
}

#[test]
fn what_no_report_can_mention_does_not_fill_the_window() {
    let mut bench = Bench::new();
    bench.send(0, 3000);
    bench.send(800, 1);
    bench.ack(700, 300, &(0..255).collect::<Vec<_>>());
    bench.ack(900, 300, &(0..255).collect::<Vec<_>>());
    assert_eq!(bench.resend(1000).len(), 255);
    let sparse: Vec<u32> = (301..).step_by(6).take(255).collect();
    bench.ack(1700, *sparse.last().unwrap(), &sparse);
    bench.ack(1901, *sparse.last().unwrap(), &sparse);
    assert!(bench.in_flight() < 10, "{}", bench.in_flight());
    assert_eq!(bench.resend(1910), sparse, "the others may have arrived");
    assert_eq!(bench.ack(2800, 3000, &[]).packets, 3001 - sparse.last().unwrap() + 254);
    assert!(bench.queue.is_settled());
    assert_eq!(bench.in_flight(), 0);
}

#[test]
fn an_empty_report_tells_of_a_gap_that_does_not_fit_into_it() {
    let mut bench = Bench::new();
    bench.send(0, 1000);
    bench.ack(700, 99, &[]);
    for step in 0..4 {
        bench.ack(800 + step * 50, 99, &[]);
    }
    bench.ack(1100, 99, &[]);
    assert_eq!(bench.resend(1100), (100..355).collect::<Vec<_>>());
    // So much is missing that more is sent again without a word of it, once in a round trip.
    bench.ack(1800, 354, &[]);
    let first = bench.resend(1800);
    bench.ack(1850, 354, &[]);
    let second = bench.resend(1850);
    assert_eq!([first, second].concat(), (355..866).collect::<Vec<_>>());
    bench.ack(1900, 354, &[]);
    assert!(bench.resend(1900).is_empty());
    // Data that comes with an acknowledgement may have left no room for more.
    let report = Report { through: 400, nacks: &[], whole: false };
    bench.queue.acknowledge(bench.begin + ms(2600), report, &mut bench.path);
    assert_eq!(bench.queue.base(), 401);
    assert_eq!(bench.queue.counters.spurious, 0);
}

#[test]
fn probes_are_the_first_and_the_last() {
    let mut bench = Bench::new();
    bench.send(0, 10);
    assert_eq!(bench.queue.probe(&mut bench.path), 2);
    assert_eq!(bench.resend(3000), [0, 9]);
    assert_eq!(bench.in_flight(), 10);
    bench.ack(3700, 9, &[8]);
    assert_eq!(bench.queue.probe(&mut bench.path), 1);
    assert_eq!(bench.resend(5000), [8]);
    bench.queue.clear(&mut bench.path);
    assert_eq!(bench.in_flight(), 0);
}

#[test]
fn writing_is_bounded_and_small_writes_gather() {
    let mut buffer = Buffer::default();
    assert_eq!(buffer.write(&[1; 700], 1000), 700);
    assert_eq!(buffer.write(&[2; 700], 1000), 300);
    assert_eq!(buffer.write(&[3; 700], 1000), 0);
    assert_eq!(buffer.take(1812).len(), 1000);
    assert!(buffer.is_empty());
    assert!(buffer.take(10).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn a_buffer_gives_back_what_it_took(
        steps in proptest::collection::vec((0usize..20_000, 1usize..3000, 0usize..20), 1..60)
    ) {
        let mut buffer = Buffer::default();
        let (mut written, mut taken) = (0u64, 0u64);
        for (write, size, takes) in steps {
            written += buffer.write(&crate::testing::app::bytes(written, write), 100_000) as u64;
            for _ in 0..takes {
                let part = buffer.take(size);
                prop_assert_eq!(part.len(), size.min((written - taken) as usize));
                prop_assert_eq!(&part[..], &crate::testing::app::bytes(taken, part.len())[..]);
                taken += part.len() as u64;
            }
            prop_assert_eq!(buffer.len() as u64, written - taken);
        }
    }

    #[test]
    fn in_flight_always_adds_up(
        steps in proptest::collection::vec((0u8..5, 0u64..900, 0u32..80, any::<u64>()), 1..60)
    ) {
        let mut bench = Bench::new();
        let mut now = 0;
        for (kind, wait, number, bits) in steps {
            now += wait;
            match kind {
                0 => bench.send(now, number % 20),
                1 => drop(bench.resend(now)),
                2 => drop(bench.queue.probe(&mut bench.path)),
                3 => bench.queue.give_up_older(bench.begin + ms(now), ms(wait), &mut bench.path),
                _ => {
                    let nacks: Vec<u32> = (0..64).filter(|bit| bits >> bit & 1 == 1).map(|bit| bit + number / 4).collect();
                    bench.ack(now, number, &nacks);
                }
            }
            let counted = bench.queue.packets.iter().filter(|packet| packet.state == State::InFlight).count() as u64;
            prop_assert_eq!(bench.in_flight(), counted);
            let lost = bench.queue.packets.iter().filter(|packet| packet.state == State::Lost).count();
            prop_assert_eq!(bench.queue.lost.len(), lost);
        }
    }
}
