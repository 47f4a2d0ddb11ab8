//! Why something from a peer (or a file) was not used.

/// Errors of the database, by blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The sender's bytes do not parse.
    #[error("malformed: {0}")]
    Malformed(allium_wire::Error),
    /// The item's signature does not verify: its sender should have seen that.
    #[error("the signature does not verify")]
    BadSignature,
    /// The sender broke a rule of the protocol.
    #[error("misbehaved: {0}")]
    Misbehaved(&'static str),
    /// Nobody's fault: the item is too old, or not new.
    #[error("not used: {0}")]
    Stale(&'static str),
    /// Nobody's fault: a kind of item or signature that this router does not know.
    #[error("not supported")]
    Unsupported,
    /// The profile file is not ours, or too large.
    #[error("the profiles do not parse")]
    Profiles,
}

impl Error {
    /// How much of a misdeed it is to have sent this (see [`Bans::strike`](crate::Bans::strike)).
    pub fn weight(self) -> f64 {
        match self {
            Self::Malformed(_) | Self::Misbehaved(_) => 1.0,
            Self::BadSignature => 2.0,
            Self::Stale(_) | Self::Unsupported | Self::Profiles => 0.0,
        }
    }
}

impl From<allium_wire::Error> for Error {
    fn from(error: allium_wire::Error) -> Self {
        match error {
            allium_wire::Error::Signature(_) => Self::BadSignature,
            allium_wire::Error::Unsupported(_) => Self::Unsupported,
            other => Self::Malformed(other),
        }
    }
}
