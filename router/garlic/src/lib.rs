//! Garlic encryption: ECIES ratchet sessions, tag sets, router garlic.
//!
//! [`Sessions`] are the ratchet sessions of one destination (specification ECIES-X25519-AEAD-Ratchet); [`router`] has
//! what routers seal to each other without a session (ECIES for routers), and the one-time tags of replies.
//! Nothing here knows sockets or clocks: time is an argument, deadlines are returned, randomness was given at the start.

mod new_session;
mod payload;
mod ratchet;
mod replay;
pub mod router;
mod session;
mod sessions;
mod table;
mod tagset;
#[cfg(test)]
mod testing;

pub use session::Content;
pub use sessions::{Event, Kind, Limits, Opened, PeerKey, Sessions};
pub use tagset::Tag;

/// Why a message was not sealed or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The message is too short to be any (the sender's fault).
    #[error("message too short for garlic")]
    Short,
    /// There is no session or key for it: it came too late, or was never for us (nobody's fault).
    #[error("no session for this message")]
    Unknown,
    /// It was forged, sealed to another key, or holds a bad key (the sender's fault or the network's).
    #[error("message or key refused: {0}")]
    Peer(allium_crypto::Error),
    /// It is authentic, but its blocks are not right (the sender's fault).
    #[error("malformed payload: {0}")]
    Malformed(allium_wire::Error),
    /// This New Session came before (the network's fault).
    #[error("replayed New Session")]
    Replayed,
    /// This New Session is older than 5 minutes, or more than 2 minutes ahead (the sender's clock, or ours).
    #[error("New Session with a date that is too old or too far ahead")]
    Clock,
    /// Too many messages with unknown tags at a time (the network's fault).
    #[error("too many New Sessions at a time")]
    Busy,
    /// The cloves do not fit into one message (our fault).
    #[error("too much for one garlic message")]
    TooLong,
    /// A tag set has no tags left (our fault).
    #[error("tag set exhausted")]
    Exhausted,
}
