//! What a host does with packets from peers.

use allium_wire::streaming::{Packet, flags};
use allium_wire::{DestHash, Destination, Now};
use bytes::Bytes;

use crate::connection::{Connection, Opening};
use crate::event::{ConnectionId, Event, Reason};
use crate::packet::{self, HEADER, Header};
use crate::recv::Arrival;
use crate::transient::Transient;

use super::early::Waiting;
use super::{Control, Host, MOST_CONTROL};

/// A decoded packet and what came with it.
pub(super) struct Received {
    pub(super) packet: Packet,
    pub(super) bytes: Bytes,
    /// Whose ratchet session it came by, if that is known to be a destination's own.
    pub(super) hint: Option<DestHash>,
    pub(super) from_port: u16,
    pub(super) to_port: u16,
}

impl Received {
    /// Whether `peer` has made the packet: by its signature, or as the owner of the session it came by.
    pub(super) fn is_from(&self, peer: &Destination, transient: Option<&Transient>, now: Now) -> bool {
        if !self.packet.is_signed() {
            return self.hint == Some(peer.dest_hash());
        }
        self.packet.verify(peer, now.date).is_ok()
            || transient.is_some_and(|transient| transient.verify(&self.bytes))
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk::<4>()).map_or(0, |word| u32::from_be_bytes(*word))
}

impl Host {
    /// Takes a packet that arrived for our destination (protocol 6, without the gzip wrapper).
    ///
    /// `from_hint` names the sender if the garlic layer has proved who it is: the ratchet session's static
    /// key is in that destination's LeaseSet. It lets peers leave out signatures.
    pub fn handle_packet(
        &mut self,
        now: Now,
        from_hint: Option<DestHash>,
        from_port: u16,
        to_port: u16,
        bytes: Bytes,
    ) {
        self.last_now = Some(now.instant);
        if bytes.len() < HEADER {
            self.stats.unusable += 1;
            return;
        }
        let (send_id, receive_id) = (word(&bytes, 0), word(&bytes, 4));
        let known = if send_id == 0 { self.by_remote.get(&receive_id).copied() } else { Some(send_id) };
        let known = known.and_then(|id| self.connections.get(&id));
        let Ok(packet) = Packet::decode(&bytes, known.map(|connection| &connection.peer)) else {
            self.stats.unusable += 1;
            return;
        };
        let known = known.filter(|connection| {
            let from = packet.from.as_ref().map(Destination::dest_hash);
            from.is_none_or(|from| from == connection.peer_hash)
        });
        let known = known.map(|connection| connection.local);
        let received = Received { packet, bytes, hint: from_hint, from_port, to_port };
        let packet = &received.packet;
        if packet.has(flags::ECHO) {
            self.handle_echo(now, &received);
        } else if let Some(id) = known {
            self.handle_known(now, id, received);
        } else if send_id == 0 && packet.has(flags::SYNCHRONIZE) && packet.sequence == 0 {
            self.handle_syn(now, received);
        } else if send_id == 0 && receive_id != 0 && !packet.has(flags::SYNCHRONIZE | flags::RESET) {
            self.early.keep(now.instant, false, receive_id, received.into());
        } else {
            self.stats.unusable += 1;
        }
    }

    /// A peer opens a connection. Nothing is created before its signature is checked.
    fn handle_syn(&mut self, now: Now, received: Received) {
        let packet = &received.packet;
        let Some(from) = packet.from.clone().filter(|_| packet.receive_id != 0) else {
            self.stats.unusable += 1;
            return;
        };
        let bound = packet.nacks.len() == 8;
        if bound && packet.nacks != packet::hash_as_nacks(&self.keys.hash.0) {
            self.stats.misdirected += 1;
            return;
        }
        let unbound_allowed = self.config.accept_unbound || !packet.is_signed();
        if !(bound || unbound_allowed) {
            self.stats.misdirected += 1;
            return;
        }
        if !received.is_from(&from, None, now) {
            self.stats.forged += 1;
            return;
        }
        let path = self.path(now.instant, from.dest_hash());
        let room = path.and_then(|path| self.paths.get(path)).is_some_and(|path| {
            path.incoming < self.config.max_connections_per_peer && self.live < self.config.max_connections
        });
        let (Some(path), true, true) = (path, room, self.config.accept) else {
            self.stats.refused += 1;
            self.refuse(&from, &received);
            return;
        };
        let opening = Opening {
            local: self.stream_id(),
            remote: packet.receive_id,
            transient: Transient::of(&received.bytes, packet),
            peer: from.clone(),
            local_port: received.to_port,
            remote_port: received.from_port,
            path,
            outgoing: false,
            hint: self.rng.u64(),
        };
        let (id, remote) = (opening.local, opening.remote);
        let mut connection = Connection::new(now.instant, &self.config, opening);
        connection.negotiate_mtu(packet.max_size, &self.config);
        self.add(connection);
        let (from_port, to_port) = (received.from_port, received.to_port);
        self.events.push_back(Event::Incoming { id: ConnectionId(id), peer: from, from_port, to_port });
        self.handle_known(now, id, received);
        self.replay(now, id, false, remote);
    }

    /// Processes what came before the SYN.
    fn replay(&mut self, now: Now, id: u32, ours: bool, stream: u32) {
        for waiting in self.early.take(ours, stream) {
            let peer = self.connections.get(&id).map(|connection| connection.peer.clone());
            if let Ok(packet) = Packet::decode(&waiting.bytes, peer.as_ref()) {
                self.handle_known(now, id, Received::new(packet, waiting));
            }
        }
    }

    /// Answers a SYN by a RESET.
    fn refuse(&mut self, from: &Destination, received: &Received) {
        if self.control.len() >= MOST_CONTROL / 2 {
            return;
        }
        let header = Header { send_id: received.packet.receive_id, flags: flags::RESET, ..Header::default() };
        let packet = header.signed(None, None, &[], &self.keys.signing);
        self.control.push_back(Control {
            to: from.dest_hash(),
            from_port: received.to_port,
            to_port: received.from_port,
            packet,
        });
    }

    /// A packet of a connection.
    fn handle_known(&mut self, now: Now, id: u32, received: Received) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let packet = &received.packet;
        if connection.over.is_some() {
            self.handle_late(now, id, &received);
            return;
        }
        let answer = !connection.is_answered() && packet.has(flags::SYNCHRONIZE) && packet.receive_id != 0;
        let signed = packet.has(flags::RESET | flags::CLOSE) || answer;
        if signed && !received.is_from(&connection.peer, connection.transient.as_ref(), now) {
            self.stats.forged += 1;
            return;
        }
        if packet.has(flags::RESET) {
            let reason = if connection.is_answered() { Reason::Reset } else { Reason::Refused };
            self.end(now.instant, id, reason);
            return;
        }
        if answer {
            connection.remote = packet.receive_id;
            connection.transient = Transient::of(&received.bytes, packet);
            connection.negotiate_mtu(packet.max_size, &self.config);
            self.events.push_back(Event::Connected(ConnectionId(id)));
        } else if !connection.is_answered() {
            self.early.keep(now.instant, true, id, received.into());
            return;
        } else if packet.receive_id != connection.remote && packet.receive_id != 0 {
            self.stats.unusable += 1;
            return;
        }
        self.process(now, id, &received.packet);
        if answer {
            self.replay(now, id, true, id);
        }
    }

    /// Processes a packet that is what it claims to be.
    fn process(&mut self, now: Now, id: u32, packet: &Packet) {
        let now = now.instant;
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let Some(path) = self.paths.get_mut(connection.path) else { return };
        connection.heard(now, path);
        if !packet.has(flags::NO_ACK) && packet.send_id != 0 {
            let mut nacks = std::mem::take(&mut self.nacks);
            nacks.clear();
            if !packet.has(flags::SYNCHRONIZE) {
                nacks.extend_from_slice(&packet.nacks);
                nacks.sort_unstable();
            }
            if !connection.acknowledge(now, packet, &nacks, &self.config, path) {
                self.stats.absurd_acks += 1;
            }
            self.nacks = nacks;
        }
        if let Some(delay) = packet.delay_requested {
            connection.delay_requested(now, delay, path);
        }
        let at_once = packet.delay_requested == Some(0);
        let rtt = path.rtt.smoothed();
        if packet.sequence > 0 || packet.has(flags::SYNCHRONIZE) {
            let last = packet.has(flags::CLOSE);
            let arrival = connection.recv.accept(packet.sequence, packet.payload.clone(), last);
            connection.recv.plan_ack(now, arrival, rtt, at_once || last);
            if arrival == Arrival::Duplicate && packet.has(flags::SYNCHRONIZE) {
                connection.syn_repeated(now, path);
            }
            let news = connection.recv.readable() > 0 || connection.recv.finished();
            if arrival == Arrival::InOrder && news && !connection.noted.readable && !connection.released {
                connection.noted.readable = true;
                self.events.push_back(Event::Readable(ConnectionId(id)));
            }
            if connection.is_unwanted() && !packet.payload.is_empty() {
                self.break_off(now, id);
                return;
            }
        } else if at_once {
            connection.recv.plan_ack(now, Arrival::InOrder, rtt, true);
        }
        let path = connection.path;
        if connection.is_finished() {
            self.end(now, id, Reason::Finished);
        } else {
            self.settle(now, id);
        }
        self.queue_path(path);
    }

    /// A packet for a connection that is over: its peer may have missed our last words.
    fn handle_late(&mut self, now: Now, id: u32, received: &Received) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let packet = &received.packet;
        let wants_answer = packet.sequence > 0 || packet.has(flags::SYNCHRONIZE);
        if !wants_answer || packet.has(flags::RESET) {
            return;
        }
        if connection.over == Some(Reason::Finished) {
            let arrival = connection.recv.accept(packet.sequence, Bytes::new(), false);
            connection.recv.plan_ack(now.instant, arrival, None, false);
            self.settle(now.instant, id);
        } else if connection.over == Some(Reason::Local) && connection.may_reset_again() {
            self.send_reset(id);
        }
    }

    /// Ends a connection to which a peer sends data that no one wants.
    fn break_off(&mut self, now: std::time::Instant, id: u32) {
        self.send_reset(id);
        self.end(now, id, Reason::Local);
    }
}

impl Received {
    fn new(packet: Packet, waiting: Waiting) -> Self {
        let Waiting { from, from_port, to_port, bytes } = waiting;
        Self { packet, bytes, hint: from, from_port, to_port }
    }
}

impl From<Received> for Waiting {
    fn from(received: Received) -> Self {
        let Received { bytes, hint, from_port, to_port, .. } = received;
        Self { from: hint, from_port, to_port, bytes }
    }
}
