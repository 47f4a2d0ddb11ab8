//! Streaming: reliable connections between destinations, as an engine without sockets, clock or tasks.
//!
//! A [`Host`] holds all connections of one local destination. Packets from peers go in by
//! [`Host::handle_packet`], packets for peers come out of [`Host::poll_transmit`], which also does whatever
//! is due at the time it is given; [`Host::deadline`] says when that will be. The application reads, writes
//! and learns of news by [`Host::poll_event`].

mod config;
mod congestion;
mod connection;
mod event;
mod host;
mod pacer;
mod packet;
mod path;
mod recv;
mod rtt;
mod send;
#[cfg(test)]
mod testing;
mod transient;

pub use config::{Config, MTU_DEFAULT, MTU_MIN, MTU_RATCHET};
pub use event::{ConnectionId, Error, Event, HostStats, Reason, Stats, Transmit};
pub use host::Host;
