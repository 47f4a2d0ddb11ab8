//! A hop's side: finds its record in a build message, decides, and answers.

use super::keys::{GarlicKey, Keys, hop_state};
use super::request::{Request, Role, put_options};
use super::{RECORD, REJECT_BANDWIDTH, REPLY};
use crate::filter::IvFilter;
use crate::hop::{Hop, InboundGateway, OutboundEndpoint, Participant, Place};
use crate::{Error, HOP_LIFETIME, MESSAGE_LIFETIME, Sending};
use allium_crypto::layer::Layer;
use allium_crypto::noise::SymmetricState;
use allium_crypto::x25519::{PublicKey, StaticSecret};
use allium_crypto::{Rng, aead};
use allium_wire::garlic::{Block, Clove, Delivery, encode_block};
use allium_wire::i2np::{BuildRecords, Kind, Message, TunnelGateway, garlic};
use allium_wire::{Now, RouterHash};

/// Minutes that a request may be old.
const OLDEST: u32 = 8;
/// Minutes that a request may be ahead of us.
const NEWEST: u32 = 5;
/// Ephemeral keys remembered: buckets of 16 (the most recent 131 000; an hour at 36 requests a second).
const SEEN: usize = 8192;

/// What to say to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Take part.
    Accept {
        /// Bandwidth to promise, KB/s (option `b`; only where the request asked).
        available: Option<u32>,
    },
    /// Answer no, with this code.
    Reject(u8),
    /// Say nothing.
    Drop,
}

impl Decision {
    /// The one refusal in use.
    pub const REJECT: Self = Self::Reject(REJECT_BANDWIDTH);
    /// Acceptance without a promise.
    pub const ACCEPT: Self = Self::Accept { available: None };
}

/// An answered request.
pub struct Answer {
    /// What was asked.
    pub request: Request,
    /// What we are to be, if we accepted: to be filed under its receive id *before* the message is sent.
    pub hop: Option<Hop>,
    /// The message with our answer in it, for the next hop or the gateway of the reply tunnel. That may be
    /// ourselves: then the message is a TunnelGateway for a tunnel of ours, or for a tunnel that we carry.
    pub send: Sending,
}

/// Answers the build messages that come to this router.
pub struct Responder {
    pub(super) us: RouterHash,
    secret: StaticSecret,
    state: SymmetricState,
    seen: IvFilter,
    pub(super) rng: Rng,
}

impl Responder {
    /// For the router with this hash, and the key of its identity.
    pub fn new(us: RouterHash, secret: StaticSecret, mut rng: Rng) -> Self {
        let state = hop_state(&secret.public());
        let seen = IvFilter::bounded(&mut rng, SEEN);
        Self { us, secret, state, seen, rng }
    }

    /// Answers a ShortTunnelBuild that `from` brought (None if it came sealed through a tunnel).
    ///
    /// `decide` should refuse what [`crate::Admission`] refuses, and receive ids that are in use.
    ///
    /// # Errors
    /// The message is to be dropped without an answer: no record for us, one that does not open or was seen
    /// before, a clock far from ours, a request against the rules, or `decide` says so.
    pub fn answer(
        &mut self,
        now: Now,
        from: Option<RouterHash>,
        mut build: BuildRecords,
        decide: impl FnOnce(&Request) -> Decision,
    ) -> Result<Answer, Error> {
        let records = &mut build.records;
        let prefix = &self.us.0[..16];
        let slot = records.iter().position(|r| &r[..16] == prefix).ok_or(Error::NotForUs)?;
        let (request, state) = self.open(&mut records[slot])?;
        self.check(now, from, &request)?;
        let decision = decide(&request);
        let reply = match decision {
            Decision::Accept { available } => self.reply(0, available),
            Decision::Reject(code) => self.reply(code.max(1), None),
            Decision::Drop => return Err(Error::Dropped),
        };
        let keys = Keys::derive(&state, request.role == Role::OutboundEndpoint);
        for (i, record) in records.iter_mut().enumerate() {
            if i == slot {
                keys.seal_reply(slot, &reply, record);
            } else {
                keys.mask(i, record);
            }
        }
        let accepted = matches!(decision, Decision::Accept { .. });
        let hop = accepted.then(|| self.hop(now, from, &request, keys.layer()));
        let send = match &keys.garlic {
            None => Sending { to: request.next, message: on(Kind::ShortTunnelBuild, &request, now, &build) },
            Some(garlic) => self.reply_message(now, &request, garlic, &build),
        };
        Ok(Answer { request, hop, send })
    }

    fn open(&mut self, record: &mut [u8; RECORD]) -> Result<(Request, SymmetricState), Error> {
        let (state, plain) = self.unseal(record)?;
        Ok((Request::decode(plain)?, state))
    }

    /// Opens a record of either kind in place; one key exchange.
    pub(super) fn unseal<'a>(&mut self, record: &'a mut [u8]) -> Result<(SymmetricState, &'a [u8]), Error> {
        let (head, sealed) = record.split_at_mut(48);
        let mut ephemeral = [0; 32];
        ephemeral.copy_from_slice(&head[16..]);
        let mut key = [0; 16];
        key.copy_from_slice(&ephemeral[..16]);
        if self.seen.contains(&key) {
            return Err(Error::Duplicate);
        }
        let mut state = self.state.clone();
        state.mix_hash(&ephemeral);
        state.mix_key(&*self.secret.dh(&PublicKey(ephemeral))?);
        let len = state.decrypt_and_hash(sealed)?;
        self.seen.insert(&key);
        Ok((state, &sealed[..len]))
    }

    pub(super) fn check(&self, now: Now, from: Option<RouterHash>, request: &Request) -> Result<(), Error> {
        let minutes = now.date.minutes();
        if request.minutes.saturating_add(OLDEST) < minutes
            || request.minutes > minutes.saturating_add(NEWEST)
        {
            return Err(Error::WrongTime);
        }
        // A reply tunnel may well begin at its endpoint's own router; any other next hop may not.
        if request.role != Role::OutboundEndpoint && request.next == self.us {
            return Err(Error::Misbehaved("the next hop is ourselves"));
        }
        if request.role == Role::Participant && from == Some(request.next) {
            return Err(Error::Misbehaved("the next hop is the previous one"));
        }
        Ok(())
    }

    fn reply(&mut self, code: u8, available: Option<u32>) -> [u8; REPLY] {
        let mut reply: [u8; REPLY] = self.rng.array();
        put_options(&mut reply, &[("b", available)]);
        reply[REPLY - 1] = code;
        reply
    }

    /// The hop that was asked for, with these keys.
    pub(super) fn hop(&mut self, now: Now, from: Option<RouterHash>, request: &Request, layer: Layer) -> Hop {
        let place = Place {
            receive: request.receive,
            from,
            next: request.next,
            next_tunnel: request.next_tunnel,
            expires: now.instant + HOP_LIFETIME,
        };
        match request.role {
            Role::Participant => Hop::Participant(Participant::new(place, layer, &mut self.rng)),
            Role::InboundGateway => Hop::InboundGateway(InboundGateway::new(place, layer, &mut self.rng)),
            Role::OutboundEndpoint => {
                Hop::OutboundEndpoint(OutboundEndpoint::new(place, layer, &mut self.rng))
            }
        }
    }

    /// The reply of an outbound tunnel: sealed for the creator, unless the reply tunnel's gateway, who would
    /// see it, is ourselves.
    fn reply_message(
        &mut self,
        now: Now,
        request: &Request,
        key: &GarlicKey,
        records: &BuildRecords,
    ) -> Sending {
        let reply = on(Kind::OutboundTunnelBuildReply, request, now, records);
        let message = if request.next == self.us { reply } else { self.seal(now, key, reply) };
        let mut inner = Vec::new();
        message.encode_standard(&mut inner);
        let gateway = TunnelGateway { tunnel: request.next_tunnel, message: inner.as_slice().into() };
        let message = gateway.into_message(self.rng.u32(), now.date + MESSAGE_LIFETIME);
        Sending { to: request.next, message }
    }

    /// A garlic message of one clove, as an existing session's: tag, then the sealed clove with nonce 0.
    fn seal(&mut self, now: Now, key: &GarlicKey, reply: Message) -> Message {
        let mut sealed = key.tag.to_vec();
        encode_block(&Block::Clove(Clove { delivery: Delivery::Local, message: reply }), &mut sealed);
        aead::Key::new(&key.key).seal_vec(0, &key.tag, &mut sealed, 8);
        Message {
            kind: Kind::Garlic,
            id: self.rng.u32(),
            expires: now.date + MESSAGE_LIFETIME,
            body: garlic(&sealed),
        }
    }
}

/// The message that goes on, under the id that the creator chose for it.
fn on(kind: Kind, request: &Request, now: Now, records: &BuildRecords) -> Message {
    Message { kind, id: request.next_message, expires: now.date + MESSAGE_LIFETIME, body: records.encode() }
}
