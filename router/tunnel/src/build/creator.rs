//! The creator's side: records for every hop, and what their replies make.

use super::keys::{GarlicKey, Keys, hop_state};
use super::request::{Request, Role, get_options};
use super::{MOST, RECORD, REQUEST, STANDARD};
use crate::own::{Inbound, Outbound, OwnHop};
use crate::{Error, LIFETIME, MESSAGE_LIFETIME, Sending};
use allium_crypto::x25519::{PublicKey, StaticSecret};
use allium_crypto::{Rng, ct_eq};
use allium_wire::i2np::{BuildRecords, Kind, Message};
use allium_wire::{Now, RouterHash, TunnelId};
use std::time::Instant;

/// A router that is asked to be a hop.
#[derive(Clone, Copy, Debug)]
pub struct HopKey {
    /// Its hash.
    pub hash: RouterHash,
    /// The X25519 key of its identity.
    pub static_key: PublicKey,
}

/// Where the build message goes in the end.
#[derive(Clone, Copy, Debug)]
pub enum Ends {
    /// An outbound tunnel: the endpoint sends the reply into an inbound tunnel of ours.
    Outbound {
        /// That tunnel's gateway.
        reply_gateway: RouterHash,
        /// That tunnel's id at its gateway.
        reply_tunnel: TunnelId,
    },
    /// An inbound tunnel: the build message itself comes back to us.
    Inbound {
        /// Our hash.
        us: RouterHash,
        /// The id under which we will receive.
        receive: TunnelId,
    },
}

/// What one hop answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It takes part.
    Accepted {
        /// The bandwidth it promised, KB/s (option `b`).
        available: Option<u32>,
    },
    /// It refuses, with this code.
    Refused(u8),
    /// Its reply does not decrypt: it, or a hop after it, changed the record.
    Garbled,
}

/// A build that made no tunnel.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a hop refused the tunnel, or the reply was changed on its way")]
pub struct Refusal {
    /// Every hop's answer, in the order of the hops.
    pub hops: Vec<(RouterHash, Outcome)>,
    /// Our own record came back changed, or the message has another shape: some hop tampers.
    pub tampered: bool,
}

impl Refusal {
    /// Whether some hop said no, as opposed to a reply that cannot be read.
    pub fn refused(&self) -> bool {
        self.hops.iter().any(|(_, outcome)| matches!(outcome, Outcome::Refused(_)))
    }
}

/// A tunnel of ours, just built.
pub enum Built {
    /// For messages out.
    Outbound(Outbound),
    /// For messages in.
    Inbound(Inbound),
}

struct Hop {
    hash: RouterHash,
    receive: TunnelId,
    slot: usize,
    keys: Keys,
}

/// A build under way: the keys of all hops until the replies come.
pub struct Build {
    ends: Ends,
    hops: Vec<Hop>,
    /// The decoy for ourselves in an inbound build, which must come back as it was.
    own: Option<(usize, [u8; RECORD])>,
    records: usize,
    reply_id: u32,
    started: Instant,
}

impl Build {
    /// Makes the request for a tunnel through `hops`, in the order of the messages' way (1 to 7), and the
    /// ShortTunnelBuild for the first of them.
    ///
    /// For an outbound tunnel that message goes straight to the first hop. For an inbound one it should go out
    /// through an outbound tunnel, sealed for the gateway (router garlic).
    ///
    /// # Errors
    /// [`Error::Misbehaved`] for no hops or more than 7; [`Error::Crypto`] if a hop's key is unusable.
    pub fn new(ends: Ends, hops: &[HopKey], now: Now, rng: &mut Rng) -> Result<(Self, Sending), Error> {
        let inbound = matches!(ends, Ends::Inbound { .. });
        let needed = hops.len() + usize::from(inbound);
        if hops.is_empty() || needed > MOST {
            return Err(Error::Misbehaved("a tunnel of 0 or too many hops"));
        }
        let count = if needed <= STANDARD { STANDARD } else { MOST };
        let mut slots: Vec<usize> = (0..count).collect();
        rng.shuffle(&mut slots);
        let mut records: Vec<[u8; RECORD]> = (0..count).map(|_| rng.array()).collect();
        let receive: Vec<TunnelId> = hops.iter().map(|_| tunnel_id(rng)).collect();
        let mut build = Self {
            ends,
            hops: Vec::with_capacity(hops.len()),
            own: None,
            records: count,
            reply_id: rng.u32(),
            started: now.instant,
        };
        for (i, (hop, &slot)) in hops.iter().zip(&slots).enumerate() {
            let request = build.request(i, hops, &receive, now, rng);
            let keys = seal_request(hop, &request, &mut records[slot], rng)?;
            build.hops.push(Hop { hash: hop.hash, receive: receive[i], slot, keys });
        }
        if let Ends::Inbound { us, .. } = ends {
            let slot = slots[hops.len()];
            records[slot][..16].copy_from_slice(&us.0[..16]);
            records[slot][16..48].copy_from_slice(&StaticSecret::generate(rng).public().0);
            build.own = Some((slot, records[slot]));
        }
        build.conceal(&mut records);
        let message = Message {
            kind: Kind::ShortTunnelBuild,
            id: rng.u32(),
            expires: now.date + MESSAGE_LIFETIME,
            body: BuildRecords { records }.encode(),
        };
        Ok((build, Sending { to: hops[0].hash, message }))
    }

    /// The id of the message that will bring the replies: a ShortTunnelBuild for an inbound tunnel, an
    /// OutboundTunnelBuildReply for an outbound one.
    pub fn reply_id(&self) -> u32 {
        self.reply_id
    }

    /// For an outbound tunnel, what opens the garlic message around the reply: register its tag before sending.
    pub fn garlic(&self) -> Option<&GarlicKey> {
        self.hops.last().and_then(|hop| hop.keys.garlic.as_ref())
    }

    /// The routers asked, in order.
    pub fn hops(&self) -> impl ExactSizeIterator<Item = RouterHash> {
        self.hops.iter().map(|hop| hop.hash)
    }

    /// Opens the replies: the tunnel, if every hop accepted.
    ///
    /// # Errors
    /// [`Refusal`], with every hop's answer.
    pub fn reply(self, reply: BuildRecords, rng: &mut Rng) -> Result<Built, Refusal> {
        let mut records = reply.records;
        if records.len() != self.records {
            let hops = self.hops.iter().map(|hop| (hop.hash, Outcome::Garbled)).collect();
            return Err(Refusal { hops, tampered: true });
        }
        let tampered = self.own.is_some_and(|(slot, record)| !ct_eq(&record, &records[slot]));
        let hops: Vec<(RouterHash, Outcome)> =
            (0..self.hops.len()).map(|i| (self.hops[i].hash, self.open(i, &mut records))).collect();
        if tampered || hops.iter().any(|(_, outcome)| !matches!(outcome, Outcome::Accepted { .. })) {
            return Err(Refusal { hops, tampered });
        }
        let expires = self.started + LIFETIME;
        let hops = self
            .hops
            .iter()
            .map(|hop| OwnHop { router: hop.hash, receive: hop.receive, layer: hop.keys.layer() })
            .collect();
        Ok(match self.ends {
            Ends::Outbound { .. } => Built::Outbound(Outbound::new(hops, expires, rng.fork())),
            Ends::Inbound { us, receive } => Built::Inbound(Inbound::new(us, receive, hops, expires, rng)),
        })
    }

    /// The request to the `i`-th hop.
    fn request(&self, i: usize, hops: &[HopKey], receive: &[TunnelId], now: Now, rng: &mut Rng) -> Request {
        let last = i + 1 == hops.len();
        let (next, next_tunnel, role) = match self.ends {
            Ends::Outbound { reply_gateway, reply_tunnel } if last => {
                (reply_gateway, reply_tunnel, Role::OutboundEndpoint)
            }
            Ends::Inbound { us, receive: ours } if last => (us, ours, Role::Participant),
            _ => (hops[i + 1].hash, receive[i + 1], Role::Participant),
        };
        let gateway = i == 0 && matches!(self.ends, Ends::Inbound { .. });
        Request {
            receive: receive[i],
            next_tunnel,
            next,
            role: if gateway { Role::InboundGateway } else { role },
            minutes: now.date.minutes(),
            lifetime: LIFETIME.as_secs() as u32,
            next_message: if last { self.reply_id } else { rng.u32() },
            minimum: None,
            requested: None,
            limit: None,
        }
    }

    /// Masks each record by every hop before its own, so that they unmask it on the way.
    fn conceal(&self, records: &mut [[u8; RECORD]]) {
        for (i, hop) in self.hops.iter().enumerate() {
            for before in &self.hops[..i] {
                before.keys.mask(hop.slot, &mut records[hop.slot]);
            }
            if let Some((slot, _)) = self.own {
                hop.keys.mask(slot, &mut records[slot]);
            }
        }
    }

    /// The `i`-th hop's answer, unmasked from the hops after it.
    fn open(&self, i: usize, records: &mut [[u8; RECORD]]) -> Outcome {
        let hop = &self.hops[i];
        let record = &mut records[hop.slot];
        for after in &self.hops[i + 1..] {
            after.keys.mask(hop.slot, record);
        }
        match hop.keys.open_reply(hop.slot, record) {
            Ok([options @ .., 0]) => Outcome::Accepted {
                available: get_options(options).ok().and_then(|o| o.get("b").and_then(|b| b.parse().ok())),
            },
            Ok([.., code]) => Outcome::Refused(*code),
            _ => Outcome::Garbled,
        }
    }
}

/// A random id that is not 0.
fn tunnel_id(rng: &mut Rng) -> TunnelId {
    TunnelId((rng.below(u64::from(u32::MAX)) + 1) as u32)
}

/// Seals the request into the record, under an ephemeral key of its own.
pub(super) fn seal_request(
    hop: &HopKey,
    request: &Request,
    record: &mut [u8; RECORD],
    rng: &mut Rng,
) -> Result<Keys, Error> {
    let ephemeral = StaticSecret::generate(rng);
    let mut state = hop_state(&hop.static_key);
    state.mix_hash(&ephemeral.public().0);
    state.mix_key(&*ephemeral.dh(&hop.static_key)?);
    let mut sealed = Vec::with_capacity(RECORD - 48);
    let clear: [u8; REQUEST] = request.encode(rng);
    sealed.extend_from_slice(&clear);
    state.encrypt_and_hash(&mut sealed, 0);
    record[..16].copy_from_slice(&hop.hash.0[..16]);
    record[16..48].copy_from_slice(&ephemeral.public().0);
    record[48..].copy_from_slice(&sealed);
    Ok(Keys::derive(&state, request.role == Role::OutboundEndpoint))
}

#[cfg(test)]
impl Build {
    pub(super) fn own_slot(&self) -> Option<usize> {
        self.own.map(|own| own.0)
    }

    pub(super) fn slots(&self) -> Vec<usize> {
        self.hops.iter().map(|hop| hop.slot).collect()
    }
}
