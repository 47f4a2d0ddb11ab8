//! One direction of a network: several tunnels behind one bottleneck.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use allium_crypto::Rng;

use crate::Transmit;

/// How packets are delayed, lost, doubled and reordered.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    /// One way, without queueing.
    pub(crate) delay: Duration,
    /// The most that each of the hops adds, at random.
    pub(crate) jitter: Duration,
    pub(crate) hops: u32,
    pub(crate) loss: f64,
    pub(crate) duplicates: f64,
    /// The share of packets that are held up by 100 to 300 ms, and with them what follows on their tunnel.
    pub(crate) spikes: f64,
    pub(crate) tunnels: u64,
    /// Whether each packet takes any tunnel, whatever its hint says (but for handshakes).
    pub(crate) spray: bool,
    /// Whether packets on a tunnel may overtake each other.
    pub(crate) disorder: bool,
    /// Bytes a second, and bytes that may queue for them.
    pub(crate) bandwidth: Option<f64>,
    pub(crate) queue: f64,
    /// Nothing passes.
    pub(crate) cut: bool,
    /// Arrivals wait for the next of the ticks that come this often.
    pub(crate) lumps: Duration,
    /// First transmissions that are lost, counted from when this was set, and the share of repetitions.
    pub(crate) doomed: BTreeSet<u64>,
    pub(crate) doomed_again: f64,
    pub(crate) state: State,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    free_at: Option<Instant>,
    begin: Option<Instant>,
    last: Vec<Option<Instant>>,
    pub(crate) fresh: u64,
    pub(crate) carried: u64,
    pub(crate) bytes: u64,
    pub(crate) dropped: u64,
    pub(crate) longest_queue: Duration,
    pub(crate) queued: Duration,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            delay: Duration::from_millis(350),
            jitter: Duration::ZERO,
            hops: 6,
            loss: 0.0,
            duplicates: 0.0,
            spikes: 0.0,
            tunnels: 4,
            spray: false,
            disorder: false,
            bandwidth: None,
            queue: 4e6,
            cut: false,
            lumps: Duration::ZERO,
            doomed: BTreeSet::new(),
            doomed_again: 0.0,
            state: State::default(),
        }
    }
}

impl Link {
    /// When the packet arrives: never, once or twice.
    pub(crate) fn carry(&mut self, now: Instant, transmit: &Transmit, rng: &mut Rng) -> Vec<Instant> {
        let size = transmit.packet.len() as f64 + 100.0;
        if self.cut || rng.chance(self.loss) || self.is_doomed(transmit, rng) {
            self.state.dropped += 1;
            return Vec::new();
        }
        let mut leaves = now;
        if let Some(bandwidth) = self.bandwidth {
            let free = self.state.free_at.unwrap_or(now).max(now);
            let queued = free - now;
            if queued.as_secs_f64() * bandwidth > self.queue {
                self.state.dropped += 1;
                return Vec::new();
            }
            self.state.longest_queue = self.state.longest_queue.max(queued);
            self.state.queued += queued;
            leaves = free + Duration::from_secs_f64(size / bandwidth);
            self.state.free_at = Some(leaves);
        }
        self.state.carried += 1;
        self.state.bytes += transmit.packet.len() as u64;
        let copies = if rng.chance(self.duplicates) { 2 } else { 1 };
        (0..copies).map(|_| self.arrival(leaves, transmit, rng)).collect()
    }

    fn is_doomed(&mut self, transmit: &Transmit, rng: &mut Rng) -> bool {
        if self.doomed.is_empty() || transmit.packet.len() < 1000 {
            return false;
        }
        if transmit.is_retransmit {
            return rng.chance(self.doomed_again);
        }
        self.state.fresh += 1;
        self.doomed.contains(&(self.state.fresh - 1))
    }

    fn arrival(&mut self, leaves: Instant, transmit: &Transmit, rng: &mut Rng) -> Instant {
        let any = self.spray && !transmit.first;
        let tunnel = if any { rng.below(self.tunnels) } else { transmit.path_hint % self.tunnels } as usize;
        let jitter: f64 = (0..self.hops).map(|_| rng.unit()).sum::<f64>() * self.jitter.as_secs_f64();
        let mut arrives = leaves + self.delay + Duration::from_secs_f64(jitter);
        if rng.chance(self.spikes) {
            arrives += Duration::from_millis(rng.range(100..300));
        }
        if !self.lumps.is_zero() {
            let begin = *self.state.begin.get_or_insert(arrives);
            let past = arrives.saturating_duration_since(begin).as_nanos();
            let ticks = past.div_ceil(self.lumps.as_nanos()) as u32;
            arrives = begin + self.lumps * ticks;
        }
        self.state.last.resize(self.tunnels as usize, None);
        if !self.disorder {
            arrives = self.state.last[tunnel].map_or(arrives, |last| last.max(arrives));
            self.state.last[tunnel] = Some(arrives);
        }
        arrives
    }
}
