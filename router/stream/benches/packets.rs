//! What a packet costs: written, sent, received, read and acknowledged, through two hosts.

use std::time::{Duration, Instant};

use allium_crypto::Rng;
use allium_stream::{Config, ConnectionId, Event, Host};
use allium_wire::{Date, Destination, DestinationKeys, Now};
use bytes::Bytes;
use divan::Bencher;
use divan::counter::BytesCount;

/// Packets of one measurement.
const PACKETS: usize = 10_000;

fn main() {
    divan::main();
}

fn host(seed: u8) -> (Host, Destination) {
    let mut rng = Rng::from_seed([seed; 32]);
    let keys = DestinationKeys::generate(&mut rng);
    (
        Host::new(keys.destination().clone(), keys.signing().clone(), Config::default(), rng),
        keys.destination().clone(),
    )
}

/// Two hosts with an open connection, and the time.
struct Pair {
    hosts: [Host; 2],
    ids: [ConnectionId; 2],
    begin: Instant,
    elapsed: Duration,
}

impl Pair {
    #[allow(clippy::disallowed_methods)]
    fn new() -> Self {
        let (first, _) = host(1);
        let (second, to) = host(2);
        let mut pair = Self {
            hosts: [first, second],
            ids: [ConnectionId(0); 2],
            begin: Instant::now(),
            elapsed: Duration::ZERO,
        };
        let now = pair.now();
        if let Ok(id) = pair.hosts[0].connect(now, to, 80, 1, Bytes::from_static(b"hello")) {
            pair.ids[0] = id;
        }
        for _ in 0..100 {
            pair.step();
            while let Some(event) = pair.hosts[1].poll_event() {
                if let Event::Incoming { id, .. } = event {
                    pair.ids[1] = id;
                }
            }
        }
        pair
    }

    fn now(&self) -> Now {
        Now { instant: self.begin + self.elapsed, date: Date(1_800_000_000_000) }
    }

    /// Lets a millisecond pass and carries what is sent.
    fn step(&mut self) {
        self.elapsed += Duration::from_millis(1);
        let now = self.now();
        for _ in 0..2 {
            self.hosts.reverse();
            let [to, from] = &mut self.hosts;
            while let Some(transmit) = from.poll_transmit(now) {
                to.handle_packet(now, None, transmit.from_port, transmit.to_port, transmit.packet.into());
            }
        }
    }

    /// Moves this many bytes.
    fn carry(&mut self, total: usize) {
        let data = vec![7; 32 << 10];
        let (mut written, mut read) = (0, 0);
        while read < total {
            while written < total {
                let part = data.get(..data.len().min(total - written)).unwrap_or_default();
                let accepted = self.hosts[0].write(self.ids[0], part).unwrap_or(0);
                written += accepted;
                if accepted < part.len() {
                    break;
                }
            }
            self.step();
            while let Ok(Some(chunk)) = self.hosts[1].read_chunk(self.ids[1], 1 << 16) {
                read += chunk.len();
            }
            for host in &mut self.hosts {
                while host.poll_event().is_some() {}
            }
        }
    }
}

#[divan::bench(sample_count = 20)]
fn bulk(bencher: Bencher<'_, '_>) {
    let mut pair = Pair::new();
    pair.carry(PACKETS * 1812 * 4);
    bencher.counter(BytesCount::new(PACKETS * 1812)).bench_local(move || pair.carry(PACKETS * 1812));
}
