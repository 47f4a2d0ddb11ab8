//! Whose fault a failure is.

use std::time::Duration;

/// Who is to blame when a link fails, and so how soon it is worth another try.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Blame {
    /// Something on our side: a full queue, a shutdown, a call out of turn.
    Local,
    /// The path between, or nobody in particular: a timeout, a refused connection, clocks that disagree.
    Network,
    /// The peer broke the protocol, or cannot prove to be who it should be.
    Peer,
}

/// What a router or an address did to be turned away for a while, mildest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Offence {
    /// Its clock is too far from ours.
    Clock,
    /// It failed a handshake as a probe or a router with stale keys would. Several make a ban.
    Handshake,
    /// It broke the protocol in an established session.
    Protocol,
    /// Its RouterInfo does not stand up: wrong signature, or a static key that it does not announce.
    RouterInfo,
    /// It belongs to another network.
    Network,
}

impl Offence {
    /// How many of these within [`Offence::MEMORY`] make a ban.
    pub fn strikes(self) -> u32 {
        match self {
            Self::Clock => 3,
            Self::Handshake => 5,
            Self::Protocol => 2,
            Self::RouterInfo | Self::Network => 1,
        }
    }

    /// How long the ban lasts.
    pub fn sentence(self) -> Duration {
        Duration::from_secs(match self {
            Self::Clock => 10 * 60,
            Self::Handshake => 30 * 60,
            Self::Protocol => 60 * 60,
            Self::RouterInfo => 2 * 60 * 60,
            Self::Network => 24 * 60 * 60,
        })
    }

    /// How long a strike is remembered.
    pub const MEMORY: Duration = Duration::from_mins(20);
}
