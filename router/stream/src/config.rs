//! What can be set for the streams of one destination.

use std::time::Duration;

/// The largest payload of a packet between two ratchet (ECIES) destinations, in bytes (proposal 155).
pub const MTU_RATCHET: u16 = 1812;
/// The payload size that holds where a peer names none, in bytes.
pub const MTU_DEFAULT: u16 = 1730;
/// The smallest payload size that a peer may ask for, in bytes.
pub const MTU_MIN: u16 = 512;

/// Limits and delays of a [`Host`](crate::Host). Windows are counted in packets, as I2P does.
#[derive(Clone, Debug)]
pub struct Config {
    /// The largest payload that is offered to peers, and used with peers that offer as much.
    pub mtu: u16,
    /// Packets that may be in flight to a peer of which nothing is known.
    pub initial_window: u32,
    /// Packets that may follow a SYN before its answer.
    pub early_window: u32,
    /// Packets beyond the first unacknowledged one that may be sent on one connection, and packets in
    /// flight to one peer, however well the acks keep up.
    pub max_window: u32,
    /// Bytes that `write` takes before they are sent for the first time.
    pub send_buffer: usize,
    /// Bytes received and not yet read, gaps included, per connection.
    pub receive_buffer: usize,
    /// Packets beyond the first missing one that are kept, per connection.
    pub receive_window: u32,
    /// How long a SYN without data waits for the first write.
    pub connect_delay: Duration,
    /// How long the answer to a SYN waits for the application's first data.
    pub accept_delay: Duration,
    /// The first retransmission of a SYN to a peer of which nothing is known; later pauses grow.
    pub syn_timeout: Duration,
    /// When an unanswered connection attempt is given up.
    pub connect_timeout: Duration,
    /// The longest that an acknowledgement of received data is held back.
    pub ack_delay: Duration,
    /// Quiet time after which a keepalive is sent.
    pub keepalive: Duration,
    /// Retransmission timeouts in a row without any acknowledgement before the connection is given up.
    pub max_resends: u32,
    /// Connections at one time, both directions.
    pub max_connections: usize,
    /// Connections at one time that one peer may have opened to us.
    pub max_connections_per_peer: usize,
    /// Peers of which round-trip time and window are remembered.
    pub max_paths: usize,
    /// Whether other destinations may open connections to us.
    pub accept: bool,
    /// Whether pings are answered.
    pub answer_pings: bool,
    /// Whether an incoming SYN may lack the hash of its recipient (senders older than 0.9.58 leave it out;
    /// such a SYN could be a replay).
    pub accept_unbound: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mtu: MTU_RATCHET,
            initial_window: 64,
            early_window: 48,
            max_window: 4096,
            send_buffer: 1 << 20,
            receive_buffer: 8 << 20,
            receive_window: 4096,
            connect_delay: Duration::from_millis(10),
            accept_delay: Duration::from_millis(20),
            syn_timeout: Duration::from_millis(3500),
            connect_timeout: Duration::from_secs(60),
            ack_delay: Duration::from_millis(40),
            keepalive: Duration::from_secs(90),
            max_resends: 12,
            max_connections: 4096,
            max_connections_per_peer: 256,
            max_paths: 1024,
            accept: true,
            answer_pings: true,
            accept_unbound: false,
        }
    }
}
