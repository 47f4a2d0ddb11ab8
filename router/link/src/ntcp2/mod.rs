//! NTCP2: authenticated, encrypted sessions over TCP (<https://geti2p.net/spec/ntcp2>).
//!
//! A handshake is an [`Initiator`] or a [`Responder`], fed with exactly the bytes it asks for; it ends in an
//! [`Established`] session whose two directions, [`Sender`] and [`Receiver`], share nothing.
//!
//! ```text
//! Alice  Initiator::new, message_1 ->         64 bytes and padding          -> message_1, message_2  Responder  Bob
//!        message_2, finish         <-         64 bytes and padding          <-
//!                                  -> 48 bytes and as many as message 1 said -> finish
//! ```
//! Each message is written at once. A responder whose handshake fails stays silent and does what a
//! [`Rebuff`](crate::Rebuff) says, except where [`Refusal::farewell`] has something to send first.

mod error;
mod frame;
mod initiator;
mod options;
mod reason;
mod receiver;
mod replay;
mod responder;
mod sender;
mod vet;
mod xk;

pub use error::{Error, Farewell, Stage};
pub use frame::{Event, FRAME_MAX, FRAME_MIN, FRAME_TARGET};
pub use initiator::Initiator;
pub use options::PaddingOptions;
pub use reason::Reason;
pub use receiver::{Frame, Receiver};
pub use replay::ReplayCache;
pub use responder::{Refusal, Responder};
pub use sender::Sender;
pub use vet::{RI_AGE_MAX, RI_FUTURE_MAX, source_matches};

use crate::Skew;
use allium_crypto::Rng;
use allium_crypto::x25519::{PublicKey, StaticSecret};
use allium_wire::{Ntcp2Address, RouterHash, RouterInfo};

/// Bytes of messages 1 and 2 before their padding.
pub const MESSAGE: usize = 64;
/// Bytes of message 3 before the part whose length message 1 announces.
pub const MESSAGE_3_PART_1: usize = 48;
/// The most padding that is accepted after message 1.
pub const PADDING_1_MAX: usize = 880;
/// The most padding that is accepted after message 2.
pub const PADDING_2_MAX: usize = 848;
/// The most bytes of message 3's second part that are accepted.
pub const MESSAGE_3_PART_2_MAX: usize = 6000;
/// The most padding that is sent with a handshake message.
const PADDING_SENT_MAX: u64 = 64;
/// The protocol version of message 1's options.
const VERSION: u8 = 2;

/// Our own side of every handshake.
#[derive(Clone, Debug)]
pub struct Local {
    /// Our router hash.
    pub hash: RouterHash,
    /// The secret of the static key `s` in our NTCP2 addresses.
    pub static_key: StaticSecret,
    /// The IV `i` of our published addresses (unused while nothing is published).
    pub iv: [u8; 16],
    /// The network: 2, but for test networks.
    pub net_id: u8,
}

/// What to know about a router before dialling it: its hash, and `s` and `i` of the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerKeys {
    /// Its router hash.
    pub hash: RouterHash,
    /// The static key `s`.
    pub static_key: PublicKey,
    /// The IV `i`.
    pub iv: [u8; 16],
}

impl PeerKeys {
    /// From the router's hash and one of its addresses; `None` where that is not published.
    pub fn new(hash: RouterHash, address: &Ntcp2Address) -> Option<Self> {
        Some(Self { hash, static_key: address.static_key, iv: address.iv? })
    }
}

/// A session whose handshake is done.
#[derive(Debug)]
pub struct Established {
    /// The direction to the peer.
    pub sender: Sender,
    /// The direction from the peer.
    pub receiver: Receiver,
    /// The peer's router hash, proven.
    pub hash: RouterHash,
    /// The peer's RouterInfo as it came in message 3, verified (on the responder's side alone).
    pub peer: Option<RouterInfo>,
    /// Whether the peer asked to flood that RouterInfo.
    pub flood: bool,
    /// By how much the peer's clock is ahead of ours, travel time taken out.
    pub skew: Skew,
}

/// What a handshake draws at random, drawn beforehand.
struct Draw {
    ephemeral: StaticSecret,
    /// Padding after message 1 or 2, in bytes.
    padding: usize,
    /// Padding in message 3 beyond the block's header, in bytes.
    padding_3: usize,
}

impl Draw {
    fn new(rng: &mut Rng) -> Self {
        Self {
            ephemeral: StaticSecret::generate(rng),
            padding: rng.below(PADDING_SENT_MAX + 1) as usize,
            padding_3: rng.below(PADDING_SENT_MAX + 1) as usize,
        }
    }
}

#[cfg(test)]
mod tests;
