//! All ratchet sessions of one destination: what the rest of the router seals and opens with.

use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use allium_crypto::x25519::{PublicKey, StaticSecret};
use allium_crypto::{HashMap, Rng};
use allium_wire::garlic::Clove;
use allium_wire::{DestHash, Now};
use bytes::BytesMut;

use crate::new_session::Received;
use crate::replay::{self, Allowance, Replays};
use crate::session::{Common, Content, Delivered, HANDSHAKE, Response, Session};
use crate::table::Table;
use crate::{Error, new_session, payload};

/// How often everything is looked through for what is too old.
const SWEEP: Duration = Duration::from_secs(15);
/// Events kept for a caller that does not ask for them.
const EVENTS: usize = 1024;

/// Where a destination is and what its messages are sealed to: its hash, and the X25519 key of its LeaseSet.
///
/// Whoever makes one has seen a valid LeaseSet of this destination with this key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerKey {
    /// The destination.
    pub hash: DestHash,
    /// Its ratchet key (encryption type 4).
    pub key: PublicKey,
}

/// The bounds of the sessions of one destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Sessions, one a peer; beyond that the one idle for longest goes, those without a finished handshake first.
    pub sessions: usize,
    /// Tags listened for, at about 40 bytes each; a peer takes 32 to 2000 of them.
    pub tags: usize,
    /// Senders of New Sessions of whom it is not known which destination they are.
    pub strangers: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { sessions: 1000, tags: 100_000, strangers: 256 }
    }
}

/// Which of the forms of a message one was (ECIES section 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// New Session with the sender's static key.
    NewSession,
    /// New Session without it: the sender is unknown and cannot be replied to.
    Unbound,
    /// New Session Reply.
    NewSessionReply,
    /// Existing Session.
    Existing,
}

/// An opened message.
#[derive(Debug)]
pub struct Opened {
    /// Its form.
    pub kind: Kind,
    /// The sender's static key, proven by the handshake; `None` if unbound. A LeaseSet or destination that claims to be
    /// the sender's must have this key.
    pub from: Option<PublicKey>,
    /// The sender's destination, where it is known: after a New Session it is not (see [`Sessions::bind`]).
    pub hash: Option<DestHash>,
    /// The cloves, in their order; their bodies are parts of the message's buffer.
    pub cloves: Vec<Clove>,
    /// Whether an answer is due soon; [`Sessions::poll_transmit`] makes one if no message to the peer does.
    pub needs_reply: bool,
}

/// What became of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The handshake with this peer is complete: it has shown that it got a message of ours.
    Established {
        /// The peer.
        peer: PeerKey,
    },
    /// The peer has the message that was sealed with this [`Content::confirm`].
    Acked {
        /// The peer.
        peer: PeerKey,
        /// The number given.
        token: u64,
    },
}

/// All ratchet sessions of one destination (ECIES-X25519-AEAD-Ratchet).
///
/// Messages go in and out as the ciphertext of a Garlic message; what is sealed has its 4-byte length before it.
pub struct Sessions {
    common: Common,
    limits: Limits,
    /// By slot.
    table: Vec<Option<Session>>,
    free: Vec<u32>,
    by_peer: HashMap<PeerKey, u32>,
    /// New Sessions from senders whose destination is not known yet.
    strangers: HashMap<PublicKey, VecDeque<Response>>,
    replays: Replays,
    allowance: Allowance,
    timers: BTreeSet<(Instant, u32)>,
    sweep: Option<Instant>,
}

impl Sessions {
    /// No sessions yet. `local` is the X25519 key in the destination's LeaseSet.
    pub fn new(local: StaticSecret, limits: Limits, mut rng: Rng) -> Self {
        Self {
            limits,
            table: Vec::new(),
            free: Vec::new(),
            by_peer: HashMap::with_hasher(rng.hasher()),
            strangers: HashMap::with_hasher(rng.hasher()),
            replays: Replays::new(&mut rng),
            allowance: Allowance::new(),
            timers: BTreeSet::new(),
            sweep: None,
            common: Common {
                start: new_session::start(&local.public()),
                local,
                table: Table::new(&mut rng, limits.tags),
                events: VecDeque::new(),
                plain: Vec::new(),
                rng,
            },
        }
    }

    /// The key that peers seal to.
    pub fn public(&self) -> PublicKey {
        self.common.local.public()
    }

    /// Appends to `out` the body of a Garlic message (4-byte length, ciphertext) for this peer: a New Session, a New
    /// Session Reply or an Existing Session, whichever its session is at.
    ///
    /// # Errors
    /// [`Error::TooLong`] if the cloves are too much for one message, [`Error::Peer`] if the peer's key is no good.
    /// `out` may then have a part of a message at its end.
    pub fn seal(
        &mut self,
        now: Now,
        to: &PeerKey,
        content: &Content<'_>,
        out: &mut BytesMut,
    ) -> Result<(), Error> {
        let slot = self.slot(now.instant, to);
        let Some(Some(session)) = self.table.get_mut(slot as usize) else { return Err(Error::Unknown) };
        let result = session.seal(&mut self.common, now, content, out);
        self.settle(slot);
        result
    }

    /// Opens the ciphertext of a Garlic message (without its length).
    ///
    /// # Errors
    /// [`Error::Short`], [`Error::Unknown`] and [`Error::Peer`] if it is for no session and no New Session either,
    /// or forged; [`Error::Replayed`] and [`Error::Clock`] for a New Session that is not fresh; [`Error::Busy`] if too
    /// many messages with unknown tags came; [`Error::Malformed`] if it is authentic but its blocks are not right.
    pub fn open(&mut self, now: Now, message: BytesMut) -> Result<Opened, Error> {
        let tag = message.first_chunk().ok_or(Error::Short)?;
        let Some(place) = self.common.table.get(*tag) else { return self.open_new(now, message) };
        let Some(Some(session)) = self.table.get_mut(place.slot as usize) else { return Err(Error::Unknown) };
        let result = session.open(&mut self.common, now, place, message);
        let (peer, needs_reply) = (session.peer(), session.due().is_some());
        self.settle(place.slot);
        let Delivered { kind, cloves } = result?;
        Ok(Opened { kind, from: Some(peer.key), hash: Some(peer.hash), cloves, needs_reply })
    }

    fn open_new(&mut self, now: Now, mut message: BytesMut) -> Result<Opened, Error> {
        let ephemeral = new_session::ephemeral_of(&message)?;
        if self.replays.contains(&ephemeral) {
            return Err(Error::Replayed);
        }
        if !self.allowance.take(now.instant) {
            return Err(Error::Busy);
        }
        let opened = new_session::open(&self.common.start, &self.common.local, ephemeral, &mut message)?;
        let payload = payload::read(payload::part(message, opened.payload)).map_err(Error::Malformed)?;
        if !payload.date.is_some_and(|date| replay::is_recent(now.date, date)) {
            return Err(Error::Clock);
        }
        self.replays.insert(now.instant, &ephemeral);
        let from = opened.received.as_ref().map(Received::peer);
        if let Some(received) = opened.received {
            self.welcome(now.instant, received.peer(), Response::new(now.instant, received));
        }
        let kind = if from.is_some() { Kind::NewSession } else { Kind::Unbound };
        Ok(Opened { kind, from, hash: None, cloves: payload.cloves, needs_reply: from.is_some() })
    }

    fn welcome(&mut self, now: Instant, key: PublicKey, response: Response) {
        self.sweep.get_or_insert(now + SWEEP);
        if self.strangers.len() >= self.limits.strangers && !self.strangers.contains_key(&key) {
            let oldest =
                self.strangers.iter().min_by_key(|(_, responses)| responses.back().map(|last| last.at));
            if let Some(oldest) = oldest.map(|(key, _)| *key) {
                self.strangers.remove(&oldest);
            }
        }
        let responses = self.strangers.entry(key).or_default();
        responses.push_back(response);
        Response::bound(responses);
    }

    /// Says whose the New Sessions from `peer.key` are: their LeaseSet, which came among the cloves or from the netDb,
    /// is of the destination `peer.hash`. From then on they can be answered.
    ///
    /// [`seal`](Self::seal) implies it.
    pub fn bind(&mut self, now: Now, peer: &PeerKey) {
        if self.strangers.contains_key(&peer.key) {
            let slot = self.slot(now.instant, peer);
            self.settle(slot);
        }
    }

    /// Whether the next message to this peer should carry our LeaseSet of this version: until it is confirmed, in every
    /// New Session, and in an Existing Session every few seconds.
    pub fn needs_lease_set(&self, now: Now, peer: &PeerKey, version: u64) -> bool {
        self.session(peer).is_none_or(|session| session.needs_lease_set(now.instant, version))
    }

    /// Whether a handshake with this peer was completed and its session still exists.
    pub fn is_established(&self, peer: &PeerKey) -> bool {
        self.session(peer).is_some_and(Session::is_established)
    }

    /// Makes the next message to this peer a New Session: for when it seems to have forgotten the old one. What still
    /// comes in the old one is understood.
    pub fn restart(&mut self, peer: &PeerKey) {
        if let Some(slot) = self.by_peer.get(peer).copied() {
            if let Some(Some(session)) = self.table.get_mut(slot as usize) {
                session.restart();
            }
            self.settle(slot);
        }
    }

    /// Forgets everything about a peer.
    pub fn forget(&mut self, peer: &PeerKey) {
        if let Some(slot) = self.by_peer.get(peer).copied() {
            self.close(slot);
        }
        self.strangers.remove(&peer.key);
    }

    /// Appends to `out` the body of a Garlic message that is due by itself (an empty reply, an ack, a next key), and
    /// says to whom it goes. To be called until `None` when [`deadline`](Self::deadline) has come.
    pub fn poll_transmit(&mut self, now: Now, out: &mut BytesMut) -> Option<PeerKey> {
        while let Some((due, slot)) = self.timers.first().copied() {
            if due > now.instant {
                break;
            }
            let Some(Some(session)) = self.table.get_mut(slot as usize) else {
                self.timers.pop_first();
                continue;
            };
            let (peer, from) = (session.peer(), out.len());
            let result = session.transmit(&mut self.common, now, out);
            self.settle(slot);
            match result {
                Ok(true) => return Some(peer),
                Ok(false) => (),
                Err(_) => out.truncate(from),
            }
        }
        None
    }

    /// What has become of sessions; to be called until `None` after each call that took time or a message.
    pub fn poll(&mut self) -> Option<Event> {
        self.common.events.pop_front()
    }

    /// When to call [`poll_transmit`](Self::poll_transmit) and [`expire`](Self::expire) next.
    pub fn deadline(&self) -> Option<Instant> {
        let timer = self.timers.first().map(|(due, _)| *due);
        timer.into_iter().chain(self.sweep).min()
    }

    /// Lets go of what is too old. Cheap when nothing is due.
    pub fn expire(&mut self, now: Now) {
        if self.sweep.is_none_or(|sweep| sweep > now.instant) {
            return;
        }
        for slot in 0..self.table.len() as u32 {
            if let Some(Some(session)) = self.table.get_mut(slot as usize)
                && session.expire(&mut self.common, now.instant)
            {
                self.close(slot);
            } else {
                self.settle(slot);
            }
        }
        self.strangers.retain(|_, responses| {
            responses.retain(|response| now.instant.saturating_duration_since(response.at) < HANDSHAKE);
            !responses.is_empty()
        });
        let idle = self.by_peer.is_empty() && self.strangers.is_empty();
        self.sweep = (!idle).then(|| now.instant + SWEEP);
    }

    /// How many sessions there are.
    pub fn len(&self) -> usize {
        self.by_peer.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_peer.is_empty()
    }

    /// How many tags are listened for.
    pub fn tags(&self) -> usize {
        self.common.table.len()
    }

    fn session(&self, peer: &PeerKey) -> Option<&Session> {
        self.table.get(*self.by_peer.get(peer)? as usize)?.as_ref()
    }

    /// The slot of this peer's session, new if there is none, with what came from its key before.
    fn slot(&mut self, now: Instant, peer: &PeerKey) -> u32 {
        let slot = match self.by_peer.get(peer) {
            Some(slot) => *slot,
            None => self.add(now, peer),
        };
        if !self.strangers.is_empty()
            && let Some(responses) = self.strangers.remove(&peer.key)
            && let Some(Some(session)) = self.table.get_mut(slot as usize)
        {
            session.adopt(responses);
        }
        slot
    }

    fn add(&mut self, now: Instant, peer: &PeerKey) -> u32 {
        while self.by_peer.len() >= self.limits.sessions.max(1) && self.evict(None) {}
        self.sweep.get_or_insert(now + SWEEP);
        let slot = self.free.pop().unwrap_or(self.table.len() as u32);
        let session = Some(Session::new(now, *peer, slot));
        match self.table.get_mut(slot as usize) {
            Some(place) => *place = session,
            None => self.table.push(session),
        }
        self.by_peer.insert(*peer, slot);
        slot
    }

    /// Drops the session idle for longest, of those without a finished handshake if there are any.
    fn evict(&mut self, except: Option<u32>) -> bool {
        let sessions = (0..).zip(&self.table).filter(|(slot, _)| Some(*slot) != except);
        let sessions = sessions.filter_map(|(slot, session)| Some((slot, session.as_ref()?)));
        let victim = sessions.min_by_key(|(_, session)| (session.is_established(), session.used));
        let Some((slot, _)) = victim else { return false };
        self.close(slot);
        true
    }

    fn close(&mut self, slot: u32) {
        let Some(session) = self.table.get_mut(slot as usize).and_then(Option::take) else { return };
        if let Some(timer) = session.timer {
            self.timers.remove(&(timer, slot));
        }
        self.by_peer.remove(&session.peer());
        session.close(&mut self.common);
        self.free.push(slot);
    }

    /// Brings timers and bounds up to date after something was done with a session.
    fn settle(&mut self, slot: u32) {
        if let Some(Some(session)) = self.table.get_mut(slot as usize) {
            let due = session.due();
            if due != session.timer {
                if let Some(before) = session.timer {
                    self.timers.remove(&(before, slot));
                }
                self.timers.extend(due.map(|due| (due, slot)));
                session.timer = due;
            }
        }
        while self.common.table.is_over() && self.evict(Some(slot)) {}
        while self.common.events.len() > EVENTS {
            self.common.events.pop_front();
        }
    }
}

#[cfg(test)]
mod tests;
