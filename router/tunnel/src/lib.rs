//! Tunnels: hops, fragments, build records, pools, peer selection, admission.
//!
//! A message's way: [`Outbound::wrap`] cuts it into tunnel messages of 1028 bytes and takes every hop's layer
//! off in advance; each [`Participant`] puts its own back on; the [`OutboundEndpoint`] sees the clear and passes
//! it to a router, or to the [`InboundGateway`] of another tunnel, whose hops add layers until [`Inbound`], the
//! creator's end of that one, removes them all.
//!
//! Tunnels come from [`build`]; [`pool`] says when, [`select`] through whom, [`admit`] whom we carry for.

pub mod admit;
pub mod build;
mod endpoint;
mod filter;
mod gateway;
mod hop;
mod own;
pub mod pool;
pub mod select;
mod test;
#[cfg(test)]
mod testing;

pub use admit::Admission;
pub use build::{Answer, Build, Built, Decision, Request, Responder};
pub use endpoint::Reassembly;
pub use filter::IvFilter;
pub use hop::{Hop, InboundGateway, OutboundEndpoint, Participant, Place};
pub use own::{Inbound, Outbound, OwnHop};
pub use pool::Pool;
pub use select::Selector;
pub use test::{Pairing, Passed, TunnelTests};

use allium_wire::i2np::Message;
use allium_wire::{RouterHash, tunnel};
use std::time::Duration;

/// How long a tunnel serves, counted from its request.
pub const LIFETIME: Duration = Duration::from_secs(600);

/// How long a hop carries others' tunnels: a little longer, for messages and clocks that are late.
pub const HOP_LIFETIME: Duration = Duration::from_secs(630);

/// The expiration of the messages made here. It is new at every hop, so that it tells nothing.
pub const MESSAGE_LIFETIME: Duration = Duration::from_secs(20);

/// Bytes of a tunnel message: tunnel id, IV, data.
pub const TUNNEL_DATA: usize = tunnel::DATA;

/// The largest I2NP message that a tunnel carries, with its 16-byte header.
pub const LARGEST: usize = 62_708 + 16;

/// Which way a tunnel carries messages, as its owner sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// To us.
    Inbound,
    /// From us.
    Outbound,
}

/// A message for a router. That router may be ourselves: then it is to be handled as if it had just arrived.
#[derive(Clone, Debug, PartialEq)]
pub struct Sending {
    /// The router.
    pub to: RouterHash,
    /// What it is to get.
    pub message: Message,
}

/// Why something was not done. Whose fault it is: the sender's, unless said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes do not follow the layout.
    #[error("malformed: {0}")]
    Malformed(#[from] allium_wire::Error),
    /// Something does not decrypt, or a key is no key.
    #[error("cryptography: {0}")]
    Crypto(#[from] allium_crypto::Error),
    /// The layout is right, but no honest router writes this.
    #[error("against the rules: {0}")]
    Misbehaved(&'static str),
    /// A build message without a record for us.
    #[error("no record for us")]
    NotForUs,
    /// Seen before: a replay, or a copy that the network made.
    #[error("seen before")]
    Duplicate,
    /// A request from another time: its clock, or ours, is wrong.
    #[error("made at another time")]
    WrongTime,
    /// Refused without an answer (our own decision).
    #[error("refused without an answer")]
    Dropped,
    /// The tunnel is over.
    #[error("the tunnel is over")]
    Expired,
    /// It came from another router than the tunnel's previous hop.
    #[error("not from the previous hop")]
    Stranger,
    /// The tunnel message's checksum does not fit: some hop damaged it, or it is for other keys.
    #[error("damaged on its way")]
    Checksum,
    /// The message is larger than a tunnel carries (our own fault, or a gateway's customer's).
    #[error("too large for a tunnel")]
    TooLong,
}
