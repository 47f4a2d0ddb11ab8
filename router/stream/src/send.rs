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

/// Missing packets that one report can name.
const MOST_NAMED: u32 = 255;
/// Where at least one in so many of the packets that a report covers is missing, what it does not cover is
/// sent again without waiting for word of it.
const SPARSE: u32 = 4;
/// How many of those are sent again at first; doubled each round trip.
const FIRST_GUESS: u32 = 256;

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
    /// Reports since the last transmission that lack it, and whether one has named it.
    nacks: u8,
    named: bool,
    /// It is sent again though it may have arrived.
    guessed: bool,
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

impl Unacknowledged {
    /// A report lacks it. Only a packet that another has overtaken is named.
    fn missed(&mut self, named: bool) {
        self.nacks = self.nacks.saturating_add(1);
        self.named |= named;
    }

    /// Whether a packet is known to have arrived that was sent after it, `newest` being the latest of those.
    fn is_overtaken(&self, newest: u64) -> bool {
        self.order < newest || self.sends == 1 && (self.named || self.nacks >= 3)
    }
}

/// Which part of what acknowledgements do not say is sent again.
#[derive(Clone, Copy, Debug)]
struct Guess {
    /// Much is missing of what they do cover.
    dense: bool,
    most: u32,
    at: Option<Instant>,
}

/// The acknowledgement fields of a packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Report<'a> {
    pub(crate) through: u32,
    /// In ascending order.
    pub(crate) nacks: &'a [u32],
    /// It reports all that it can: it comes in a packet of its own.
    pub(crate) whole: bool,
}

impl Report<'_> {
    /// The first number about which nothing can be said. Receivers end a report before the gap that does not
    /// fit into it, so what would still have fitted is missing, too.
    fn horizon(&self) -> u32 {
        let unused = if self.whole { MOST_NAMED.saturating_sub(self.nacks.len() as u32) } else { 0 };
        self.through.saturating_add(1).saturating_add(unused)
    }
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
    guess: Guess,
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
            guess: Guess { dense: false, most: FIRST_GUESS, at: None },
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
            named: false,
            guessed: false,
            state: State::InFlight,
            flight,
        });
    }

    fn order(&mut self) -> u64 {
        let order = self.next_order;
        self.next_order += 1;
        order
    }

    /// Takes the first lost packet for another transmission: sequence number, contents, transmissions so far.
    pub(crate) fn resend(&mut self, now: Instant, path: &mut Path) -> Option<(u32, Body, u8)> {
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
            packet.named = false;
            self.counters.resent += 1;
            return Some((sequence, packet.body.clone(), packet.sends));
        }
        None
    }

    /// Processes an acknowledgement: everything through `report.through` has arrived except `report.nacks`.
    pub(crate) fn acknowledge(&mut self, now: Instant, report: Report<'_>, path: &mut Path) -> Progress {
        let mut progress = Progress::default();
        let through = report.through;
        if through >= self.next() {
            // Also an answer to nothing sent at all; a peer cannot know what we have not sent.
            progress.absurd = !(through == 0 && self.next() == 0);
            return progress;
        }
        if through < self.base && !(report.whole && through + 1 == self.base) {
            return progress;
        }
        let base = self.base;
        let mut nacks = report.nacks.iter().copied().skip_while(|&nack| nack < base).peekable();
        let mut newest: Option<Newest> = None;
        let count = (through + 1 - self.base) as usize;
        let usual = path.rtt.smoothed().unwrap_or(f64::MAX).max(self.newest_rtt) + path.rtt.reordering();
        for index in 0..count {
            let sequence = base + index as u32;
            while nacks.next_if(|&nack| nack < sequence).is_some() {}
            let missing = nacks.next_if_eq(&sequence).is_some();
            let Some(packet) = self.packets.get_mut(index) else { break };
            if packet.state == State::Acknowledged {
                continue;
            }
            if missing {
                packet.missed(true);
                continue;
            }
            let late = now.saturating_duration_since(packet.sent).as_secs_f64() > usual;
            progress.packets += 1;
            progress.bytes += packet.size;
            progress.latest = progress.latest.max(Some(packet.sent));
            progress.late += if late { packet.size } else { 0 };
            if let Some(candidate) = self.arrived(now, index, path)
                && newest.is_none_or(|newest| candidate.order > newest.order)
            {
                newest = Some(candidate);
            }
        }
        self.look_beyond(now, report, path);
        self.finish(now, newest, path, progress);
        progress
    }

    /// A packet is acknowledged; returns what it tells of the round trip unless later ones have.
    fn arrived(&mut self, now: Instant, index: usize, path: &mut Path) -> Option<Newest> {
        let packet = self.packets.get_mut(index)?;
        let age = now.saturating_duration_since(packet.sent).as_secs_f64();
        let soon = packet.sends > 1 && age < TOO_SOON * path.rtt.minimum().unwrap_or(0.0);
        let was_lost = packet.state == State::Lost;
        if was_lost {
            self.lost.remove(&(self.base + index as u32));
        }
        if (soon || was_lost) && !packet.guessed {
            path.congestion.not_lost(packet.size);
        }
        self.counters.spurious += u64::from(soon);
        let overtaken = soon || packet.order < self.newest_order;
        // Of a packet sent twice nobody can tell which one came, unless it came too soon; and of one that no
        // report has lacked, not when it came.
        if overtaken && !packet.guessed && (soon || packet.sends == 1 && packet.nacks > 0) {
            let age = now.saturating_duration_since(packet.first_sent).as_secs_f64();
            path.rtt.overtaken(now, age - self.newest_rtt);
        }
        let counted = packet.state == State::InFlight;
        path.congestion.delivered(now, packet.sent, packet.flight, packet.size, counted);
        packet.state = State::Acknowledged;
        packet.body = Body::Data(Bytes::new());
        (!overtaken).then_some(Newest { order: packet.order, age, once: packet.sends == 1 })
    }

    /// What follows the end of a report is missing as far as the report could have named it, and unknown beyond.
    fn look_beyond(&mut self, now: Instant, report: Report<'_>, path: &Path) {
        if !report.whole {
            return;
        }
        let horizon = report.horizon();
        let end = (horizon.saturating_sub(self.base) as usize).min(self.packets.len());
        let first = ((report.through + 1).saturating_sub(self.base) as usize).min(end);
        let age = Duration::from_secs_f64(path.rtt.smoothed().unwrap_or(1.0));
        for packet in self.packets.range_mut(first..end) {
            if packet.state != State::Acknowledged && now.saturating_duration_since(packet.sent) > age {
                packet.missed(false);
            }
        }
        self.guess.dense = horizon < self.next() && horizon.saturating_sub(self.base) < MOST_NAMED * SPARSE;
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
        let usual = self.patience(path);
        // One report alone may be stale.
        let longer = usual * 5 / 4;
        let mut unknown = false;
        for (sequence, packet) in (self.base..).zip(self.packets.iter_mut()) {
            let counted = packet.state == State::InFlight;
            unknown |= packet.state == State::Unknown;
            let open = counted || packet.state == State::Unknown && packet.nacks > 0;
            if !open || !packet.is_overtaken(self.newest_order) {
                continue;
            }
            let due = packet.sent + if packet.nacks >= 2 { usual } else { longer };
            if due <= now && packet.nacks == 0 {
                packet.state = State::Unknown;
                unknown = true;
                path.congestion.forget(packet.size);
            } else if due <= now {
                packet.state = State::Lost;
                packet.guessed = false;
                path.note_loss();
                path.congestion.lost(packet.sent, packet.size, counted);
                self.lost.insert(sequence);
            } else {
                self.loss_at = Some(self.loss_at.map_or(due, |at| at.min(due)));
            }
        }
        if !unknown {
            self.guess.most = FIRST_GUESS;
        } else if self.guess.dense && self.guess.at.is_none_or(|at| at <= now) {
            self.guess_lost(now, path);
        }
    }

    /// How long a packet may take that others have overtaken.
    fn patience(&self, path: &Path) -> Duration {
        let rtt = path.rtt.smoothed().unwrap_or(1.0).max(self.newest_rtt);
        Duration::from_secs_f64(rtt + path.rtt.reordering())
    }

    /// Prepares some of the packets to be sent again of which reports say nothing: where so much is missing,
    /// they probably are as well, and a report a round trip later would name the next 255 only.
    fn guess_lost(&mut self, now: Instant, path: &Path) {
        let most = self.guess.most as usize;
        let unknown = (self.base..).zip(self.packets.iter_mut()).filter(|(_, p)| p.state == State::Unknown);
        for (sequence, packet) in unknown.take(most) {
            packet.state = State::Lost;
            packet.guessed = true;
            self.lost.insert(sequence);
        }
        self.guess.most = self.guess.most.saturating_mul(2);
        self.guess.at = Some(now + Duration::from_secs_f64(path.rtt.smoothed().unwrap_or(1.0)));
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

    /// Prepares all to be sent again that later packets would have overtaken by now.
    pub(crate) fn give_up_late(&mut self, now: Instant, path: &mut Path) {
        let age = self.patience(path);
        self.give_up_older(now, age, path);
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
