//! The timers of a connection.

use std::time::{Duration, Instant};

use crate::config::Config;
use crate::event::Reason;
use crate::path::Path;

use super::{Choked, Connection};

const LONGEST_PROBE: Duration = Duration::from_secs(45);
const LONGEST_CLOSE: Duration = Duration::from_secs(6);
const LONGEST_SYN: Duration = Duration::from_secs(4);
/// Pauses after a SYN that are equally long.
const EQUAL_SYNS: u32 = 2;
/// Further pauses between probes that are as long as the first.
const EQUAL_PROBES: u32 = 3;
/// Probes of a peer that wants no data, when the application has let the connection go.
const MOST_CHOKED_PROBES: u32 = 12;
const LONGEST_CHOKED_PROBE: Duration = Duration::from_secs(15);
/// Packets outstanding for which the first timeout only probes.
const FEW: u32 = 16;
/// How long the end of a connection waits for the peer's CLOSE when no one reads.
const LINGER: Duration = Duration::from_secs(30);

impl Connection {
    /// How long to wait for an acknowledgement before the next probe.
    fn probe_timeout(&self, path: &Path, cold: Duration) -> Duration {
        let base = path.rtt.probe_timeout(cold);
        // The answer to a SYN takes longer: the peer may have to look us up first.
        let known = path.rtt.smoothed().is_some();
        let base =
            if self.is_answered() || !known { base } else { (base * 3 / 2).max(Duration::from_secs(1)) };
        let longest = match (self.is_answered(), self.choked) {
            (false, _) => LONGEST_SYN,
            (true, Choked::Told) => LONGEST_CHOKED_PROBE,
            // The peer does not remember the connection for long after its end.
            (true, _) if self.close_sequence.is_some() => LONGEST_CLOSE,
            (true, _) => LONGEST_PROBE,
        };
        // Each probe takes another way, and the first ways may lead through a router that has just died: the pauses
        // grow only after some of equal length.
        let equal = match (self.is_answered(), self.choked) {
            (_, Choked::Told) => 0,
            (false, _) => EQUAL_SYNS,
            (true, _) => EQUAL_PROBES,
        };
        let doublings = self.probes.saturating_sub(equal);
        base.saturating_mul(1 << doublings.min(8)).min(longest.max(base))
    }

    /// Sets the probe timer anew if anything waits for an answer.
    pub(super) fn rearm(&mut self, now: Instant, path: &Path) {
        let waits = !self.send.is_settled() || self.choked == Choked::Told && !self.send.buffer.is_empty();
        let cold = if self.send.base() == 0 { Duration::from_millis(3500) } else { Duration::from_secs(1) };
        self.probe_at = waits.then(|| now + self.probe_timeout(path, cold));
    }

    /// Sets the probe timer if it is not set.
    pub(super) fn arm(&mut self, now: Instant, path: &Path, cold: Duration) {
        if self.probe_at.is_none() {
            self.probe_at = Some(now + self.probe_timeout(path, cold));
        }
    }

    /// The next time at which `tick` has something to do.
    pub(crate) fn deadline(&self, config: &Config) -> Option<Instant> {
        let ack = self.recv.ack_at.filter(|_| !self.noted.in_acks && (self.may_ack() || self.over.is_some()));
        if self.over.is_some() {
            let forget = self.forget_at.filter(|_| self.released);
            return [forget, ack].into_iter().flatten().min();
        }
        let choke_ends = match self.choked {
            Choked::Until(at) => Some(at),
            _ => None,
        };
        let hold = self.hold_until.filter(|_| !self.syn_sent());
        let give_up = (!self.is_answered()).then(|| self.opened_at + config.connect_timeout);
        let keepalive = self.may_ack().then(|| self.keepalive_at(config));
        [hold, ack, self.send.loss_at, self.probe_at, choke_ends, keepalive, give_up, self.forget_at]
            .into_iter()
            .flatten()
            .min()
    }

    /// Whether a plain ACK can be sent: before our SYN nothing else can.
    fn may_ack(&self) -> bool {
        self.is_answered() && self.syn_sent()
    }

    /// Whether an acknowledgement is due.
    pub(crate) fn wants_ack(&self, now: Instant) -> bool {
        (self.may_ack() || self.over.is_some()) && self.recv.ack_at.is_some_and(|at| at <= now)
    }

    fn keepalive_at(&self, config: &Config) -> Instant {
        self.last_heard.max(self.last_sent) + config.keepalive
    }

    /// Does what is due; returns why the connection is over, if it is.
    pub(crate) fn tick(&mut self, now: Instant, config: &Config, path: &mut Path) -> Option<Reason> {
        if self.over.is_some() {
            return None;
        }
        if !self.is_answered() && self.opened_at + config.connect_timeout <= now {
            return Some(Reason::TimedOut);
        }
        if self.hold_until.is_some_and(|at| at <= now) {
            self.hold_until = None;
        }
        if let Choked::Until(at) = self.choked
            && at <= now
        {
            self.unchoke(now, path);
        }
        if self.send.loss_at.is_some_and(|at| at <= now) {
            self.send.detect_lost(now, path);
        }
        if self.may_ack() && self.keepalive_at(config) <= now {
            self.keepalive = true;
            self.last_sent = now;
            self.recv.ack_now(now);
        }
        if self.released && self.close_arrived() && self.forget_at.is_none() {
            self.forget_at = Some(now + LINGER);
        } else if self.forget_at.is_some_and(|at| at <= now) {
            return Some(Reason::Finished);
        }
        if self.probe_at.is_some_and(|at| at <= now) { self.probe(now, config, path) } else { None }
    }

    /// Nothing was acknowledged in time.
    fn probe(&mut self, now: Instant, config: &Config, path: &mut Path) -> Option<Reason> {
        self.probe_at = None;
        let connecting = !self.is_answered();
        self.probes += 1;
        // If all that is missing is the peer's word that it has our CLOSE, it may be gone already.
        let only_close = self.close_sequence == Some(self.send.base()) && self.recv.finished();
        if self.probes > config.max_resends && !connecting {
            return Some(if only_close { Reason::Finished } else { Reason::TimedOut });
        }
        let timeout = self.probe_timeout(path, config.syn_timeout);
        self.urgent = self.send.probe(path);
        if self.choked == Choked::Told {
            self.urgent = 1;
            self.choked_probes += 1;
            if self.released && self.choked_probes > MOST_CHOKED_PROBES {
                return Some(Reason::TimedOut);
            }
        } else if self.probes == 1 && !connecting && self.send.span() > FEW {
            // Two probes would bring back two packets: with much outstanding all that is late goes again,
            // as fast as a smaller window lets it.
            self.send.give_up_late(now, path);
            path.congestion.restart(&path.rtt);
        } else if self.probes >= 2 && !connecting {
            let quiet =
                path.last_heard.is_none_or(|heard| now.saturating_duration_since(heard) > timeout / 4);
            if quiet {
                path.congestion.collapse();
            }
            self.send.give_up_older(now, path.rtt.probe_timeout(Duration::from_secs(1)), path);
        }
        self.probe_at = Some(now + timeout);
        None
    }
}
