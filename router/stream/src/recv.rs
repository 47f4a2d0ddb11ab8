//! The receiving half of a connection: order, gaps, what to acknowledge and when, and choking.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::config::Config;

/// NACKs that fit into a packet.
const MOST_NACKS: usize = 255;
/// What a kept packet costs beside its payload, in bytes.
const OVERHEAD: usize = 64;
/// How often the end of choking is told.
const UNCHOKES: u8 = 4;

struct Segment {
    payload: Bytes,
    last: bool,
}

/// What became of a received packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// It extends the data that can be read.
    InOrder,
    /// It is kept until the gap before it is filled.
    Early,
    /// It came before.
    Duplicate,
    /// There is no room for it.
    Refused,
}

/// Received packets.
pub(crate) struct Receiver {
    /// The lowest sequence number not received; `early[i]` has number `next + i`.
    next: u32,
    early: VecDeque<Option<Segment>>,
    ready: VecDeque<Bytes>,
    ready_bytes: usize,
    held_bytes: usize,
    early_count: usize,
    finished: bool,
    discard: bool,
    /// Packets received since the last acknowledgement.
    unacknowledged: u32,
    pub(crate) ack_at: Option<Instant>,
    last_ack: Option<Instant>,
    choking: bool,
    unchokes: u8,
    /// The peer must hear at once that it is choked no more.
    pub(crate) unchoke_due: bool,
    pub(crate) bytes: u64,
    pub(crate) packets: u64,
    pub(crate) duplicates: u64,
    limit: usize,
    window: u32,
    ack_delay: Duration,
}

impl Receiver {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            next: 0,
            early: VecDeque::new(),
            ready: VecDeque::new(),
            ready_bytes: 0,
            held_bytes: 0,
            early_count: 0,
            finished: false,
            discard: false,
            unacknowledged: 0,
            ack_at: None,
            last_ack: None,
            choking: false,
            unchokes: 0,
            unchoke_due: false,
            bytes: 0,
            packets: 0,
            duplicates: 0,
            limit: config.receive_buffer,
            window: config.receive_window,
            ack_delay: config.ack_delay,
        }
    }

    /// Whether the peer's CLOSE and all before it has arrived.
    pub(crate) fn finished(&self) -> bool {
        self.finished
    }

    /// Bytes that can be read.
    pub(crate) fn readable(&self) -> usize {
        self.ready_bytes
    }

    /// From now on data is acknowledged and dropped.
    pub(crate) fn discard(&mut self) {
        self.discard = true;
        self.ready.clear();
        self.ready_bytes = 0;
    }

    /// Whether a packet of this number and payload length would be taken.
    fn has_room(&self, sequence: u32, length: usize) -> bool {
        let ahead = sequence - self.next;
        if ahead >= self.window {
            return false;
        }
        // The packet that everything waits for may use room that is kept from the others.
        let limit = if ahead == 0 { self.limit + self.limit / 4 } else { self.limit };
        self.ready_bytes + self.held_bytes + length + OVERHEAD <= limit
    }

    /// Takes a packet. `last`: it carries a (verified) CLOSE.
    pub(crate) fn accept(&mut self, sequence: u32, payload: Bytes, last: bool) -> Arrival {
        if sequence < self.next || self.finished {
            self.duplicates += 1;
            return Arrival::Duplicate;
        }
        let index = (sequence - self.next) as usize;
        if self.early.get(index).is_some_and(Option::is_some) {
            self.duplicates += 1;
            return Arrival::Duplicate;
        }
        if !self.has_room(sequence, payload.len()) {
            self.choking |= self.ready_bytes > 0;
            return Arrival::Refused;
        }
        self.packets += 1;
        if index > 0 {
            if self.early.len() <= index {
                self.early.resize_with(index + 1, || None);
            }
            self.held_bytes += payload.len() + OVERHEAD;
            self.early_count += 1;
            if let Some(slot) = self.early.get_mut(index) {
                *slot = Some(Segment { payload, last });
            }
            return Arrival::Early;
        }
        self.early.pop_front();
        self.next = self.next.saturating_add(1);
        self.deliver(payload, last);
        while !self.finished && self.early.front().is_some_and(Option::is_some) {
            if let Some(Some(segment)) = self.early.pop_front() {
                self.held_bytes = self.held_bytes.saturating_sub(segment.payload.len() + OVERHEAD);
                self.early_count -= 1;
                self.next = self.next.saturating_add(1);
                self.deliver(segment.payload, segment.last);
            }
        }
        if self.finished {
            self.early.clear();
            self.early_count = 0;
            self.held_bytes = 0;
        } else if self.early_count == 0 {
            self.early.clear();
        }
        Arrival::InOrder
    }

    fn deliver(&mut self, payload: Bytes, last: bool) {
        self.bytes += payload.len() as u64;
        if !self.discard && !payload.is_empty() {
            self.ready_bytes += payload.len();
            self.ready.push_back(payload);
        }
        self.finished |= last;
        self.choking |= self.ready_bytes > self.limit / 2;
    }

    /// Plans the acknowledgement of a packet. `rtt` in seconds, if known; `at_once`: the sender asks for it.
    pub(crate) fn plan_ack(&mut self, now: Instant, arrival: Arrival, rtt: Option<f64>, at_once: bool) {
        self.unacknowledged += 1;
        let rtt = rtt.unwrap_or(0.3);
        let gap = Duration::from_secs_f64((rtt / 64.0).clamp(0.001, 0.008));
        let soon = self.last_ack.map_or(now, |last| (last + gap).max(now));
        let every = match self.packets {
            0..=16 => 2,
            17..=128 => 8,
            _ => 32,
        };
        // A gap that begins or ends, and a packet that came in vain, are news for the sender.
        let news = match arrival {
            Arrival::InOrder => false,
            Arrival::Early => self.early_count == 1,
            Arrival::Duplicate | Arrival::Refused => true,
        };
        let due = if at_once || news || self.unacknowledged >= every {
            soon
        } else {
            now + Duration::from_secs_f64(rtt / 16.0).clamp(Duration::from_millis(1), self.ack_delay)
        };
        self.ack_at = Some(self.ack_at.map_or(due, |at| at.min(due)));
    }

    /// Asks for an acknowledgement without delay.
    pub(crate) fn ack_now(&mut self, now: Instant) {
        self.ack_at = Some(now);
    }

    /// The acknowledgement: through which number, and what is missing below it (ascending, at most 255).
    pub(crate) fn acknowledgement(&self, nacks: &mut Vec<u32>) -> u32 {
        nacks.clear();
        let mut through = self.next.saturating_sub(1);
        if self.early_count == 0 {
            return through;
        }
        for (sequence, slot) in (self.next..).zip(&self.early) {
            if slot.is_some() {
                through = sequence;
            } else if nacks.len() < MOST_NACKS {
                nacks.push(sequence);
            } else {
                break;
            }
        }
        // Of a gap that does not fit in, the beginning is told all the same: it may be all there is to tell.
        nacks.last().map_or(through, |&nack| through.max(nack))
    }

    /// The number through which nothing is missing.
    pub(crate) fn contiguous(&self) -> u32 {
        self.next.saturating_sub(1)
    }

    /// Whether a gap is open.
    pub(crate) fn has_gap(&self) -> bool {
        self.early_count > 0
    }

    /// An acknowledgement of everything has left.
    pub(crate) fn acknowledged(&mut self, now: Instant) {
        self.ack_at = None;
        self.last_ack = Some(now);
        self.unacknowledged = 0;
        self.unchokes = self.unchokes.saturating_sub(1);
        if self.unchokes > 0 {
            self.ack_at = Some(now + Duration::from_millis(50));
        }
    }

    /// What to say about choking: `Some(true)` choke, `Some(false)` choke no more.
    pub(crate) fn choke(&self) -> Option<bool> {
        if self.choking { Some(true) } else { (self.unchokes > 0).then_some(false) }
    }

    /// Takes up to `most` bytes of the front chunk.
    pub(crate) fn read_chunk(&mut self, most: usize) -> Option<Bytes> {
        let front = self.ready.front_mut()?;
        let chunk = if front.len() <= most { self.ready.pop_front()? } else { front.split_to(most) };
        self.ready_bytes -= chunk.len();
        if self.choking && self.ready_bytes <= self.limit / 4 {
            self.choking = false;
            self.unchokes = UNCHOKES;
            self.unchoke_due = true;
        }
        Some(chunk)
    }
}

#[cfg(test)]
mod tests;
