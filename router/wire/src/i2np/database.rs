//! The network database's messages.

use std::io::{Read, Write};

use bytes::{Bytes, BytesMut};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use super::{Kind, Message};
use crate::{Date, Error, Reader, RouterHash, RouterInfo, TunnelId};

/// The most excluded routers of a lookup.
const EXCLUDED: usize = 512;
/// The most peers of a search reply.
const PEERS: usize = 255;

/// How the storer wants to hear that a store arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreReply {
    /// The id of the DeliveryStatus to send; never 0.
    pub token: u32,
    /// The tunnel to send it through; directly to the gateway where `None`.
    pub tunnel: Option<TunnelId>,
    /// Its gateway, or the storer itself.
    pub gateway: RouterHash,
}

/// What is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreData {
    /// A RouterInfo, gzipped.
    RouterInfo(Bytes),
    /// A lease set: its type (1, 3, 5 or 7) and bytes.
    LeaseSet(u8, Bytes),
}

impl StoreData {
    /// Gzips a RouterInfo.
    pub fn router_info(info: &RouterInfo) -> Self {
        let mut gzip = GzEncoder::new(Vec::with_capacity(info.bytes().len()), Compression::fast());
        // Writing to a vector can't fail.
        let _ = gzip.write_all(info.bytes());
        Self::RouterInfo(gzip.finish().unwrap_or_default().into())
    }

    /// Unzips a RouterInfo; `None` for a lease set.
    ///
    /// # Errors
    /// Where it is no gzip, or longer than a RouterInfo may be.
    pub fn inflate(&self) -> Result<Option<Bytes>, Error> {
        let Self::RouterInfo(zipped) = self else { return Ok(None) };
        let mut out = Vec::with_capacity(1024);
        let limit = RouterInfo::MAX as u64 + 1;
        GzDecoder::new(zipped.as_ref())
            .take(limit)
            .read_to_end(&mut out)
            .map_err(|_| Error::Invalid("a zipped RouterInfo"))?;
        if out.len() as u64 == limit {
            return Err(Error::TooLong("a RouterInfo"));
        }
        Ok(Some(out.into()))
    }
}

/// An entry for the network database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseStore {
    /// The hash of the router or destination.
    pub key: [u8; 32],
    /// How to acknowledge, where that is wanted.
    pub reply: Option<StoreReply>,
    /// The entry.
    pub data: StoreData,
}

impl DatabaseStore {
    /// The body.
    pub fn encode(&self) -> BytesMut {
        let mut out = BytesMut::with_capacity(128 + 1024);
        out.extend_from_slice(&self.key);
        let (kind, data) = match &self.data {
            StoreData::RouterInfo(zipped) => (0, zipped),
            StoreData::LeaseSet(kind, bytes) => (*kind, bytes),
        };
        out.extend_from_slice(&[kind]);
        match &self.reply {
            None => out.extend_from_slice(&[0; 4]),
            Some(reply) => {
                out.extend_from_slice(&reply.token.to_be_bytes());
                out.extend_from_slice(&reply.tunnel.unwrap_or_default().0.to_be_bytes());
                out.extend_from_slice(reply.gateway.as_bytes());
            }
        }
        if kind == 0 {
            out.extend_from_slice(&(data.len() as u16).to_be_bytes());
        }
        out.extend_from_slice(data);
        out
    }

    /// Reads a body.
    ///
    /// # Errors
    /// Where it is cut short, or of an unknown type.
    pub fn decode(body: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::of(body, "a DatabaseStore");
        let key = reader.array()?;
        let kind = reader.u8()?;
        let reply = match reader.u32()? {
            0 => None,
            token => {
                let tunnel = Some(TunnelId(reader.u32()?)).filter(|tunnel| tunnel.0 != 0);
                Some(StoreReply { token, tunnel, gateway: RouterHash(reader.array()?) })
            }
        };
        let data = match kind & 0x0f {
            0 => {
                let length = usize::from(reader.u16()?);
                StoreData::RouterInfo(Bytes::copy_from_slice(reader.take(length)?))
            }
            kind @ (1 | 3 | 5 | 7) => StoreData::LeaseSet(kind, Bytes::copy_from_slice(reader.rest())),
            _ => return Err(Error::Unsupported("a DatabaseStore's type")),
        };
        Ok(Self { key, reply, data })
    }

    /// A message of it.
    pub fn into_message(self, id: u32, expires: Date) -> Message {
        Message::new(Kind::DatabaseStore, id, expires, self.encode())
    }
}

/// What a lookup looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookupKind {
    /// Anything under the key; obsolete.
    Any,
    /// A lease set.
    LeaseSet,
    /// A RouterInfo.
    RouterInfo,
    /// Routers near the key that are no floodfills.
    Exploration,
}

/// The one-time key and tag that an answer is to be sealed with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ReplyKey {
    /// The key.
    pub key: [u8; 32],
    /// The tag before the sealed answer.
    pub tag: [u8; 8],
}

impl std::fmt::Debug for ReplyKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReplyKey").finish_non_exhaustive()
    }
}

/// A question to the network database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseLookup {
    /// The hash of the router or destination looked for.
    pub key: [u8; 32],
    /// Who asks, or the gateway of the tunnel for the answer.
    pub from: RouterHash,
    /// The tunnel for the answer; directly to `from` where `None`.
    pub reply_tunnel: Option<TunnelId>,
    /// What is looked for.
    pub kind: LookupKind,
    /// Routers that are not to be answered with.
    pub excluded: Vec<RouterHash>,
    /// What to seal the answer with.
    pub reply_key: Option<ReplyKey>,
}

const BY_TUNNEL: u8 = 1;
const AES_REPLY: u8 = 2;
const KIND: u8 = 0b1100;
const ECIES_REPLY: u8 = 16;

impl DatabaseLookup {
    /// The body.
    pub fn encode(&self) -> BytesMut {
        let mut out = BytesMut::with_capacity(128 + self.excluded.len() * 32);
        out.extend_from_slice(&self.key);
        out.extend_from_slice(self.from.as_bytes());
        let kind = match self.kind {
            LookupKind::Any => 0,
            LookupKind::LeaseSet => 4,
            LookupKind::RouterInfo => 8,
            LookupKind::Exploration => 12,
        };
        let tunnel = if self.reply_tunnel.is_some() { BY_TUNNEL } else { 0 };
        let sealed = if self.reply_key.is_some() { ECIES_REPLY } else { 0 };
        out.extend_from_slice(&[kind | tunnel | sealed]);
        if let Some(tunnel) = self.reply_tunnel {
            out.extend_from_slice(&tunnel.0.to_be_bytes());
        }
        let excluded = self.excluded.get(..EXCLUDED).unwrap_or(&self.excluded);
        out.extend_from_slice(&(excluded.len() as u16).to_be_bytes());
        for router in excluded {
            out.extend_from_slice(router.as_bytes());
        }
        if let Some(reply) = &self.reply_key {
            out.extend_from_slice(&reply.key);
            out.extend_from_slice(&[1]);
            out.extend_from_slice(&reply.tag);
        }
        out
    }

    /// Reads a body.
    ///
    /// # Errors
    /// Where it is cut short, excludes more than 512 routers, or wants an answer sealed as ElGamal routers did.
    pub fn decode(body: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::of(body, "a DatabaseLookup");
        let key = reader.array()?;
        let from = RouterHash(reader.array()?);
        let flags = reader.u8()?;
        let reply_tunnel = if flags & BY_TUNNEL != 0 { Some(TunnelId(reader.u32()?)) } else { None };
        let kind = match flags & KIND {
            0 => LookupKind::Any,
            4 => LookupKind::LeaseSet,
            8 => LookupKind::RouterInfo,
            _ => LookupKind::Exploration,
        };
        let count = usize::from(reader.u16()?);
        if count > EXCLUDED {
            return Err(Error::TooLong("a DatabaseLookup's excluded routers"));
        }
        let excluded = (0..count).map(|_| reader.array().map(RouterHash)).collect::<Result<_, _>>()?;
        let reply_key = match (flags & AES_REPLY != 0, flags & ECIES_REPLY != 0) {
            (false, false) => None,
            (false, true) => {
                let key = reader.array()?;
                if reader.u8()? == 0 {
                    return Err(Error::Invalid("a DatabaseLookup without a reply tag"));
                }
                Some(ReplyKey { key, tag: reader.array()? })
            }
            (true, _) => return Err(Error::Unsupported("a DatabaseLookup's reply encryption")),
        };
        Ok(Self { key, from, reply_tunnel, kind, excluded, reply_key })
    }

    /// A message of it.
    pub fn into_message(self, id: u32, expires: Date) -> Message {
        Message::new(Kind::DatabaseLookup, id, expires, self.encode())
    }
}

/// "I don't have it, but these may."
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseSearchReply {
    /// What was looked for.
    pub key: [u8; 32],
    /// Who may have it, or (exploration) who else there is.
    pub peers: Vec<RouterHash>,
    /// Who says so.
    pub from: RouterHash,
}

impl DatabaseSearchReply {
    /// The body.
    pub fn encode(&self) -> BytesMut {
        let peers = self.peers.get(..PEERS).unwrap_or(&self.peers);
        let mut out = BytesMut::with_capacity(65 + peers.len() * 32);
        out.extend_from_slice(&self.key);
        out.extend_from_slice(&[peers.len() as u8]);
        for peer in peers {
            out.extend_from_slice(peer.as_bytes());
        }
        out.extend_from_slice(self.from.as_bytes());
        out
    }

    /// Reads a body.
    ///
    /// # Errors
    /// [`Error::Truncated`], [`Error::Trailing`].
    pub fn decode(body: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::of(body, "a DatabaseSearchReply");
        let key = reader.array()?;
        let count = reader.u8()?;
        let peers = (0..count).map(|_| reader.array().map(RouterHash)).collect::<Result<_, _>>()?;
        let from = RouterHash(reader.array()?);
        reader.finish()?;
        Ok(Self { key, peers, from })
    }

    /// A message of it.
    pub fn into_message(self, id: u32, expires: Date) -> Message {
        Message::new(Kind::DatabaseSearchReply, id, expires, self.encode())
    }
}
