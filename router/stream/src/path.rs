//! What all connections with one peer share: round-trip time, congestion window, pace, and turns.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use allium_wire::DestHash;

use crate::config::Config;
use crate::congestion::{Congestion, PACKET};
use crate::pacer::Pacer;
use crate::rtt::Rtt;

/// The largest burst to a peer of which nothing is known, in packets.
const LEAST_BURST: u64 = 10;

/// Packets beyond a gap that an unknown peer is trusted to keep: i2pd drops them from 1536 on.
const USUAL_WINDOW: u32 = 1500;
/// How long a peer's small buffer is remembered.
const FORGET: Duration = Duration::from_secs(1200);

/// The path between one of our destinations and a peer; it outlives connections, so the next one starts with
/// what the last one learned.
pub(crate) struct Path {
    pub(crate) peer: DestHash,
    pub(crate) rtt: Rtt,
    pub(crate) congestion: Congestion,
    pacer: Pacer,
    /// Connections with something to send, in turn.
    pub(crate) turns: VecDeque<u32>,
    /// Already in the host's list of paths that may send.
    pub(crate) queued: bool,
    /// When the host's timer for this path is set.
    pub(crate) timer_at: Option<Instant>,
    /// Connections that use the path, and those of them that the peer opened.
    pub(crate) connections: usize,
    pub(crate) incoming: usize,
    /// When something was last heard from the peer or sent to it.
    pub(crate) last_heard: Option<Instant>,
    pub(crate) last_used: Instant,
    /// How far beyond a gap the peer is known to keep packets; lowered when it chokes.
    pub(crate) peer_window: u32,
    lowered_at: Option<Instant>,
    /// Packets acknowledged since the last loss.
    clean: u32,
}

/// Whether a path may send a packet now.
pub(crate) enum Turn {
    Now,
    At(Instant),
    WindowFull,
}

impl Path {
    pub(crate) fn new(now: Instant, peer: DestHash, config: &Config) -> Self {
        Self {
            peer,
            rtt: Rtt::new(),
            congestion: Congestion::new(config),
            pacer: Pacer::new(),
            turns: VecDeque::new(),
            queued: false,
            timer_at: None,
            connections: 0,
            incoming: 0,
            last_heard: None,
            last_used: now,
            peer_window: USUAL_WINDOW.min(config.max_window),
            lowered_at: None,
            clean: 0,
        }
    }

    /// Whether window and pace let a packet go.
    pub(crate) fn turn(&mut self, now: Instant) -> Turn {
        if !self.congestion.has_room() {
            return Turn::WindowFull;
        }
        let rate = self.congestion.pacing_rate(&self.rtt);
        if self.pacer.ready(now, rate, (LEAST_BURST * PACKET) as f64) {
            Turn::Now
        } else {
            Turn::At(self.pacer.next(now, rate))
        }
    }

    /// The peer keeps no more than `window` packets beyond a gap.
    pub(crate) fn lower_peer_window(&mut self, now: Instant, window: u32) {
        self.peer_window = self.peer_window.min(window);
        self.lowered_at = Some(now);
    }

    /// Some packet was lost.
    pub(crate) fn note_loss(&mut self) {
        self.clean = 0;
    }

    /// Of `span` packets that were out on one connection, `packets` were acknowledged; `proved` were kept by
    /// the peer beyond a gap. A peer that has shown that it keeps what it is sent may be sent more.
    pub(crate) fn note_progress(&mut self, span: u32, packets: u32, proved: u32, config: &Config) {
        self.clean = self.clean.saturating_add(packets);
        let used = self.peer_window - self.peer_window / 8;
        if self.lowered_at.is_none()
            && span >= used
            && (proved >= used || self.clean >= self.peer_window)
            && self.peer_window < config.max_window
        {
            self.peer_window = (self.peer_window + self.peer_window / 2).min(config.max_window);
            self.clean = 0;
        }
    }

    /// Whether no connection uses it.
    pub(crate) fn is_unused(&self) -> bool {
        self.connections == 0
    }

    /// A new connection begins: what was learned long ago may not hold any more.
    pub(crate) fn begin(&mut self, now: Instant, config: &Config) {
        self.last_used = now;
        if self.lowered_at.is_some_and(|at| now.saturating_duration_since(at) > FORGET) {
            self.lowered_at = None;
            self.peer_window = USUAL_WINDOW.min(config.max_window);
        }
    }

    /// Pays for a packet of this size.
    pub(crate) fn spend(&mut self, bytes: u64) {
        self.pacer.spend(bytes as f64);
    }
}
