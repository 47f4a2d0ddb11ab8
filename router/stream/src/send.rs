//! The sending half of a connection: data not yet sent, and packets not yet acknowledged.

mod buffer;

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::congestion::Flight;
use crate::path::Path;

pub(crate) use buffer::Buffer;

/// An acknowledgement this much sooner than the least round trip cannot be for the retransmission.
const TOO_SOON: f64 = 0.75;

/// What a packet consists of, kept until it is acknowledged.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    /// Payload; the header is written anew at each transmission.
    Data(Bytes),
    /// A whole signed packet (SYN, CLOSE), repeated byte by byte.
    Signed(Bytes),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    InFlight,
    /// Too old to be in flight, but neither reported missing nor acknowledged: a report names 255 gaps at most.
    Unknown,
    /// To be sent again.
    Lost,
    Acknowledged,
}

struct Unacknowledged {
    body: Body,
    size: u64,
    first_sent: Instant,
    sent: Instant,
    /// Number of the transmission, in the order of all transmissions of the connection.
    order: u64,
    sends: u8,
    nacks: u8,
    state: State,
    flight: Flight,
}

/// The latest transmission that an acknowledgement reports, how long it took, and whether it was the only one
/// of its packet.
#[derive(Clone, Copy)]
struct Newest {
    order: u64,
    age: f64,
    once: bool,
}

/// What an acknowledgement has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) packets: u32,
    pub(crate) bytes: u64,
    /// Bytes that must have arrived earlier, and could not be acknowledged before gaps were filled.
    late: u64,
    /// When the latest of the packets was sent.
    pub(crate) latest: Option<Instant>,
    /// It acknowledges what was never sent.
    pub(crate) absurd: bool,
}

/// Counters of the sending half.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    pub(crate) packets: u64,
    pub(crate) resent: u64,
    pub(crate) spurious: u64,
}

/// Unacknowledged packets by sequence number, and the data behind them.
pub(crate) struct SendQueue {
    pub(crate) buffer: Buffer,
    /// The lowest sequence number not acknowledged; `packets[i]` has number `base + i`.
    base: u32,
    packets: VecDeque<Unacknowledged>,
    lost: BTreeSet<u32>,
    next_order: u64,
    /// The latest transmission known to have arrived, and how long that took (seconds).
    newest_order: u64,
    newest_rtt: f64,
    /// When the next packet that was reported missing counts as lost.
    pub(crate) loss_at: Option<Instant>,
    pub(crate) counters: Counters,
}

impl SendQueue {
    pub(crate) fn new() -> Self {
        Self {
            buffer: Buffer::default(),
            base: 0,
            packets: VecDeque::new(),
            lost: BTreeSet::new(),
            next_order: 1,
            newest_order: 0,
            newest_rtt: 0.0,
            loss_at: None,
            counters: Counters::default(),
        }
    }

    /// The sequence number of the next new packet.
    pub(crate) fn next(&self) -> u32 {
        self.base.saturating_add(self.packets.len() as u32)
    }

    /// The lowest unacknowledged sequence number.
    pub(crate) fn base(&self) -> u32 {
        self.base
    }

    /// Packets from the first unacknowledged one to the last one sent.
    pub(crate) fn span(&self) -> u32 {
        self.packets.len() as u32
    }

    /// Whether every packet sent has been acknowledged.
    pub(crate) fn is_settled(&self) -> bool {
        self.packets.is_empty()
    }

    /// Whether a packet waits to be sent again.
    pub(crate) fn has_lost(&self) -> bool {
        !self.lost.is_empty()
    }

    /// Takes note of the first transmission of the next packet; `size` counts its header.
    pub(crate) fn push(&mut self, now: Instant, body: Body, size: u64, path: &mut Path) {
        let flight = path.congestion.sent(now, size);
        let order = self.order();
        self.counters.packets += 1;
        self.packets.push_back(Unacknowledged {
            body,
            size,
            first_sent: now,
            sent: now,
            order,
            sends: 1,
            nacks: 0,
            state: State::InFlight,
            flight,
        });
    }

    fn order(&mut self) -> u64 {
        let order = self.next_order;
        self.next_order += 1;
        order
    }

    /// Takes the first lost packet for another transmission: sequence number, contents, size.
    pub(crate) fn resend(&mut self, now: Instant, path: &mut Path) -> Option<(u32, Body, u64)> {
        let order = self.order();
        while let Some(sequence) = self.lost.pop_first() {
            let index = sequence.wrapping_sub(self.base) as usize;
            let Some(packet) = self.packets.get_mut(index) else { continue };
            if packet.state != State::Lost {
                continue;
            }
            packet.state = State::InFlight;
            packet.flight = path.congestion.sent(now, packet.size);
            packet.sent = now;
            packet.order = order;
            packet.sends = packet.sends.saturating_add(1);
            packet.nacks = 0;
            self.counters.resent += 1;
            return Some((sequence, packet.body.clone(), packet.size));
        }
        None
    }

    /// Processes an acknowledgement: everything through `through` has arrived except `nacks` (ascending).
    pub(crate) fn acknowledge(
        &mut self,
        now: Instant,
        through: u32,
        nacks: &[u32],
        path: &mut Path,
    ) -> Progress {
        let mut progress = Progress::default();
        if through >= self.next() {
            // Also an answer to nothing sent at all; a peer cannot know what we have not sent.
            progress.absurd = !(through == 0 && self.next() == 0);
            return progress;
        }
        if through < self.base {
            return progress;
        }
        let mut nacks = nacks.iter().copied().skip_while(|&nack| nack < self.base).peekable();
        let mut newest: Option<Newest> = None;
        let count = (through - self.base) as usize + 1;
        let usual = path.rtt.smoothed().unwrap_or(f64::MAX).max(self.newest_rtt) + path.rtt.reordering();
        for (sequence, packet) in (self.base..).zip(self.packets.iter_mut()).take(count) {
            while nacks.next_if(|&nack| nack < sequence).is_some() {}
            let missing = nacks.next_if_eq(&sequence).is_some();
            if packet.state == State::Acknowledged {
                continue;
            }
            if missing {
                packet.nacks = packet.nacks.saturating_add(1);
                continue;
            }
            let age = now.saturating_duration_since(packet.sent).as_secs_f64();
            let soon = packet.sends > 1 && age < TOO_SOON * path.rtt.minimum().unwrap_or(0.0);
            if packet.state == State::Lost {
                self.lost.remove(&sequence);
            }
            if soon || packet.state == State::Lost {
                path.congestion.not_lost(packet.size);
                self.counters.spurious += u64::from(soon);
            }
            if soon || packet.order < self.newest_order {
                let age = now.saturating_duration_since(packet.first_sent).as_secs_f64();
                // Of a packet sent twice nobody can tell which one came, unless it came too soon.
                if soon || packet.sends == 1 {
                    path.rtt.overtaken(now, age - self.newest_rtt);
                }
            } else if newest.is_none_or(|newest| packet.order > newest.order) {
                newest = Some(Newest { order: packet.order, age, once: packet.sends == 1 });
            }
            let counted = packet.state == State::InFlight;
            path.congestion.delivered(now, packet.sent, packet.flight, packet.size, counted);
            packet.state = State::Acknowledged;
            packet.body = Body::Data(Bytes::new());
            progress.packets += 1;
            progress.bytes += packet.size;
            progress.latest = progress.latest.max(Some(packet.sent));
            progress.late += if age > usual { packet.size } else { 0 };
        }
        self.finish(now, newest, path, progress);
        progress
    }

    fn finish(&mut self, now: Instant, newest: Option<Newest>, path: &mut Path, progress: Progress) {
        let measured = newest.filter(|newest| newest.once).map(|newest| newest.age);
        if let Some(newest) = newest {
            self.newest_order = newest.order;
        }
        if let Some(rtt) = measured {
            self.newest_rtt = rtt;
            path.rtt.sample(now, rtt);
        }
        while self.packets.front().is_some_and(|packet| packet.state == State::Acknowledged) {
            self.packets.pop_front();
            self.base += 1;
        }
        if self.packets.is_empty() {
            self.packets.shrink_to(64);
        }
        if progress.late > 0 && progress.late >= progress.bytes / 4 {
            path.congestion.lump();
        }
        path.congestion.acknowledged(now, &mut path.rtt, progress.bytes, measured);
        self.detect_lost(now, path);
    }

    /// Marks packets as lost that were reported missing, were overtaken by later ones, and had their time.
    pub(crate) fn detect_lost(&mut self, now: Instant, path: &mut Path) {
        self.loss_at = None;
        let patience = path.rtt.smoothed().unwrap_or(1.0).max(self.newest_rtt) + path.rtt.reordering();
        let usual = Duration::from_secs_f64(patience);
        // One report alone may be stale.
        let longer = usual * 5 / 4;
        for (sequence, packet) in (self.base..).zip(self.packets.iter_mut()) {
            let counted = packet.state == State::InFlight;
            let open = counted || packet.state == State::Unknown && packet.nacks > 0;
            if !open || packet.order >= self.newest_order {
                continue;
            }
            let due = packet.sent + if packet.nacks >= 2 { usual } else { longer };
            if due <= now && packet.nacks == 0 {
                packet.state = State::Unknown;
                path.congestion.forget(packet.size);
            } else if due <= now {
                packet.state = State::Lost;
                path.note_loss();
                path.congestion.lost(packet.sent, packet.size, counted);
                self.lost.insert(sequence);
            } else {
                self.loss_at = Some(self.loss_at.map_or(due, |at| at.min(due)));
            }
        }
    }

    /// Prepares the first and the last unacknowledged packet to be sent again, as probes; how many.
    pub(crate) fn probe(&mut self, path: &mut Path) -> u8 {
        let last = self.packets.iter().rposition(|packet| packet.state != State::Acknowledged);
        let Some(last) = last else { return 0 };
        // The first packet never is an acknowledged one.
        for index in [0, last] {
            let Some(packet) = self.packets.get_mut(index) else { continue };
            if packet.state == State::InFlight {
                path.congestion.forget(packet.size);
            }
            packet.state = State::Lost;
            self.lost.insert(self.base.saturating_add(index as u32));
        }
        if last == 0 { 1 } else { 2 }
    }

    /// Prepares all that was sent longer than `age` ago to be sent again.
    pub(crate) fn give_up_older(&mut self, now: Instant, age: Duration, path: &mut Path) {
        for (sequence, packet) in (self.base..).zip(self.packets.iter_mut()) {
            let counted = packet.state == State::InFlight;
            let open = counted || packet.state == State::Unknown;
            if open && now.saturating_duration_since(packet.sent) >= age {
                packet.state = State::Lost;
                if counted {
                    path.congestion.forget(packet.size);
                }
                self.lost.insert(sequence);
            }
        }
    }

    /// Drops everything: the connection is over.
    pub(crate) fn clear(&mut self, path: &mut Path) {
        for packet in self.packets.drain(..) {
            if packet.state == State::InFlight {
                path.congestion.forget(packet.size);
            }
        }
        self.lost.clear();
        self.buffer.clear();
        self.loss_at = None;
    }
}

#[cfg(test)]
mod tests;
