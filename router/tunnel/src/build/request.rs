//! The request to one hop, in the clear.

use super::REQUEST;
use crate::Error;
use allium_crypto::Rng;
use allium_wire::{Mapping, Reader, RouterHash, TunnelId};

/// Bit 7 of the flags: messages come from anyone.
const FROM_ANYONE: u8 = 0x80;
/// Bit 6 of the flags: messages go to anyone.
const TO_ANYONE: u8 = 0x40;
/// Where the options begin.
const OPTIONS: usize = 56;

/// What a hop is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It relays within the tunnel.
    Participant,
    /// The first hop of an inbound tunnel: takes messages from anyone.
    InboundGateway,
    /// The last hop of an outbound tunnel: delivers messages to anyone.
    OutboundEndpoint,
}

/// A request to take part in a tunnel (154 bytes; tunnel-creation-ecies, "Short Request Record Unencrypted").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The id under which the hop is to receive.
    pub receive: TunnelId,
    /// The id under which the next hop receives; at an outbound endpoint, of the reply tunnel.
    pub next_tunnel: TunnelId,
    /// The next hop; at an outbound endpoint, the gateway of the reply tunnel.
    pub next: RouterHash,
    /// What the hop is to be.
    pub role: Role,
    /// When it was made, in minutes since the epoch.
    pub minutes: u32,
    /// How long the tunnel is to live, in seconds; 600 is the only value in use.
    pub lifetime: u32,
    /// The id of the message that the hop sends on.
    pub next_message: u32,
    /// Bandwidth without which the tunnel is useless, KB/s (option `m`).
    pub minimum: Option<u32>,
    /// Bandwidth wished for, KB/s (option `r`).
    pub requested: Option<u32>,
    /// Bandwidth that an inbound gateway is to hold the tunnel to, KB/s (option `l`).
    pub limit: Option<u32>,
}

impl Request {
    /// The record in the clear, filled up with random bytes.
    pub(super) fn encode(&self, rng: &mut Rng) -> [u8; REQUEST] {
        let mut out: [u8; REQUEST] = rng.array();
        let flags = match self.role {
            Role::Participant => 0,
            Role::InboundGateway => FROM_ANYONE,
            Role::OutboundEndpoint => TO_ANYONE,
        };
        out[..4].copy_from_slice(&self.receive.0.to_be_bytes());
        out[4..8].copy_from_slice(&self.next_tunnel.0.to_be_bytes());
        out[8..40].copy_from_slice(self.next.as_bytes());
        out[40..44].copy_from_slice(&[flags, 0, 0, 0]);
        out[44..48].copy_from_slice(&self.minutes.to_be_bytes());
        out[48..52].copy_from_slice(&self.lifetime.to_be_bytes());
        out[52..56].copy_from_slice(&self.next_message.to_be_bytes());
        let named = [("l", self.limit), ("m", self.minimum), ("r", self.requested)];
        put_options(&mut out[OPTIONS..], &named);
        out
    }

    /// Reads a record; every rule that a well-meaning creator keeps is checked here, but its time is not.
    ///
    /// # Errors
    /// The creator misbehaves: tunnel ids of zero, both flags, a layer cipher other than AES, or bad options.
    pub(super) fn decode(record: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(record);
        let receive = TunnelId(reader.u32()?);
        let next_tunnel = TunnelId(reader.u32()?);
        let next = RouterHash(reader.array()?);
        let flags = reader.u8()?;
        reader.u16()?;
        let layer = reader.u8()?;
        let minutes = reader.u32()?;
        let lifetime = reader.u32()?;
        let next_message = reader.u32()?;
        let options = get_options(reader.rest())?;
        if receive.0 == 0 || next_tunnel.0 == 0 {
            return Err(Error::Misbehaved("tunnel id 0"));
        }
        if layer != 0 {
            return Err(Error::Misbehaved("unknown layer encryption"));
        }
        let role = role(flags)?;
        let option = |name| options.get(name).and_then(|v| v.parse().ok());
        let (minimum, requested, limit) = (option("m"), option("r"), option("l"));
        Ok(Self {
            receive,
            next_tunnel,
            next,
            role,
            minutes,
            lifetime,
            next_message,
            minimum,
            requested,
            limit,
        })
    }
}

/// What the flags of a record of either kind ask for.
fn role(flags: u8) -> Result<Role, Error> {
    match (flags & FROM_ANYONE != 0, flags & TO_ANYONE != 0) {
        (false, false) => Ok(Role::Participant),
        (true, false) => Ok(Role::InboundGateway),
        (false, true) => Ok(Role::OutboundEndpoint),
        (true, true) => Err(Error::Misbehaved("gateway and endpoint at once")),
    }
}

/// The keys that a long record carries.
pub(super) struct LongKeys {
    pub(super) layer: [u8; 32],
    pub(super) iv: [u8; 32],
    /// AES key and IV that the other records are masked with.
    pub(super) reply: [u8; 32],
    pub(super) reply_iv: [u8; 16],
}

impl Request {
    /// Reads a long record (464 bytes; tunnel-creation-ecies, "Request Record Unencrypted"), by the same rules.
    ///
    /// # Errors
    /// As [`Request::decode`].
    pub(super) fn decode_long(record: &[u8]) -> Result<(Self, LongKeys), Error> {
        let mut reader = Reader::new(record);
        let receive = TunnelId(reader.u32()?);
        let next_tunnel = TunnelId(reader.u32()?);
        let next = RouterHash(reader.array()?);
        let keys = LongKeys {
            layer: reader.array()?,
            iv: reader.array()?,
            reply: reader.array()?,
            reply_iv: reader.array()?,
        };
        let flags = reader.u8()?;
        reader.take(3)?;
        let (minutes, lifetime, next_message) = (reader.u32()?, reader.u32()?, reader.u32()?);
        if receive.0 == 0 || next_tunnel.0 == 0 {
            return Err(Error::Misbehaved("tunnel id 0"));
        }
        let (role, minimum, requested, limit) = (role(flags)?, None, None, None);
        let request = Self {
            receive,
            next_tunnel,
            next,
            role,
            minutes,
            lifetime,
            next_message,
            minimum,
            requested,
            limit,
        };
        Ok((request, keys))
    }
}

/// Writes the options that have a value to the start of `out`; the rest of it is untouched.
pub(super) fn put_options(out: &mut [u8], named: &[(&str, Option<u32>)]) {
    let mut at = 2;
    for (name, value) in named {
        let Some(value) = value else { continue };
        let text = value.to_string();
        for part in [&[name.len() as u8], name.as_bytes(), b"=", &[text.len() as u8], text.as_bytes(), b";"] {
            out[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
    }
    out[..2].copy_from_slice(&((at - 2) as u16).to_be_bytes());
}

/// The options at the start of `bytes`.
pub(super) fn get_options(bytes: &[u8]) -> Result<Mapping, Error> {
    Ok(Mapping::decode(&mut Reader::new(bytes))?)
}
