//! What a host wants to send, and when.

use std::time::Instant;

use allium_wire::Now;

use crate::connection::{Built, Want};
use crate::event::{ConnectionId, Transmit};
use crate::path::Turn;

use super::timers::Key;
use super::{Control, Host};

impl Host {
    /// The next packet to send, and everything that is due at `now`. To be called until it returns none;
    /// a caller whose way is blocked may stop earlier and go on later.
    pub fn poll_transmit(&mut self, now: Now) -> Option<Transmit> {
        let now = now.instant;
        self.last_now = Some(now);
        self.run_due(now);
        if let Some(control) = self.control.pop_front() {
            return Some(self.control_transmit(control));
        }
        while let Some(id) = self.urgent.pop_front() {
            let Some(connection) = self.connections.get_mut(&id) else { continue };
            connection.noted.in_urgent = false;
            if let Some(transmit) = self.send(now, id, Want::Urgent) {
                return Some(transmit);
            }
        }
        while let Some(id) = self.acks.pop_front() {
            if let Some(transmit) = self.send_ack(now, id) {
                return Some(transmit);
            }
        }
        while let Some(index) = self.ready.pop_front() {
            if let Some(transmit) = self.take_turn(now, index) {
                return Some(transmit);
            }
        }
        None
    }

    /// When `poll_transmit` will next have something to do, if nothing else happens before. A time in the
    /// past means at once.
    pub fn deadline(&self) -> Option<Instant> {
        let busy = !self.touched.is_empty()
            || !self.control.is_empty()
            || !self.urgent.is_empty()
            || !self.acks.is_empty()
            || !self.ready.is_empty();
        if busy { self.last_now.or(self.timers.first()) } else { self.timers.first() }
    }

    /// Runs the timers that are due and looks after the connections that the application touched.
    fn run_due(&mut self, now: Instant) {
        while let Some(id) = self.touched.pop() {
            if let Some(connection) = self.connections.get_mut(&id) {
                connection.noted.touched = false;
                if std::mem::take(&mut connection.recv.unchoke_due) {
                    connection.recv.ack_now(now);
                }
            }
            self.settle(now, id);
        }
        while let Some(key) = self.timers.due(now) {
            match key {
                Key::Path(index) => {
                    if let Some(path) = self.paths.get_mut(index) {
                        path.timer_at = None;
                    }
                    self.queue_path(index);
                }
                Key::Connection(id) => self.tick(now, id),
            }
        }
    }

    fn tick(&mut self, now: Instant, id: u32) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.noted.timer_at = None;
        if connection.is_forgettable(now) && connection.over.is_some() {
            self.remove(id);
            return;
        }
        let Some(path) = self.paths.get_mut(connection.path) else { return };
        let over = connection.tick(now, &self.config, path);
        match over {
            Some(reason) => self.end(now, id, reason),
            None => self.settle(now, id),
        }
    }

    /// Lets the connections of a path send, if any wants to.
    pub(super) fn queue_path(&mut self, index: usize) {
        if let Some(path) = self.paths.get_mut(index)
            && !path.queued
            && !path.turns.is_empty()
        {
            path.queued = true;
            self.ready.push_back(index);
        }
    }

    /// Sends a packet of the connection whose turn it is, if the path lets it.
    fn take_turn(&mut self, now: Instant, index: usize) -> Option<Transmit> {
        loop {
            let path = self.paths.get_mut(index)?;
            path.queued = false;
            match path.turn(now) {
                Turn::Now => {}
                Turn::At(at) => {
                    self.timers.set(Key::Path(index), &mut path.timer_at, Some(at));
                    return None;
                }
                Turn::WindowFull => return None,
            }
            let Some(id) = path.turns.pop_front() else {
                path.congestion.nothing_to_send();
                return None;
            };
            if let Some(connection) = self.connections.get_mut(&id) {
                connection.noted.in_turns = false;
            }
            if let Some(transmit) = self.send(now, id, Want::Turn) {
                self.queue_path(index);
                return Some(transmit);
            }
        }
    }

    /// Builds the next packet of a connection that wants to send at least as urgently as `want`.
    fn send(&mut self, now: Instant, id: u32, want: Want) -> Option<Transmit> {
        let connection = self.connections.get_mut(&id)?;
        let index = connection.path;
        let path = self.paths.get_mut(index)?;
        let wants = connection.wants(&self.config, path);
        if wants == Want::Nothing || want == Want::Urgent && wants == Want::Turn {
            self.settle(now, id);
            return None;
        }
        let built = connection.next_packet(now, &self.keys, &self.config, path, &mut self.nacks);
        if let Some(built) = &built {
            path.spend(built.packet.len() as u64);
            path.last_used = now;
        }
        self.settle(now, id);
        if built.is_some()
            && let Some(path) = self.paths.get_mut(index)
            && path.turns.is_empty()
        {
            path.congestion.nothing_to_send();
        }
        built.and_then(|built| self.transmit(id, built))
    }

    fn send_ack(&mut self, now: Instant, id: u32) -> Option<Transmit> {
        let connection = self.connections.get_mut(&id)?;
        connection.noted.in_acks = false;
        // Data that was sent in the meantime may have carried it.
        let built = connection.wants_ack(now).then(|| connection.ack(now, &mut self.nacks));
        self.settle(now, id);
        built.and_then(|built| self.transmit(id, built))
    }

    fn transmit(&self, id: u32, built: Built) -> Option<Transmit> {
        let connection = self.connections.get(&id)?;
        Some(Transmit {
            connection: Some(ConnectionId(id)),
            to: connection.peer_hash,
            from_port: connection.local_port,
            to_port: connection.remote_port,
            packet: built.packet,
            is_retransmit: built.is_retransmit,
            path_hint: built.path_hint,
            first: built.first,
            asks: built.asks,
            early: built.early,
        })
    }

    fn control_transmit(&mut self, control: Control) -> Transmit {
        Transmit {
            connection: None,
            to: control.to,
            from_port: control.from_port,
            to_port: control.to_port,
            packet: control.packet,
            is_retransmit: false,
            path_hint: self.rng.u64(),
            first: false,
            asks: false,
            early: false,
        }
    }
}
