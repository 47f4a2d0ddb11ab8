//! Receivers that keep to the rules of other routers, as far as those matter to a sender.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use allium_wire::streaming::{Packet, flags};
use allium_wire::{DestinationKeys, Now};
use bytes::Bytes;

use crate::packet::Header;

use super::app::byte;
use super::ms;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Window 512, acks after a tenth of the round trip, at most 200 ms; drops what is too far ahead.
    I2pd,
    /// A buffer of 130 packets, acks after 750 ms or, asked, after an eighth of the round trip.
    Java,
}

/// The receiving side of one connection.
pub(crate) struct Peer {
    kind: Kind,
    keys: DestinationKeys,
    id: u32,
    remote: u32,
    next: u32,
    early: BTreeMap<u32, (Bytes, bool)>,
    ready: f64,
    /// Bytes a second that its application reads; all at once if none.
    pub(crate) reads: Option<f64>,
    read_at: Option<Instant>,
    ack_at: Option<Instant>,
    last_ack: Option<Instant>,
    choke: Option<u16>,
    choking: bool,
    pub(crate) received: u64,
    pub(crate) chokes: u32,
    pub(crate) refused: u32,
    pub(crate) finished: bool,
    out: Vec<Vec<u8>>,
}

const BUFFER: f64 = 130.0 * 1812.0;

impl Peer {
    pub(crate) fn new(kind: Kind, keys: DestinationKeys) -> Self {
        Self {
            kind,
            keys,
            id: 0x0102_0304,
            remote: 0,
            next: 0,
            early: BTreeMap::new(),
            ready: 0.0,
            reads: None,
            read_at: None,
            ack_at: None,
            last_ack: None,
            choke: None,
            choking: false,
            received: 0,
            chokes: 0,
            refused: 0,
            finished: false,
            out: Vec::new(),
        }
    }

    pub(crate) fn handle(&mut self, now: Now, bytes: &Bytes) {
        let packet = Packet::decode(bytes, None).expect("a packet that can be read");
        let at = now.instant;
        self.read(at);
        if packet.has(flags::RESET) || self.remote == 0 && !packet.has(flags::SYNCHRONIZE) {
            // It keeps what comes before the SYN; tests with disorder before the SYN use a host.
            return;
        }
        if packet.has(flags::SYNCHRONIZE) && self.remote == 0 {
            packet.verify(packet.from.as_ref().expect("a sender"), now.date).expect("a signature");
            self.remote = packet.receive_id;
            self.accept(at, &packet);
            let header = Header {
                send_id: self.remote,
                receive_id: self.id,
                flags: flags::SYNCHRONIZE,
                ack_through: 0,
                ..Header::default()
            };
            let from = self.keys.destination();
            self.out.push(header.signed(Some(from), Some(1812), &[], self.keys.signing()));
            return;
        }
        if packet.sequence > 0 || packet.has(flags::SYNCHRONIZE) {
            self.accept(at, &packet);
        }
    }

    fn schedule(&mut self, at: Instant) {
        self.ack_at = Some(self.ack_at.map_or(at, |set| set.min(at)));
    }

    fn accept(&mut self, now: Instant, packet: &Packet) {
        match self.kind {
            Kind::I2pd => self.accept_i2pd(now, packet),
            Kind::Java => self.accept_java(now, packet),
        }
    }

    fn store(&mut self, packet: &Packet) {
        self.early.insert(packet.sequence, (packet.payload.clone(), packet.has(flags::CLOSE)));
        while let Some((payload, last)) = self.early.remove(&self.next) {
            self.next += 1;
            let expected = (self.received..).map(byte);
            assert!(payload.iter().copied().zip(expected).all(|(a, b)| a == b));
            self.received += payload.len() as u64;
            if self.reads.is_some() {
                self.ready += payload.len() as f64;
            }
            self.finished |= last;
        }
    }

    fn accept_i2pd(&mut self, now: Instant, packet: &Packet) {
        let delay = ms(70);
        let sequence = packet.sequence;
        if sequence < self.next || self.early.contains_key(&sequence) {
            if self.ack_at.is_none() {
                self.ack(now);
                self.schedule(now + delay);
            }
            return;
        }
        if sequence > self.next {
            let last = self.early.last_key_value().map_or(self.next - 1, |(&last, _)| last);
            let holes = last + 1 - self.next - self.early.len() as u32 + sequence.saturating_sub(last);
            if sequence + 1 - self.next >= 1536 || holes >= 256 {
                self.refused += 1;
                self.choke = Some(65_535);
            } else {
                self.store(packet);
            }
            if self.ack_at.is_none() {
                self.ack(now);
                self.schedule(now + delay);
            }
            return;
        }
        self.store(packet);
        if packet.delay_requested == Some(0) {
            self.ack(now);
        } else {
            self.schedule(now + delay);
        }
    }

    fn accept_java(&mut self, now: Instant, packet: &Packet) {
        let sequence = packet.sequence;
        let new = sequence >= self.next && !self.early.contains_key(&sequence);
        let held = self.ready + self.early.len() as f64 * 1812.0;
        let allowed = ((BUFFER - self.ready) / 1812.0).max(0.0) as u32;
        if new && sequence >= 16 && held >= BUFFER && sequence > self.next + allowed {
            self.refused += 1;
            if !self.choking {
                self.chokes += 1;
            }
            self.choking = true;
            self.ack(now);
            return;
        }
        if !new {
            self.schedule(self.last_ack.map_or(now, |last| last + ms(350)).max(now));
            return;
        }
        self.store(packet);
        if packet.payload.len() > 1500 && std::mem::take(&mut self.choking) {
            self.choke = Some(0);
            self.ack(now);
        }
        self.schedule(now + if packet.delay_requested == Some(0) { ms(87) } else { ms(750) });
    }

    /// The application reads.
    fn read(&mut self, now: Instant) {
        let Some(rate) = self.reads else { return };
        let since = self.read_at.replace(now).unwrap_or(now);
        self.ready = (self.ready - (now - since).as_secs_f64() * rate).max(0.0);
    }

    fn ack(&mut self, now: Instant) {
        self.ack_at = None;
        self.last_ack = Some(now);
        let mut nacks = Vec::new();
        let mut through = self.next - 1;
        for &sequence in self.early.keys() {
            let first = through + 1;
            if nacks.len() + (sequence - first) as usize > 255 {
                break;
            }
            nacks.extend(first..sequence);
            through = sequence;
        }
        let choke = if self.choking { Some(61_000) } else { self.choke.take() };
        let header = Header {
            send_id: self.remote,
            receive_id: self.id,
            ack_through: through,
            nacks: &nacks,
            delay_requested: choke,
            ..Header::default()
        };
        self.out.push(header.plain(&[]));
    }

    pub(crate) fn poll(&mut self, now: Instant) -> Vec<Vec<u8>> {
        self.read(now);
        if self.ack_at.is_some_and(|at| at <= now) {
            self.ack(now);
        }
        std::mem::take(&mut self.out)
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.ack_at
    }

    pub(crate) fn describe(&self) -> String {
        let Self { next, received, chokes, refused, ready, .. } = self;
        format!(
            "{:?} next {next} received {received} chokes {chokes} refused {refused} ready {ready}",
            self.kind
        )
    }
}

/// How long a test waits at most.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
