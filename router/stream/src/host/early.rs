//! Packets that came before the SYN they belong to.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use allium_crypto::{HashMap, Rng};
use allium_wire::DestHash;
use bytes::Bytes;

const LIFETIME: Duration = Duration::from_secs(3);
const MOST_PER_STREAM: usize = 64;
const MOST_BYTES: usize = 1 << 20;

/// A packet as it came.
pub(super) struct Waiting {
    pub(super) from: Option<DestHash>,
    pub(super) from_port: u16,
    pub(super) to_port: u16,
    pub(super) bytes: Bytes,
}

/// A bounded store of packets by stream ID: ours if the SYN is the answer to ours, else the peer's.
pub(super) struct Early {
    streams: HashMap<(bool, u32), Vec<Waiting>>,
    /// When each stream's first packet came, in order.
    since: VecDeque<(Instant, (bool, u32))>,
    bytes: usize,
}

impl Early {
    pub(super) fn new(rng: &mut Rng) -> Self {
        Self { streams: HashMap::with_hasher(rng.hasher()), since: VecDeque::new(), bytes: 0 }
    }

    /// Keeps a packet for a while, if there is room.
    pub(super) fn keep(&mut self, now: Instant, ours: bool, id: u32, packet: Waiting) {
        self.expire(now);
        let cost = packet.bytes.len() + 128;
        if self.bytes + cost > MOST_BYTES {
            return;
        }
        let key = (ours, id);
        let stream = self.streams.entry(key).or_insert_with(|| {
            self.since.push_back((now, key));
            Vec::new()
        });
        if stream.len() < MOST_PER_STREAM {
            self.bytes += cost;
            stream.push(packet);
        }
    }

    /// Takes the packets of a stream.
    pub(super) fn take(&mut self, ours: bool, id: u32) -> Vec<Waiting> {
        let packets = self.streams.remove(&(ours, id)).unwrap_or_default();
        self.bytes -= packets.iter().map(|packet| packet.bytes.len() + 128).sum::<usize>();
        packets
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn expire(&mut self, now: Instant) {
        while let Some(&(since, (ours, id))) = self.since.front()
            && now.saturating_duration_since(since) > LIFETIME
        {
            self.since.pop_front();
            self.take(ours, id);
        }
    }
}
