//! What can go wrong in a session, and what follows from it.

use super::Reason;
use crate::{Blame, Offence, Skew};
use std::fmt;

/// Where in a session something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// SessionRequest, Alice to Bob.
    Message1,
    /// SessionCreated, Bob to Alice.
    Message2,
    /// SessionConfirmed, Alice to Bob.
    Message3,
    /// The frames after the handshake.
    Data,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Message1 => "message 1",
            Self::Message2 => "message 2",
            Self::Message3 => "message 3",
            Self::Data => "data phase",
        })
    }
}

/// A failure of a session. The peer is at fault unless [`Error::blame`] says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The tag does not fit: other keys, noise, or tampering.
    #[error("{0}: does not authenticate")]
    Authentication(Stage),
    /// The ephemeral or static key cannot be used.
    #[error("{0}: unusable key")]
    BadKey(Stage),
    /// The ephemeral key of message 1 came before.
    #[error("message 1: replayed")]
    Replay,
    /// The peer belongs to this other network.
    #[error("message 1: for network {0}")]
    Network(u8),
    /// The peer speaks this other version.
    #[error("message 1: version {0}")]
    Version(u8),
    /// More padding than is accepted.
    #[error("{0}: {1} bytes of padding")]
    Padding(Stage, usize),
    /// A message or frame of a length that cannot be.
    #[error("{0}: length {1}")]
    Length(Stage, usize),
    /// The peer's clock is too far from ours.
    #[error("clock {0}")]
    Skew(Skew),
    /// Bytes that do not decode.
    #[error("{0}: {1}")]
    Malformed(Stage, allium_wire::Error),
    /// Blocks that are missing, or not in their order.
    #[error("{0}: {1}")]
    Blocks(Stage, &'static str),
    /// The RouterInfo belongs to another network, or does not say to which.
    #[error("RouterInfo: for network {0:?}")]
    RouterInfoNetwork(Option<u8>),
    /// The RouterInfo was published too long ago.
    #[error("RouterInfo: too old")]
    Stale,
    /// The RouterInfo was published in the future.
    #[error("RouterInfo: from the future")]
    Future,
    /// The RouterInfo is not signed by its owner.
    #[error("RouterInfo: bad signature")]
    Signature,
    /// The RouterInfo is signed with a type that cannot be checked.
    #[error("RouterInfo: unsupported signature type")]
    SignatureType,
    /// The static key is in none of the NTCP2 addresses of the RouterInfo.
    #[error("RouterInfo: without the static key of the handshake")]
    StaticKey,
    /// The peer says that it is us.
    #[error("a session with ourselves")]
    Oneself,
    /// A message of ours is too long for a frame.
    #[error("a message of {0} bytes to send")]
    Oversize(usize),
    /// All nonces of this direction are used up.
    #[error("no nonce left")]
    Exhausted,
    /// This direction is over: a termination was sent, or a frame failed.
    #[error("the session is over")]
    Closed,
    /// A step of the handshake was called out of turn.
    #[error("handshake steps out of order")]
    Sequence,
}

/// How to close the connection after an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Farewell {
    /// Without an answer: read on as a [`Rebuff`](crate::Rebuff) says, then reset.
    Silent,
    /// Without an answer and at once: reset.
    Reset,
    /// With a termination block of this reason, where the sender can still be had.
    Terminate(Reason),
}

impl Error {
    /// Whose fault it is.
    pub fn blame(&self) -> Blame {
        match self {
            Self::Oneself | Self::Oversize(_) | Self::Exhausted | Self::Closed | Self::Sequence => {
                Blame::Local
            }
            Self::Skew(_) | Self::Future => Blame::Network,
            _ => Blame::Peer,
        }
    }

    /// What it counts as against the peer, or against the address it came from; `None` where it does not count.
    pub fn offence(&self) -> Option<Offence> {
        Some(match self {
            Self::Skew(_) | Self::Future => Offence::Clock,
            Self::Network(_) | Self::RouterInfoNetwork(_) => Offence::Network,
            Self::Signature | Self::StaticKey => Offence::RouterInfo,
            Self::Stale | Self::SignatureType => Offence::Handshake,
            _ if self.blame() == Blame::Local => return None,
            Self::Authentication(Stage::Data)
            | Self::Length(Stage::Data, _)
            | Self::Malformed(Stage::Data, _)
            | Self::Blocks(Stage::Data, _) => Offence::Protocol,
            _ => Offence::Handshake,
        })
    }

    /// The reason to give in a termination block.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Authentication(Stage::Data) => Reason::DataAuthentication,
            Self::Length(Stage::Data, _) => Reason::Framing,
            Self::Malformed(Stage::Data, _) | Self::Blocks(Stage::Data, _) => Reason::PayloadFormat,
            Self::Authentication(stage)
            | Self::BadKey(stage)
            | Self::Length(stage, _)
            | Self::Malformed(stage, _)
            | Self::Blocks(stage, _) => match stage {
                Stage::Message1 => Reason::Message1,
                Stage::Message2 => Reason::Message2,
                _ => Reason::Message3,
            },
            Self::Replay | Self::Network(_) | Self::Version(_) => Reason::Message1,
            Self::Padding(..) => Reason::PaddingViolation,
            Self::Skew(_) => Reason::ClockSkew,
            Self::RouterInfoNetwork(_) | Self::Stale | Self::Future => Reason::Message3,
            Self::Signature => Reason::RouterInfoSignature,
            Self::SignatureType => Reason::IncompatibleSignature,
            Self::StaticKey => Reason::StaticKey,
            Self::Oneself => Reason::Banned,
            Self::Oversize(_) | Self::Exhausted | Self::Closed | Self::Sequence => Reason::Normal,
        }
    }

    /// How to close the connection. In message 3 only errors found behind both authentication tags can be
    /// answered: [`Refusal::farewell`](super::Refusal::farewell) then holds the answer.
    pub fn farewell(&self) -> Farewell {
        match self {
            Self::Authentication(Stage::Message2)
            | Self::BadKey(Stage::Message2)
            | Self::Padding(Stage::Message2, _)
            | Self::Length(Stage::Message2, _)
            | Self::Closed
            | Self::Sequence => Farewell::Reset,
            Self::Authentication(Stage::Message1 | Stage::Message3)
            | Self::BadKey(_)
            | Self::Padding(..)
            | Self::Replay
            | Self::Network(_)
            | Self::Version(_)
            | Self::Length(Stage::Message1 | Stage::Message3, _) => Farewell::Silent,
            _ => Farewell::Terminate(self.reason()),
        }
    }

    /// Whether the peer may be a probe: then it must learn nothing from how the connection ends.
    pub fn probe(&self) -> bool {
        self.farewell() == Farewell::Silent
    }
}
