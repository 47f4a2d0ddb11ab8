//! All connections of one local destination.

mod early;
mod echo;
mod input;
mod poll;
mod timers;

use std::collections::VecDeque;
use std::time::Instant;

use allium_crypto::sign::SigningKey;
use allium_crypto::{HashMap, Rng};
use allium_wire::{DestHash, Destination, Now};
use bytes::Bytes;

use crate::config::Config;
use crate::connection::{Connection, Keys, Opening, Want};
use crate::event::{ConnectionId, Error, Event, HostStats, Reason, Stats};
use crate::path::Path;

use early::Early;
use echo::Pings;
use timers::{Key, Timers};

/// Packets outside connections (RESET, ping, pong) that may wait to be sent.
const MOST_CONTROL: usize = 256;

/// Connections that are over and still remembered.
const MOST_ENDED: usize = 2048;

/// A packet that belongs to no connection.
struct Control {
    to: DestHash,
    from_port: u16,
    to_port: u16,
    packet: Vec<u8>,
}

/// The streaming connections of one local destination: an engine that is fed with packets and time.
///
/// After every call that may have caused something to send (all but `read` without effect), drain
/// [`Host::poll_transmit`] and [`Host::poll_event`], then wait for [`Host::deadline`].
pub struct Host {
    keys: Keys,
    config: Config,
    rng: Rng,
    /// By our stream ID.
    connections: HashMap<u32, Connection>,
    /// Connections that peers opened, by the peer's stream ID.
    by_remote: HashMap<u32, u32>,
    /// Connections that are not over, and those that are, in the order in which they ended.
    live: usize,
    ended: VecDeque<u32>,
    paths: Vec<Path>,
    path_of: HashMap<DestHash, usize>,
    early: Early,
    pings: Pings,
    control: VecDeque<Control>,
    timers: Timers,
    /// Connections that may send at once, connections with a plain ACK to send, paths with connections in turn.
    urgent: VecDeque<u32>,
    acks: VecDeque<u32>,
    ready: VecDeque<usize>,
    events: VecDeque<Event>,
    /// Connections that the application touched since the last poll.
    touched: Vec<u32>,
    nacks: Vec<u32>,
    stats: HostStats,
    last_now: Option<Instant>,
}

impl Host {
    /// A host for the destination of which `signing` is the (Ed25519) key.
    pub fn new(destination: Destination, signing: SigningKey, config: Config, mut rng: Rng) -> Self {
        let hash = destination.dest_hash();
        Self {
            keys: Keys { destination, hash, signing },
            connections: HashMap::with_hasher(rng.hasher()),
            by_remote: HashMap::with_hasher(rng.hasher()),
            live: 0,
            ended: VecDeque::new(),
            paths: Vec::new(),
            path_of: HashMap::with_hasher(rng.hasher()),
            early: Early::new(&mut rng),
            pings: Pings::default(),
            control: VecDeque::new(),
            timers: Timers::default(),
            urgent: VecDeque::new(),
            acks: VecDeque::new(),
            ready: VecDeque::new(),
            events: VecDeque::new(),
            touched: Vec::new(),
            nacks: Vec::new(),
            stats: HostStats::default(),
            last_now: None,
            config,
            rng,
        }
    }

    /// The hash of our destination.
    pub fn hash(&self) -> DestHash {
        self.keys.hash
    }

    /// Whether other destinations may open connections from now on.
    pub fn set_accepting(&mut self, accept: bool) {
        self.config.accept = accept;
    }

    /// Opens a connection. The SYN carries as much of `first` as fits; the rest follows within the initial
    /// window without waiting for the answer. If `first` is empty, the SYN waits
    /// [`Config::connect_delay`] for a `write`.
    ///
    /// # Errors
    /// [`Error::TooMany`] connections exist already.
    pub fn connect(
        &mut self,
        now: Now,
        to: Destination,
        to_port: u16,
        from_port: u16,
        first: Bytes,
    ) -> Result<ConnectionId, Error> {
        self.last_now = Some(now.instant);
        if self.live >= self.config.max_connections {
            return Err(Error::TooMany);
        }
        let path = self.path(now.instant, to.dest_hash()).ok_or(Error::TooMany)?;
        let local = self.stream_id();
        let opening = Opening {
            local,
            remote: 0,
            peer: to,
            transient: None,
            local_port: from_port,
            remote_port: to_port,
            path,
            outgoing: true,
            hint: self.rng.u64(),
        };
        let mut connection = Connection::new(now.instant, &self.config, opening);
        connection.send.buffer.append(first);
        self.add(connection);
        Ok(ConnectionId(local))
    }

    fn add(&mut self, connection: Connection) {
        let local = connection.local;
        if let Some(path) = self.paths.get_mut(connection.path) {
            path.connections += 1;
            path.incoming += usize::from(!connection.outgoing);
        }
        if !connection.outgoing {
            self.by_remote.insert(connection.remote, local);
        }
        self.connections.insert(local, connection);
        self.live += 1;
        self.touch(local);
    }

    /// Remembers to look after a connection at the next poll.
    fn touch(&mut self, id: u32) {
        if let Some(connection) = self.connections.get_mut(&id)
            && !std::mem::replace(&mut connection.noted.touched, true)
        {
            self.touched.push(id);
        }
    }

    /// Whether something that the application did has yet to be looked after by [`Host::poll_transmit`]. Reading seldom
    /// calls for it.
    pub fn is_touched(&self) -> bool {
        !self.touched.is_empty()
    }

    /// A stream ID that is not in use.
    fn stream_id(&mut self) -> u32 {
        loop {
            let id = self.rng.u32();
            if id != 0 && !self.connections.contains_key(&id) {
                return id;
            }
        }
    }

    /// Reads data in order into `buffer`: how much, 0 at the end, `None` if there is none yet.
    ///
    /// # Errors
    /// [`Error::Over`] if the connection ended otherwise than by both sides closing it.
    pub fn read(&mut self, id: ConnectionId, buffer: &mut [u8]) -> Result<Option<usize>, Error> {
        let mut length = 0;
        while let Some(room) = buffer.get_mut(length..)
            && !room.is_empty()
        {
            let Some(chunk) = self.read_chunk(id, room.len())? else { break };
            if chunk.is_empty() {
                return Ok(Some(length));
            }
            if let Some(place) = room.get_mut(..chunk.len()) {
                place.copy_from_slice(&chunk);
            }
            length += chunk.len();
        }
        Ok((length > 0 || buffer.is_empty()).then_some(length))
    }

    /// Reads the next piece of data without copying it, at most `most` bytes: empty at the end, `None` if
    /// there is none yet.
    ///
    /// # Errors
    /// As [`Host::read`].
    pub fn read_chunk(&mut self, id: ConnectionId, most: usize) -> Result<Option<Bytes>, Error> {
        let connection = self.connections.get_mut(&id.0).filter(|c| !c.released).ok_or(Error::Unknown)?;
        connection.noted.readable = false;
        if let Some(chunk) = connection.recv.read_chunk(most.max(1)) {
            if connection.recv.unchoke_due {
                self.touch(id.0);
            }
            return Ok(Some(chunk));
        }
        match connection.over {
            Some(reason) if reason != Reason::Finished => Err(Error::Over(reason)),
            _ if connection.recv.finished() => Ok(Some(Bytes::new())),
            Some(reason) => Err(Error::Over(reason)),
            None => Ok(None),
        }
    }

    /// Takes data to send: how much of it, which is less than all when the send buffer is full;
    /// [`Event::Writable`] says when there is room again.
    ///
    /// # Errors
    /// The connection is over or shut down.
    pub fn write(&mut self, id: ConnectionId, data: &[u8]) -> Result<usize, Error> {
        let connection = self.connections.get_mut(&id.0).filter(|c| !c.released).ok_or(Error::Unknown)?;
        if let Some(reason) = connection.over {
            return Err(Error::Over(reason));
        }
        if !connection.writable() {
            return Err(Error::ShutDown);
        }
        let accepted = connection.send.buffer.write(data, self.config.send_buffer);
        connection.noted.wants_room |= accepted < data.len();
        self.touch(id.0);
        Ok(accepted)
    }

    /// Ends our direction: a CLOSE follows the data written so far. The other direction stays open until the
    /// peer closes it (which some peers do at once).
    ///
    /// # Errors
    /// [`Error::Unknown`].
    pub fn shutdown(&mut self, id: ConnectionId) -> Result<(), Error> {
        let connection = self.connections.get_mut(&id.0).filter(|c| !c.released).ok_or(Error::Unknown)?;
        connection.shut_down();
        self.touch(id.0);
        Ok(())
    }

    /// Lets the connection go: what was written is still sent, then it is closed; what comes is not read any
    /// more. No more events come for it.
    pub fn close(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(&id.0) {
            connection.shut_down();
            connection.released = true;
            connection.recv.discard();
            self.touch(id.0);
        }
    }

    /// Breaks the connection off and lets it go; the peer is told by a RESET.
    pub fn reset(&mut self, now: Now, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id.0) else { return };
        connection.released = true;
        if connection.over.is_none() && (connection.is_answered() || connection.send.next() > 0) {
            self.send_reset(id.0);
        }
        self.end(now.instant, id.0, Reason::Local);
        self.settle(now.instant, id.0);
    }

    fn send_reset(&mut self, id: u32) {
        if let Some(connection) = self.connections.get(&id)
            && self.control.len() < MOST_CONTROL
        {
            self.control.push_back(Control {
                to: connection.peer_hash,
                from_port: connection.local_port,
                to_port: connection.remote_port,
                packet: connection.reset(&self.keys),
            });
        }
    }

    /// The next thing the application should know.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The peer of a connection, its port and ours.
    pub fn peer(&self, id: ConnectionId) -> Option<(&Destination, u16, u16)> {
        self.connections.get(&id.0).map(|c| (&c.peer, c.remote_port, c.local_port))
    }

    /// The state of a connection.
    pub fn stats(&self, id: ConnectionId) -> Option<Stats> {
        let connection = self.connections.get(&id.0)?;
        Some(connection.stats(self.paths.get(connection.path)?))
    }

    /// The state of the host.
    pub fn host_stats(&self) -> HostStats {
        HostStats { connections: self.connections.len(), paths: self.path_of.len(), ..self.stats }
    }

    /// The connections that exist, including those that only wait for late packets.
    pub fn connections(&self) -> impl Iterator<Item = ConnectionId> + '_ {
        self.connections.keys().map(|&id| ConnectionId(id))
    }

    /// The path to a peer, new if need be; none if all are in use.
    fn path(&mut self, now: Instant, peer: DestHash) -> Option<usize> {
        if let Some(&index) = self.path_of.get(&peer) {
            if let Some(path) = self.paths.get_mut(index) {
                path.begin(now, &self.config);
            }
            return Some(index);
        }
        let path = Path::new(now, peer, &self.config);
        let room = self.config.max_paths.max(self.config.max_connections);
        let index = if self.paths.len() < room {
            self.paths.push(path);
            self.paths.len() - 1
        } else {
            let unused = self.paths.iter().enumerate().filter(|(_, path)| path.is_unused());
            let (index, _) = unused.min_by_key(|(_, path)| path.last_used)?;
            let slot = self.paths.get_mut(index)?;
            self.path_of.remove(&slot.peer);
            *slot = path;
            index
        };
        self.path_of.insert(peer, index);
        Some(index)
    }

    /// Puts a connection where it belongs, after anything about it has changed.
    fn settle(&mut self, now: Instant, id: u32) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let Some(path) = self.paths.get_mut(connection.path) else { return };
        match connection.wants(&self.config, path) {
            Want::Nothing => {}
            Want::Urgent if connection.noted.in_urgent => {}
            Want::Urgent => {
                connection.noted.in_urgent = true;
                self.urgent.push_back(id);
            }
            Want::Turn => {
                if !connection.noted.in_turns {
                    connection.noted.in_turns = true;
                    path.turns.push_back(id);
                }
            }
        }
        if !path.queued && !path.turns.is_empty() {
            path.queued = true;
            self.ready.push_back(connection.path);
        }
        if connection.wants_ack(now) && !connection.noted.in_acks {
            connection.noted.in_acks = true;
            self.acks.push_back(id);
        }
        if connection.noted.wants_room && connection.send.buffer.len() <= self.config.send_buffer / 2 {
            connection.noted.wants_room = false;
            if !connection.released && connection.over.is_none() {
                self.events.push_back(Event::Writable(ConnectionId(id)));
            }
        }
        let deadline = connection.deadline(&self.config);
        self.timers.set(Key::Connection(id), &mut connection.noted.timer_at, deadline);
    }

    /// Ends a connection and says so.
    fn end(&mut self, now: Instant, id: u32, reason: Reason) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if connection.over.is_none() {
            if let Some(path) = self.paths.get_mut(connection.path) {
                connection.end(now, reason, path);
                path.incoming = path.incoming.saturating_sub(usize::from(!connection.outgoing));
            }
            self.live = self.live.saturating_sub(1);
            self.ended.push_back(id);
            if !connection.released {
                self.events.push_back(Event::Closed(ConnectionId(id), reason));
            }
        }
        self.settle(now, id);
        while self.ended.len() > MOST_ENDED {
            let oldest = self.ended.pop_front().and_then(|oldest| self.connections.get(&oldest));
            if let Some(oldest) = oldest.filter(|oldest| oldest.released).map(|oldest| oldest.local) {
                self.remove(oldest);
            }
        }
    }

    /// Forgets a connection.
    fn remove(&mut self, id: u32) {
        let Some(mut connection) = self.connections.remove(&id) else { return };
        self.timers.set(Key::Connection(id), &mut connection.noted.timer_at, None);
        if !connection.outgoing && self.by_remote.get(&connection.remote) == Some(&id) {
            self.by_remote.remove(&connection.remote);
        }
        if let Some(path) = self.paths.get_mut(connection.path) {
            connection.send.clear(path);
            path.connections = path.connections.saturating_sub(1);
            path.turns.retain(|&turn| turn != id);
        }
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
impl Host {
    pub(crate) fn in_flight(&self) -> u64 {
        self.paths.iter().map(|path| path.congestion.in_flight()).sum()
    }

    pub(crate) fn early_bytes(&self) -> usize {
        self.early.bytes()
    }
}
