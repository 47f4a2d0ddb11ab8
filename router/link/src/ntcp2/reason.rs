//! Why a session ended.

use crate::Blame;
use std::fmt;
use std::time::Duration;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $text:literal;)+) => {
        /// The reason in a termination block.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $($(#[$doc])* $name,)+
            /// A code that the specification does not name.
            Other(u8),
        }

        impl Reason {
            /// All reasons that the specification names, in the order of their codes.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The code on the wire.
            pub fn code(self) -> u8 {
                match self {
                    $(Self::$name => $code,)+
                    Self::Other(code) => code,
                }
            }

            /// In words.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                    Self::Other(_) => "unknown reason",
                }
            }
        }

        impl From<u8> for Reason {
            fn from(code: u8) -> Self {
                match code {
                    $($code => Self::$name,)+
                    other => Self::Other(other),
                }
            }
        }
    };
}

reasons! {
    /// Closed in good order, or no reason given.
    Normal = 0, "normal close";
    /// The answer to a termination.
    TerminationReceived = 1, "termination received";
    /// Nothing to say for too long.
    IdleTimeout = 2, "idle timeout";
    /// The router goes down.
    Shutdown = 3, "router shutdown";
    /// A frame did not authenticate.
    DataAuthentication = 4, "data phase AEAD failure";
    /// The options cannot be met.
    IncompatibleOptions = 5, "incompatible options";
    /// The RouterInfo is signed with a type that cannot be checked.
    IncompatibleSignature = 6, "incompatible signature type";
    /// The clocks are too far apart.
    ClockSkew = 7, "clock skew";
    /// More padding than agreed.
    PaddingViolation = 8, "padding violation";
    /// A frame of impossible length.
    Framing = 9, "AEAD framing error";
    /// The blocks of a frame make no sense.
    PayloadFormat = 10, "payload format error";
    /// Message 1 was wrong.
    Message1 = 11, "message 1 error";
    /// Message 2 was wrong.
    Message2 = 12, "message 2 error";
    /// Message 3 was wrong.
    Message3 = 13, "message 3 error";
    /// A frame began but did not end.
    FrameTimeout = 14, "intra-frame read timeout";
    /// The signature of the RouterInfo in message 3 does not verify.
    RouterInfoSignature = 15, "RouterInfo signature verification failure";
    /// The static key is not the one in the RouterInfo.
    StaticKey = 16, "static key missing, invalid or mismatched in RouterInfo";
    /// We do not talk to you.
    Banned = 17, "banned";
}

impl Reason {
    /// Who is to blame when a peer ends a session with this reason; `None` where nobody is.
    pub fn blame(self) -> Option<Blame> {
        match self {
            Self::Normal | Self::TerminationReceived | Self::IdleTimeout | Self::Shutdown => None,
            Self::DataAuthentication | Self::FrameTimeout | Self::ClockSkew => Some(Blame::Network),
            _ => Some(Blame::Peer),
        }
    }

    /// For how long not to dial a peer that ended a session with this reason, whatever the count of failures.
    pub fn hold_off(self) -> Option<Duration> {
        let minutes = match self {
            Self::Shutdown => 5,
            Self::ClockSkew => 10,
            Self::IncompatibleOptions | Self::IncompatibleSignature => 120,
            Self::RouterInfoSignature | Self::StaticKey => 60,
            Self::Banned => 125,
            _ => return None,
        };
        Some(Duration::from_secs(minutes * 60))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.code())
    }
}

#[cfg(test)]
mod tests;
