//! Hashes and tunnel ids, each its own type. Shown short unless asked for whole (`{:#}`): logs tell little.

use std::fmt;

use crate::text;

macro_rules! hash {
    ($($(#[$doc:meta])* $name:ident),*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 32]);

        impl $name {
            /// The 32 bytes.
            pub fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// All of it in I2P's base64 (44 characters).
            pub fn base64(&self) -> String {
                text::base64_encode(&self.0)
            }
        }

        impl From<[u8; 32]> for $name {
            fn from(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }
        }

        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let whole = self.base64();
                f.write_str(if f.alternate() { &whole } else { whole.get(..4).unwrap_or_default() })
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
    )*};
}

hash! {
    /// The SHA-256 of a router's identity: the router's name.
    RouterHash,
    /// The SHA-256 of a destination.
    DestHash,
    /// Where in the key space an entry of the network database belongs today.
    RoutingKey
}

impl DestHash {
    /// The destination's `.b32.i2p` name.
    pub fn b32(&self) -> String {
        format!("{}.b32.i2p", text::base32_encode(&self.0))
    }
}

/// A tunnel's id at one of its hops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TunnelId(pub u32);

impl fmt::Display for TunnelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
