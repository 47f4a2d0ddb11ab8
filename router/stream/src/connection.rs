//! One connection: handshake, data both ways, choking, closing, and its timers.

mod output;
mod timers;

use std::time::{Duration, Instant};

use allium_crypto::sign::SigningKey;
use allium_wire::streaming::{Packet, flags};
use allium_wire::{DestHash, Destination};

use crate::config::{Config, MTU_DEFAULT, MTU_MIN};
use crate::event::{Reason, Stats};
use crate::path::Path;
use crate::recv::Receiver;
use crate::send::{Report, SendQueue};
use crate::transient::Transient;

pub(crate) use output::Built;

/// What a packet says of choking above this many milliseconds of requested delay.
const LONGEST_DELAY: u16 = 60_000;
/// What we say when we choke: above 60000, and none of the values that mean something special to others.
const CHOKE: u16 = 60_500;
/// What Java I2P says when its buffer overflows, and the packets that the buffer holds.
const JAVA_CHOKE: u16 = 61_000;
const JAVA_WINDOW: u32 = 128;
/// What i2pd says when a packet was too far ahead and dropped; it does not tell when that is over.
const OVERFLOWS: [u16; 3] = [60_000, 65_534, 65_535];
const OVERFLOW_WINDOW: u32 = 256;
/// A little less than what i2pd keeps beyond a gap.
const I2PD_WINDOW: u32 = 1400;

/// How long a connection that is over is remembered, to answer repetitions.
const LEAST_WAIT: Duration = Duration::from_secs(30);
const MOST_WAIT: Duration = Duration::from_secs(90);

/// Who we are: the destination, its hash and its signing key.
pub(crate) struct Keys {
    pub(crate) destination: Destination,
    pub(crate) hash: DestHash,
    pub(crate) signing: SigningKey,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choked {
    No,
    /// Until the peer says otherwise, or takes what was sent after it said so.
    Told,
    /// The peer has dropped something; it needs a pause.
    Until(Instant),
}

/// Whether a connection has something to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    Nothing,
    /// When window and pace allow.
    Turn,
    /// Now: handshakes and probes do not wait.
    Urgent,
}

pub(crate) struct Connection {
    /// Our stream ID and the peer's; the latter is 0 until its SYN came.
    pub(crate) local: u32,
    pub(crate) remote: u32,
    pub(crate) peer: Destination,
    pub(crate) peer_hash: DestHash,
    pub(crate) transient: Option<Transient>,
    pub(crate) local_port: u16,
    pub(crate) remote_port: u16,
    pub(crate) path: usize,
    pub(crate) outgoing: bool,
    pub(crate) send: SendQueue,
    pub(crate) recv: Receiver,
    pub(crate) mtu: u16,
    opened_at: Instant,
    /// Until when the SYN, or the answer to one, waits for data.
    hold_until: Option<Instant>,
    /// The application writes no more; the number of our CLOSE once it is sent.
    shutdown: bool,
    close_sequence: Option<u32>,
    /// The application has let the connection go.
    pub(crate) released: bool,
    pub(crate) over: Option<Reason>,
    /// When nothing needs to be remembered of it any more.
    forget_at: Option<Instant>,
    choked: Choked,
    choked_at: Option<Instant>,
    probe_at: Option<Instant>,
    probes: u32,
    choked_probes: u32,
    /// Packets that may be sent in spite of window, pace and choking.
    urgent: u8,
    /// A keepalive asks for an answer.
    keepalive: bool,
    last_heard: Instant,
    last_sent: Instant,
    next_ask: Instant,
    hint: u64,
    bytes_sent: u64,
    resets: u8,
    /// What the host has noted about it.
    pub(crate) noted: Noted,
}

/// Where the host has put a connection.
#[derive(Default)]
pub(crate) struct Noted {
    pub(crate) in_turns: bool,
    pub(crate) in_urgent: bool,
    pub(crate) in_acks: bool,
    pub(crate) timer_at: Option<Instant>,
    pub(crate) readable: bool,
    /// `write` has taken less than it was given.
    pub(crate) wants_room: bool,
    /// In the list of connections that the application touched.
    pub(crate) touched: bool,
}

/// What distinguishes a new connection.
pub(crate) struct Opening {
    pub(crate) local: u32,
    pub(crate) remote: u32,
    pub(crate) peer: Destination,
    pub(crate) transient: Option<Transient>,
    pub(crate) local_port: u16,
    pub(crate) remote_port: u16,
    pub(crate) path: usize,
    pub(crate) outgoing: bool,
    pub(crate) hint: u64,
}

impl Connection {
    pub(crate) fn new(now: Instant, config: &Config, opening: Opening) -> Self {
        let delay = if opening.outgoing { config.connect_delay } else { config.accept_delay };
        Self {
            local: opening.local,
            remote: opening.remote,
            peer_hash: opening.peer.dest_hash(),
            peer: opening.peer,
            transient: opening.transient,
            local_port: opening.local_port,
            remote_port: opening.remote_port,
            path: opening.path,
            outgoing: opening.outgoing,
            send: SendQueue::new(),
            recv: Receiver::new(config),
            mtu: config.mtu,
            opened_at: now,
            hold_until: Some(now + delay),
            shutdown: false,
            close_sequence: None,
            released: false,
            over: None,
            forget_at: None,
            choked: Choked::No,
            choked_at: None,
            probe_at: None,
            probes: 0,
            choked_probes: 0,
            urgent: 0,
            keepalive: false,
            last_heard: now,
            last_sent: now,
            next_ask: now,
            hint: opening.hint,
            bytes_sent: 0,
            resets: 0,
            noted: Noted::default(),
        }
    }

    /// Whether the peer's stream ID is known: its SYN has come.
    pub(crate) fn is_answered(&self) -> bool {
        self.remote != 0
    }

    /// Whether our SYN, or our answer to one, has been sent.
    fn syn_sent(&self) -> bool {
        self.send.next() > 0
    }

    /// Whether the application can still write.
    pub(crate) fn writable(&self) -> bool {
        !self.shutdown && self.over.is_none()
    }

    /// Takes over the payload size that the peer names in its SYN (or does not).
    pub(crate) fn negotiate_mtu(&mut self, theirs: Option<u16>, config: &Config) {
        self.mtu = theirs.unwrap_or(MTU_DEFAULT).max(MTU_MIN).min(config.mtu);
    }

    /// The application writes no more.
    pub(crate) fn shut_down(&mut self) {
        self.shutdown = true;
    }

    /// Whether our CLOSE and everything before it has arrived.
    fn close_arrived(&self) -> bool {
        self.close_sequence.is_some() && self.send.is_settled()
    }

    /// Whether both sides are done.
    pub(crate) fn is_finished(&self) -> bool {
        self.close_arrived() && self.recv.finished()
    }

    /// Whether data comes for an application that is gone, and that was sent all we had.
    pub(crate) fn is_unwanted(&self) -> bool {
        self.released && self.close_arrived()
    }

    /// Ends the connection; it is remembered a little to answer late packets.
    pub(crate) fn end(&mut self, now: Instant, reason: Reason, path: &mut Path) {
        if self.over.is_some() {
            return;
        }
        self.over = Some(reason);
        self.send.clear(path);
        if reason != Reason::Finished {
            self.recv.discard();
            self.recv.ack_at = None;
        }
        self.hold_until = None;
        self.probe_at = None;
        self.urgent = 0;
        self.choked = Choked::No;
        let wait = path.rtt.probe_timeout(Duration::from_secs(1)) * 8;
        self.forget_at = Some(now + wait.clamp(LEAST_WAIT, MOST_WAIT));
    }

    /// Whether the connection can be dropped.
    pub(crate) fn is_forgettable(&self, now: Instant) -> bool {
        self.released && self.forget_at.is_some_and(|at| at <= now)
    }

    /// The peer is alive.
    pub(crate) fn heard(&mut self, now: Instant, path: &mut Path) {
        self.last_heard = now;
        path.last_heard = Some(now);
        if self.choked == Choked::Told {
            self.probes = self.probes.min(3);
        }
    }

    /// Whether and how the connection wants to send.
    pub(crate) fn wants(&self, config: &Config, path: &Path) -> Want {
        if self.over.is_some() {
            return Want::Nothing;
        }
        let has_data = !self.send.buffer.is_empty();
        if !self.syn_sent() {
            let ready = self.hold_until.is_none() || has_data || self.shutdown;
            return if ready { Want::Urgent } else { Want::Nothing };
        }
        let closing = self.shutdown && self.close_sequence.is_none();
        if self.urgent > 0 && (self.send.has_lost() || has_data || closing) {
            return Want::Urgent;
        }
        if self.choked != Choked::No {
            // A CLOSE without data needs no room.
            return if closing && !has_data && !self.send.has_lost() { Want::Turn } else { Want::Nothing };
        }
        if self.send.has_lost() {
            return Want::Turn;
        }
        let window = path.peer_window.min(config.max_window);
        let early = !self.is_answered() && self.send.next() > config.early_window;
        if self.send.span() >= window || early || !(has_data || closing) {
            return Want::Nothing;
        }
        Want::Turn
    }

    /// Processes the requested delay of a packet: choking, or its end.
    pub(crate) fn delay_requested(&mut self, now: Instant, delay: u16, path: &mut Path) {
        let span = self.send.span();
        if OVERFLOWS.contains(&delay) {
            let kept = if span > I2PD_WINDOW { I2PD_WINDOW } else { (span - span / 4).max(OVERFLOW_WINDOW) };
            path.lower_peer_window(now, kept);
            if self.choked != Choked::Told {
                let pause = path.rtt.probe_timeout(Duration::from_secs(1)) / 2;
                self.choked = Choked::Until(now + pause);
            }
        } else if delay > LONGEST_DELAY {
            if delay == JAVA_CHOKE {
                path.lower_peer_window(now, JAVA_WINDOW);
            }
            if self.choked != Choked::Told {
                self.choked = Choked::Told;
                self.choked_at = Some(now);
                self.probes = 0;
                self.choked_probes = 0;
                self.rearm(now, path);
            }
        } else if self.choked == Choked::Told {
            self.unchoke(now, path);
        }
    }

    /// Sends again what the peer has probably dropped, and goes on.
    fn unchoke(&mut self, now: Instant, path: &mut Path) {
        self.choked = Choked::No;
        let age = path.rtt.smoothed().unwrap_or(1.0) + path.rtt.reordering();
        self.send.give_up_older(now, Duration::from_secs_f64(age), path);
        self.probes = 0;
        self.rearm(now, path);
    }

    /// Processes the acknowledgement fields of a packet, of which `nacks` are in ascending order; whether
    /// they make sense.
    pub(crate) fn acknowledge(
        &mut self,
        now: Instant,
        packet: &Packet,
        nacks: &[u32],
        config: &Config,
        path: &mut Path,
    ) -> bool {
        let through = packet.ack_through;
        let chokes = packet.delay_requested.is_some();
        let span = self.send.span();
        let first = self.send.base();
        let whole = packet.sequence == 0 && packet.payload.is_empty() && !packet.has(flags::SYNCHRONIZE);
        let progress = self.send.acknowledge(now, Report { through, nacks, whole }, path);
        if progress.packets > 0 {
            let proved = if self.send.base() == first { through.saturating_sub(first) } else { 0 };
            path.note_progress(span, progress.packets, proved, config);
            self.probes = 0;
            self.probe_at = None;
            self.rearm(now, path);
            if self.choked == Choked::Told && !chokes && progress.latest > self.choked_at {
                self.unchoke(now, path);
            }
        }
        !progress.absurd
    }

    /// The peer has not got our answer to its SYN, or the acknowledgement of its answer.
    pub(crate) fn syn_repeated(&mut self, now: Instant, path: &mut Path) {
        if self.syn_sent() && self.send.base() == 0 && !self.outgoing {
            let age = path.rtt.smoothed().unwrap_or(1.0);
            self.send.give_up_older(now, Duration::from_secs_f64(age), path);
            self.urgent = self.urgent.max(u8::from(self.send.has_lost()));
        }
    }

    /// Whether a late packet may be answered by another RESET; a few times only.
    pub(crate) fn may_reset_again(&mut self) -> bool {
        self.resets = self.resets.saturating_add(1);
        self.resets <= 3
    }

    pub(crate) fn stats(&self, path: &Path) -> Stats {
        Stats {
            rtt: path.rtt.smoothed().map(Duration::from_secs_f64),
            rtt_min: path.rtt.minimum().map(Duration::from_secs_f64),
            reordering: Duration::from_secs_f64(path.rtt.reordering()),
            window: path.congestion.window(),
            in_flight: path.congestion.in_flight(),
            bandwidth: path.congestion.bandwidth(),
            phase: path.congestion.phase(),
            unacknowledged: self.send.span(),
            peer_window: path.peer_window,
            mtu: self.mtu,
            packets_sent: self.send.counters.packets,
            retransmits: self.send.counters.resent,
            spurious: self.send.counters.spurious,
            bytes_sent: self.bytes_sent,
            packets_received: self.recv.packets,
            duplicates: self.recv.duplicates,
            bytes_received: self.recv.bytes,
            choked: self.choked != Choked::No,
        }
    }
}
