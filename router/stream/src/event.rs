//! What a host tells its application, and what it tells about connections.

use std::time::Duration;

use allium_wire::{DestHash, Destination};
use bytes::Bytes;

/// A connection of one [`Host`](crate::Host): our stream ID, which is random and never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u32);

/// Why a connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Both sides have closed it and everything has arrived.
    #[error("closed by both sides")]
    Finished,
    /// The peer has reset it.
    #[error("reset by the peer")]
    Reset,
    /// The peer has reset it instead of answering.
    #[error("refused by the peer")]
    Refused,
    /// The peer does not answer, or not any more.
    #[error("the peer does not answer")]
    TimedOut,
    /// This side has reset it.
    #[error("reset by this side")]
    Local,
}

/// Why a call on a connection failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no such connection, or the application has let it go.
    #[error("no such connection")]
    Unknown,
    /// The connection is over.
    #[error("the connection is over: {0}")]
    Over(Reason),
    /// Data was written after `shutdown`.
    #[error("this side of the connection is shut down")]
    ShutDown,
    /// The host has as many connections as it may have.
    #[error("too many connections")]
    TooMany,
}

/// Something that the application should know; see [`Host::poll_event`](crate::Host::poll_event).
#[derive(Clone, Debug)]
pub enum Event {
    /// A peer has opened a connection. Data written at once goes out with the answer to its SYN.
    Incoming {
        /// The new connection.
        id: ConnectionId,
        /// Who opened it, as its signature proves.
        peer: Destination,
        /// The port it comes from.
        from_port: u16,
        /// The port of ours that it is for.
        to_port: u16,
    },
    /// The peer has answered our SYN.
    Connected(ConnectionId),
    /// There is data to read, or the end of it.
    Readable(ConnectionId),
    /// `write` accepts data again, after it had accepted less than it was given.
    Writable(ConnectionId),
    /// The connection is over; what was received before may still be read after [`Reason::Finished`].
    Closed(ConnectionId, Reason),
    /// A ping was answered.
    Pong {
        /// The number that `ping` returned.
        ping: u32,
        /// Who was asked.
        peer: DestHash,
        /// The time it took.
        rtt: Duration,
        /// The payload that came back.
        payload: Bytes,
    },
}

/// A packet to send: the payload of an I2CP message of protocol 6.
#[derive(Clone, Debug)]
pub struct Transmit {
    /// The connection it belongs to, if any.
    pub connection: Option<ConnectionId>,
    /// Where it goes.
    pub to: DestHash,
    /// Our port.
    pub from_port: u16,
    /// The peer's port.
    pub to_port: u16,
    /// The streaming packet.
    pub packet: Vec<u8>,
    /// The same data was sent before, and may have been lost on its way: another way is better.
    pub is_retransmit: bool,
    /// Packets with equal hints should take the same tunnels; with different ones they may. It is constant
    /// for a connection until the handshake is done, so that nothing overtakes the SYN or its answer.
    pub path_hint: u64,
    /// It is the first packet that goes to the peer on this connection: a SYN or the answer to one.
    pub first: bool,
    /// The peer is to acknowledge it: data, a SYN or a CLOSE, and not an acknowledgement alone.
    pub asks: bool,
    /// The peer may not have the first packet of the connection yet, and must not get this one before it: an i2pd gives a
    /// connection up when its SYN comes 200 ms later than what follows it.
    pub early: bool,
}

/// The state of a connection, for logs and status pages.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stats {
    /// Mean round-trip time of the path, once measured.
    pub rtt: Option<Duration>,
    /// The least round-trip time of late.
    pub rtt_min: Option<Duration>,
    /// How late a packet may come before it counts as lost.
    pub reordering: Duration,
    /// Bytes that may be in flight to this peer, on all connections.
    pub window: u64,
    /// Bytes that are in flight to this peer, on all connections.
    pub in_flight: u64,
    /// Estimated bandwidth of the path, in bytes a second.
    pub bandwidth: f64,
    /// What the congestion control does at the moment: `startup`, `drain`, `cruise`, `regain`, `resumed` or `settle`.
    pub phase: &'static str,
    /// Unacknowledged packets of this connection.
    pub unacknowledged: u32,
    /// Packets beyond a gap that the peer is known to keep.
    pub peer_window: u32,
    /// Payload size in use.
    pub mtu: u16,
    /// Data packets sent, without repetitions.
    pub packets_sent: u64,
    /// Packets sent again.
    pub retransmits: u64,
    /// Of those, how many were seen to be needless.
    pub spurious: u64,
    /// Payload bytes written by the application and acknowledged or in flight.
    pub bytes_sent: u64,
    /// Packets received, without duplicates.
    pub packets_received: u64,
    /// Packets received again.
    pub duplicates: u64,
    /// Payload bytes received in order.
    pub bytes_received: u64,
    /// Whether the peer wants no more data for now.
    pub choked: bool,
}

/// Counters of a host, for status pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostStats {
    /// Connections that exist now.
    pub connections: usize,
    /// Peers that are remembered.
    pub paths: usize,
    /// Packets that are no streaming packets, or for no connection of ours.
    pub unusable: u64,
    /// SYN, CLOSE, RESET or ECHO packets without a valid signature.
    pub forged: u64,
    /// SYN packets made for another destination.
    pub misdirected: u64,
    /// Connections refused for lack of room.
    pub refused: u64,
    /// Acknowledgements of what was never sent.
    pub absurd_acks: u64,
}
