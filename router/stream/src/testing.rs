//! Two hosts and the network between them, in virtual time.

pub(crate) mod app;
pub(crate) mod link;
pub(crate) mod peer;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use allium_crypto::Rng;
use allium_wire::{Date, DestHash, Destination, DestinationKeys, Now};
use bytes::Bytes;

use crate::{Config, ConnectionId, Host, Transmit};

use app::App;
use link::Link;
use peer::{Kind, Peer};

/// The instant at which virtual time begins. Only differences to it matter.
#[allow(clippy::disallowed_methods)]
pub(crate) fn start() -> Instant {
    Instant::now()
}

/// The present, `elapsed` after the beginning.
pub(crate) fn at(start: Instant, elapsed: Duration) -> Now {
    Now { instant: start + elapsed, date: Date(1_800_000_000_000 + elapsed.as_millis() as u64) }
}

pub(crate) fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// A host with keys of its own.
pub(crate) fn host(seed: u8, config: Config) -> (Host, Destination) {
    let mut rng = Rng::from_seed([seed; 32]);
    let keys = DestinationKeys::generate(&mut rng);
    let destination = keys.destination().clone();
    (Host::new(destination.clone(), keys.signing().clone(), config, rng), destination)
}

/// A packet on its way.
pub(crate) struct Flying {
    pub(crate) at: Instant,
    pub(crate) number: u64,
    pub(crate) to: usize,
    pub(crate) from: DestHash,
    pub(crate) from_port: u16,
    pub(crate) to_port: u16,
    pub(crate) bytes: Bytes,
}

impl PartialEq for Flying {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.number) == (other.at, other.number)
    }
}
impl Eq for Flying {}
impl PartialOrd for Flying {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Flying {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

/// One side of the simulation.
pub(crate) struct Side {
    pub(crate) host: Host,
    pub(crate) destination: Destination,
    pub(crate) app: App,
    /// The way out.
    pub(crate) link: Link,
    /// Whether packets that this side receives name their sender.
    pub(crate) hints: bool,
    pub(crate) sent: u64,
}

/// Two hosts, their applications and the links between them.
pub(crate) struct Sim {
    pub(crate) start: Instant,
    pub(crate) elapsed: Duration,
    pub(crate) sides: [Side; 2],
    /// Takes the place of side 1.
    pub(crate) peer: Option<Peer>,
    flying: BinaryHeap<Reverse<Flying>>,
    number: u64,
    rng: Rng,
}

impl Sim {
    pub(crate) fn new(seed: u8, link: &Link, configs: [Config; 2]) -> Self {
        let [first, second] = configs;
        let side = |seed, config| {
            let (host, destination) = host(seed, config);
            Side { host, destination, app: App::default(), link: link.clone(), hints: false, sent: 0 }
        };
        Self {
            start: start(),
            elapsed: Duration::ZERO,
            sides: [side(seed, first), side(seed.wrapping_add(1), second)],
            peer: None,
            flying: BinaryHeap::new(),
            number: 0,
            rng: Rng::from_seed([seed ^ 0x55; 32]),
        }
    }

    /// A host and a peer of another kind.
    pub(crate) fn with_peer(seed: u8, link: &Link, config: Config, kind: Kind) -> Self {
        let mut sim = Self::new(seed, link, [config, Config::default()]);
        let keys = DestinationKeys::generate(&mut Rng::from_seed([seed.wrapping_add(1); 32]));
        assert_eq!(keys.destination(), &sim.sides[1].destination);
        sim.peer = Some(Peer::new(kind, keys));
        sim
    }

    fn pump_peer(&mut self) {
        let now = self.now();
        let Some(peer) = &mut self.peer else { return };
        for packet in peer.poll(now.instant) {
            let transmit = Transmit {
                connection: None,
                to: self.sides[0].destination.dest_hash(),
                from_port: 80,
                to_port: 1234,
                packet,
                is_retransmit: false,
                path_hint: 0,
                first: false,
                asks: true,
                early: false,
            };
            let side = &mut self.sides[1];
            side.sent += 1;
            for at in side.link.carry(now.instant, &transmit, &mut self.rng) {
                self.number += 1;
                self.flying.push(Reverse(Flying {
                    at,
                    number: self.number,
                    to: 0,
                    from: side.destination.dest_hash(),
                    from_port: 80,
                    to_port: 1234,
                    bytes: transmit.packet.clone().into(),
                }));
            }
        }
    }

    pub(crate) fn now(&self) -> Now {
        at(self.start, self.elapsed)
    }

    /// Opens a connection from side 0 to side 1.
    pub(crate) fn connect(&mut self, first: &[u8]) -> ConnectionId {
        let now = self.now();
        let to = self.sides[1].destination.clone();
        self.sides[0]
            .host
            .connect(now, to, 80, 1234, Bytes::copy_from_slice(first))
            .expect("room for a connection")
    }

    /// Opens a connection over which side 0 sends `total` bytes, then closes its direction.
    pub(crate) fn upload(&mut self, total: u64) -> ConnectionId {
        let id = self.connect(&[]);
        self.sides[0].app.send(id, total, true);
        id
    }

    /// Lets both applications and hosts do what they can now.
    fn pump(&mut self) {
        let now = self.now();
        self.pump_peer();
        for index in 0..2 {
            let side = &mut self.sides[index];
            loop {
                side.app.run(now, &mut side.host);
                let mut busy = false;
                while let Some(transmit) = side.host.poll_transmit(now) {
                    busy = true;
                    side.sent += 1;
                    assert!(transmit.packet.len() <= 4096);
                    for at in side.link.carry(now.instant, &transmit, &mut self.rng) {
                        self.number += 1;
                        self.flying.push(Reverse(Flying {
                            at,
                            number: self.number,
                            to: 1 - index,
                            from: side.destination.dest_hash(),
                            from_port: transmit.from_port,
                            to_port: transmit.to_port,
                            bytes: transmit.packet.clone().into(),
                        }));
                    }
                }
                if !busy {
                    break;
                }
            }
            side.app.run(now, &mut side.host);
        }
    }

    /// The time at which something happens next; timers go off on whole milliseconds.
    fn next(&self) -> Option<Duration> {
        let arrival = self.flying.peek().map(|flying| flying.0.at.saturating_duration_since(self.start));
        let peer = self.peer.as_ref().and_then(Peer::deadline);
        let timers = self.sides.iter().filter_map(|side| side.host.deadline()).chain(peer);
        let timer = timers.min().map(|at| {
            let millis = at.saturating_duration_since(self.start).as_nanos().div_ceil(1_000_000);
            Duration::from_millis(millis as u64).max(self.elapsed + Duration::from_micros(10))
        });
        arrival.into_iter().chain(timer).min()
    }

    /// Runs until `done`, or panics after `limit` of virtual time; returns the time it took.
    pub(crate) fn run(&mut self, limit: Duration, mut done: impl FnMut(&mut Self) -> bool) -> Duration {
        let began = self.elapsed;
        loop {
            self.pump();
            if done(self) {
                return self.elapsed.saturating_sub(began);
            }
            let next = self.next().unwrap_or(Duration::MAX);
            assert!(next <= began + limit, "not done after {limit:?}: {}", self.describe());
            self.elapsed = self.elapsed.max(next);
            let now = self.now();
            while self.flying.peek().is_some_and(|flying| flying.0.at <= now.instant) {
                let Some(Reverse(flying)) = self.flying.pop() else { break };
                if flying.to == 1
                    && let Some(peer) = &mut self.peer
                {
                    peer.handle(now, &flying.bytes);
                    continue;
                }
                let side = &mut self.sides[flying.to];
                let hint = side.hints.then_some(flying.from);
                side.host.handle_packet(now, hint, flying.from_port, flying.to_port, flying.bytes);
            }
        }
    }

    /// Runs for a while.
    pub(crate) fn run_for(&mut self, time: Duration) {
        let until = self.elapsed + time;
        self.run(time + ms(1), |sim| sim.next().is_none_or(|next| next > until));
        self.elapsed = until;
    }

    pub(crate) fn describe(&self) -> String {
        let peer = self.peer.as_ref().map(Peer::describe);
        let mut text = format!("at {:?} {peer:?}\n", self.elapsed);
        for side in &self.sides {
            let name = side.destination.dest_hash();
            let _ = writeln!(text, "{name} sent {} {:?}", side.sent, side.host.host_stats());
            for id in side.host.connections() {
                let _ = writeln!(text, "  {id:?} {:?}", side.host.stats(id));
            }
            let _ = writeln!(text, "  {:?}", side.app);
        }
        text
    }
}
