//! The two headers of a message, and the small bodies.

use std::fmt;

use allium_crypto::hash::sha256;
use bytes::{Buf, BytesMut};

use crate::{Date, Error, Reader, TunnelId};

/// Bytes of the header within NTCP2, SSU2 and ratchet cloves: type, id, expiration in seconds.
pub const SHORT_HEADER: usize = 9;
/// Bytes of the header within tunnels: type, id, expiration in milliseconds, size, checksum.
pub const STANDARD_HEADER: usize = 16;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $number:literal),* $(,)?) => {
        /// The type of a message.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Kind {
            $($(#[$doc])* $name,)*
            /// One that this router does not know.
            Unknown(u8),
        }

        impl From<u8> for Kind {
            fn from(number: u8) -> Self {
                match number {
                    $($number => Self::$name,)*
                    other => Self::Unknown(other),
                }
            }
        }

        impl From<Kind> for u8 {
            fn from(kind: Kind) -> u8 {
                match kind {
                    $(Kind::$name => $number,)*
                    Kind::Unknown(number) => number,
                }
            }
        }
    };
}

kinds! {
    /// An entry for the network database.
    DatabaseStore = 1,
    /// A question to the network database.
    DatabaseLookup = 2,
    /// "I don't have it, but these may."
    DatabaseSearchReply = 3,
    /// "It arrived."
    DeliveryStatus = 10,
    /// Something sealed.
    Garlic = 11,
    /// 1024 bytes on their way through a tunnel.
    TunnelData = 18,
    /// A message for a tunnel's gateway.
    TunnelGateway = 19,
    /// A client's payload.
    Data = 20,
    /// Obsolete.
    TunnelBuild = 21,
    /// Obsolete.
    TunnelBuildReply = 22,
    /// Long build records.
    VariableTunnelBuild = 23,
    /// Long build records, answered.
    VariableTunnelBuildReply = 24,
    /// Short build records.
    ShortTunnelBuild = 25,
    /// Short build records, answered by an outbound endpoint.
    OutboundTunnelBuildReply = 26,
}

/// A message: a header's content and an undecoded body.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// Its type.
    pub kind: Kind,
    /// Its id.
    pub id: u32,
    /// When nobody wants it any more.
    pub expires: Date,
    /// The body.
    pub body: BytesMut,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({} bytes)", self.kind, self.body.len())
    }
}

impl Message {
    /// A message.
    pub fn new(kind: Kind, id: u32, expires: Date, body: BytesMut) -> Self {
        Self { kind, id, expires, body }
    }

    /// Whether it is past its time, with a minute's grace for clocks.
    pub fn expired(&self, now: Date) -> bool {
        self.expires + std::time::Duration::from_secs(60) < now
    }

    /// Bytes of it with the short header.
    pub fn short_len(&self) -> usize {
        SHORT_HEADER + self.body.len()
    }

    /// Appends it with the short header.
    pub fn encode_short(&self, out: &mut Vec<u8>) {
        out.push(self.kind.into());
        out.extend_from_slice(&self.id.to_be_bytes());
        out.extend_from_slice(&self.expires.seconds().to_be_bytes());
        out.extend_from_slice(&self.body);
    }

    /// The short header alone.
    pub fn short_header(&self) -> [u8; SHORT_HEADER] {
        let mut out = [0; SHORT_HEADER];
        let (kind, rest) = out.split_at_mut(1);
        let (id, expires) = rest.split_at_mut(4);
        kind.copy_from_slice(&[self.kind.into()]);
        id.copy_from_slice(&self.id.to_be_bytes());
        expires.copy_from_slice(&self.expires.seconds().to_be_bytes());
        out
    }

    /// Appends it with the standard header.
    pub fn encode_standard(&self, out: &mut Vec<u8>) {
        out.reserve(STANDARD_HEADER + self.body.len());
        out.push(self.kind.into());
        out.extend_from_slice(&self.id.to_be_bytes());
        out.extend_from_slice(&self.expires.0.to_be_bytes());
        out.extend_from_slice(&(self.body.len() as u16).to_be_bytes());
        let [checksum, ..] = sha256(&self.body);
        out.push(checksum);
        out.extend_from_slice(&self.body);
    }

    /// Reads a message with the short header; its body is the rest of `bytes`, not copied.
    ///
    /// # Errors
    /// [`Error::Truncated`], [`Error::TooLong`].
    pub fn decode_short(mut bytes: BytesMut) -> Result<Self, Error> {
        let mut header = Reader::of(&bytes, "an I2NP message");
        let kind = header.u8()?.into();
        let id = header.u32()?;
        let expires = Date::from_seconds(u64::from(header.u32()?));
        bytes.advance(SHORT_HEADER);
        if bytes.len() > super::MAX {
            return Err(Error::TooLong("an I2NP message"));
        }
        Ok(Self { kind, id, expires, body: bytes })
    }

    /// Reads a message with the standard header; its body is taken out of `bytes`, not copied. Bytes after it are
    /// ignored, as the specification leaves it open what may follow.
    ///
    /// # Errors
    /// [`Error::Truncated`], [`Error::TooLong`], and [`Error::Invalid`] where the checksum does not fit, which is not
    /// looked at for garlic.
    pub fn decode_standard(mut bytes: BytesMut) -> Result<Self, Error> {
        let mut header = Reader::of(&bytes, "an I2NP message");
        let kind = header.u8()?.into();
        let id = header.u32()?;
        let expires = Date(header.u64()?);
        let size = usize::from(header.u16()?);
        let checksum = header.u8()?;
        if size > super::MAX {
            return Err(Error::TooLong("an I2NP message"));
        }
        let body = header.take(size)?;
        // What garlic holds is authenticated by its seal.
        if kind != Kind::Garlic && sha256(body)[0] != checksum {
            return Err(Error::Invalid("an I2NP message's checksum"));
        }
        bytes.advance(STANDARD_HEADER);
        bytes.truncate(size);
        Ok(Self { kind, id, expires, body: bytes })
    }
}

/// "It arrived": the answer to a store, and the content of tunnel tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliveryStatus {
    /// The id of the message that arrived.
    pub id: u32,
    /// When it arrived.
    pub at: Date,
}

impl DeliveryStatus {
    /// The body.
    pub fn encode(&self) -> BytesMut {
        let mut out = BytesMut::with_capacity(12);
        out.extend_from_slice(&self.id.to_be_bytes());
        out.extend_from_slice(&self.at.0.to_be_bytes());
        out
    }

    /// Reads a body.
    ///
    /// # Errors
    /// [`Error::Truncated`], [`Error::Trailing`].
    pub fn decode(body: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::of(body, "a DeliveryStatus");
        let status = Self { id: reader.u32()?, at: Date(reader.u64()?) };
        reader.finish()?;
        Ok(status)
    }

    /// A message of it.
    pub fn into_message(self, id: u32, expires: Date) -> Message {
        Message::new(Kind::DeliveryStatus, id, expires, self.encode())
    }
}

/// A message for a tunnel's gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunnelGateway {
    /// The tunnel.
    pub tunnel: TunnelId,
    /// The message, with its standard header.
    pub message: BytesMut,
}

impl TunnelGateway {
    /// Wraps a message for a tunnel.
    pub fn wrap(tunnel: TunnelId, message: &Message) -> Self {
        let mut bytes = Vec::new();
        message.encode_standard(&mut bytes);
        Self { tunnel, message: BytesMut::from(bytes.as_slice()) }
    }

    /// The body.
    pub fn encode(&self) -> BytesMut {
        let mut out = BytesMut::with_capacity(6 + self.message.len());
        out.extend_from_slice(&self.tunnel.0.to_be_bytes());
        out.extend_from_slice(&(self.message.len() as u16).to_be_bytes());
        out.extend_from_slice(&self.message);
        out
    }

    /// Reads a body; the message is taken out of it, not copied.
    ///
    /// # Errors
    /// [`Error::Truncated`].
    pub fn decode(mut body: BytesMut) -> Result<Self, Error> {
        let mut reader = Reader::of(&body, "a TunnelGateway");
        let tunnel = TunnelId(reader.u32()?);
        let length = usize::from(reader.u16()?);
        reader.take(length)?;
        body.advance(6);
        body.truncate(length);
        Ok(Self { tunnel, message: body })
    }

    /// A message of it.
    pub fn into_message(self, id: u32, expires: Date) -> Message {
        Message::new(Kind::TunnelGateway, id, expires, self.encode())
    }
}

/// The tunnel that a TunnelData or TunnelGateway body is for.
pub fn tunnel_id(body: &[u8]) -> Option<TunnelId> {
    body.first_chunk().map(|id| TunnelId(u32::from_be_bytes(*id)))
}

fn with_length(content: &[u8]) -> BytesMut {
    let mut out = BytesMut::with_capacity(4 + content.len());
    out.extend_from_slice(&(content.len() as u32).to_be_bytes());
    out.extend_from_slice(content);
    out
}

fn without_length(mut body: BytesMut, what: &'static str) -> Result<BytesMut, Error> {
    let mut reader = Reader::of(&body, what);
    let length = reader.u32()? as usize;
    reader.take(length)?;
    body.advance(4);
    body.truncate(length);
    Ok(body)
}

/// A Garlic message's body: four bytes of length, and what is sealed.
pub fn garlic(sealed: &[u8]) -> BytesMut {
    with_length(sealed)
}

/// What is sealed in a Garlic message's body, not copied.
///
/// # Errors
/// [`Error::Truncated`].
pub fn garlic_payload(body: BytesMut) -> Result<BytesMut, Error> {
    without_length(body, "a Garlic message")
}

/// A Data message's body: four bytes of length, and the payload.
pub fn data(payload: &[u8]) -> BytesMut {
    with_length(payload)
}

/// The payload of a Data message's body, not copied.
///
/// # Errors
/// [`Error::Truncated`].
pub fn data_payload(body: BytesMut) -> Result<BytesMut, Error> {
    without_length(body, "a Data message")
}
