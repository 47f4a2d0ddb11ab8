//! What there is with one peer: handshakes under way in both directions, ratchets, and the way the next message goes.
//!
//! A peer may hold several ratchets with us: after New Sessions that crossed, after a restart, one for every reply until
//! the first answer to it. All are listened to; one is sent in. The newest sign of life decides: a New Session is
//! answered by New Session Replies until an Existing Session arrives, and once we have a reply we send Existing Sessions.

mod open;
mod seal;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use allium_crypto::Rng;
use allium_crypto::noise::SymmetricState;
use allium_crypto::x25519::StaticSecret;
use allium_wire::garlic::Clove;

use crate::new_session::{Received, Sent};
use crate::ratchet::Ratchet;
use crate::table::Table;
use crate::tagset::{LAST_NUMBER, ReceiveTags, SendTags};
use crate::{Event, PeerKey};

pub(crate) use open::Delivered;

/// New Sessions of ours that may be unanswered at a time.
const INITIATIONS: usize = 32;
/// When there are more, one of this age goes, or else one from the middle: the reply under way is to an early one if
/// the peer is far, and to a late one if the first were lost.
const STALE_INITIATION: Duration = Duration::from_secs(30);
/// New Sessions before the one whose reply made the ratchet are kept this long, for their replies.
const ANSWERED: Duration = Duration::from_secs(60);
/// New Sessions of a peer's that are kept to be replied to.
pub(crate) const RESPONSES: usize = 4;
/// Replies to one New Session: as many tags as the other side listens for.
const REPLIES: u16 = 12;
/// How long a handshake may take.
pub(crate) const HANDSHAKE: Duration = Duration::from_secs(180);
/// Ratchets of replies, none of which has been chosen yet. Beyond that the ones in the middle go: the peer chooses the
/// first that arrives.
const TENTATIVE: usize = 16;
/// Ratchets that may be sent in, the present one included.
const USABLE: usize = 4;
/// Ratchets made of other replies are listened to this long after one was confirmed.
const UNCHOSEN: Duration = Duration::from_secs(60);
/// Ratchets made within this time of each other by both sides come of New Sessions that crossed.
const CROSSING: Duration = Duration::from_secs(30);
/// A ratchet is not sent in after so long without use.
const SEND_IDLE: Duration = Duration::from_secs(480);
/// A ratchet is not listened to after so long without use.
const RECEIVE_IDLE: Duration = Duration::from_secs(600);
/// Tags that a fresh tag set of Existing Sessions looks ahead.
const FRESH: u16 = 32;
/// How long after a New Session or an ack request an answer of ours goes out, if nothing else does.
const ANSWER: Duration = Duration::from_secs(1);
/// The same after a New Session Reply: the peer waits for it to leave its handshake.
const CONFIRM: Duration = Duration::from_millis(500);
/// After so long without a message from the peer, ours ask for acks.
const SILENCE: Duration = Duration::from_secs(10);
/// How often.
const PROBE: Duration = Duration::from_secs(5);
/// When so many went unanswered for so long, the peer is taken to have lost the session.
const PROBES: u32 = 3;
/// See [`PROBES`].
const DEAF: Duration = Duration::from_secs(30);
/// A LeaseSet that was sent but not confirmed is sent again after this time.
const OFFER_AGAIN: Duration = Duration::from_secs(5);

/// What all sessions of one destination share.
pub(crate) struct Common {
    /// The ratchet key of the destination.
    pub(crate) local: StaticSecret,
    /// The state before any New Session to it.
    pub(crate) start: SymmetricState,
    pub(crate) rng: Rng,
    pub(crate) table: Table,
    pub(crate) events: VecDeque<Event>,
    /// Where payloads are put together.
    pub(crate) plain: Vec<u8>,
}

/// What a message is to carry.
#[derive(Clone, Copy, Debug, Default)]
pub struct Content<'a> {
    /// The cloves, in this order.
    pub cloves: &'a [Clove],
    /// Asks for a confirmation: [`Event::Acked`] will bring this number back once the peer has the message.
    /// Numbers grow: the version of the LeaseSet that is among the cloves.
    pub confirm: Option<u64>,
}

/// A New Session that we sent.
struct Initiation {
    sent: Sent,
    at: Instant,
    /// The serial of `replies` in the table.
    serial: u32,
    replies: ReceiveTags,
    token: Option<u64>,
}

/// A New Session that we received, to be replied to.
pub(crate) struct Response {
    received: Received,
    pub(crate) at: Instant,
    tags: SendTags,
}

impl Response {
    pub(crate) fn new(now: Instant, received: Received) -> Self {
        let tags = SendTags::new(&received.reply_seed());
        Self { received, at: now, tags }
    }

    /// Keeps the first, to which the sender surely still listens, and the last few.
    pub(crate) fn bound(responses: &mut VecDeque<Self>) {
        while responses.len() > RESPONSES {
            responses.remove(1);
        }
    }
}

/// How the next message goes, as the newest sign of life says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    New,
    Reply,
    /// In the ratchet with this serial.
    Existing(u32),
}

/// The same, as it turns out when a message is to go.
#[derive(Clone, Copy)]
enum Choice {
    New,
    Reply(usize),
    Existing(usize),
}

/// Everything there is with one peer.
pub(crate) struct Session {
    peer: PeerKey,
    slot: u32,
    serial: u32,
    initiations: VecDeque<Initiation>,
    responses: VecDeque<Response>,
    ratchets: Vec<Ratchet>,
    way: Way,
    last_heard: Instant,
    probes: u32,
    first_probe: Option<Instant>,
    last_probe: Option<Instant>,
    answer_due: Option<Instant>,
    /// When a message last went or came.
    pub(crate) used: Instant,
    confirmed: Option<u64>,
    offered: Option<(u64, Instant)>,
    /// What the owner's timers say of this session.
    pub(crate) timer: Option<Instant>,
}

impl Session {
    pub(crate) fn new(now: Instant, peer: PeerKey, slot: u32) -> Self {
        Self {
            peer,
            slot,
            serial: 0,
            initiations: VecDeque::new(),
            responses: VecDeque::new(),
            ratchets: Vec::new(),
            way: Way::New,
            last_heard: now,
            probes: 0,
            first_probe: None,
            last_probe: None,
            answer_due: None,
            used: now,
            confirmed: None,
            offered: None,
            timer: None,
        }
    }

    /// Whose it is.
    pub(crate) fn peer(&self) -> PeerKey {
        self.peer
    }

    /// Whether a handshake was completed, so that the session is worth more than another.
    pub(crate) fn is_established(&self) -> bool {
        self.ratchets.iter().any(|ratchet| ratchet.usable)
    }

    /// When an answer must go out though there may be nothing to say.
    pub(crate) fn due(&self) -> Option<Instant> {
        let replies = self.ratchets.iter().filter_map(|ratchet| ratchet.reply_due);
        replies.chain(self.answer_due).min()
    }

    /// Whether the peer should be sent this version of our LeaseSet with the next message.
    pub(crate) fn needs_lease_set(&self, now: Instant, version: u64) -> bool {
        // Each New Session carries it: any may be the first to arrive, and the peer may have forgotten all before.
        if matches!(self.choose(now), Choice::New) {
            return true;
        }
        let is_under_way = self.offered.is_some_and(|(offered, at)| {
            offered >= version && now.saturating_duration_since(at) < OFFER_AGAIN
        });
        self.confirmed.is_none_or(|confirmed| confirmed < version) && !is_under_way
    }

    /// The next message is a New Session, whatever there was; what was is still listened to.
    pub(crate) fn restart(&mut self) {
        self.way = Way::New;
        self.answer_due = None;
    }

    /// New Sessions of this peer that came before it was known whose they were.
    pub(crate) fn adopt(&mut self, responses: impl IntoIterator<Item = Response>) {
        for response in responses {
            let due = response.at + ANSWER;
            self.answer_due = Some(self.answer_due.map_or(due, |before| before.min(due)));
            self.last_heard = self.last_heard.max(response.at);
            self.confirmed = None;
            self.responses.push_back(response);
            self.way = Way::Reply;
        }
        Response::bound(&mut self.responses);
    }

    fn choose(&self, now: Instant) -> Choice {
        let place = match self.way {
            Way::New => None,
            Way::Reply => {
                let fits = |response: &Response| {
                    response.tags.used() < u32::from(REPLIES)
                        && now.saturating_duration_since(response.at) < HANDSHAKE
                };
                if let Some(place) = self.responses.iter().rposition(fits) {
                    return Choice::Reply(place);
                }
                self.best()
            }
            Way::Existing(serial) => self.ratchets.iter().position(|ratchet| ratchet.serial == serial),
        };
        match place {
            Some(place) if self.may_send(now, &self.ratchets[place]) => Choice::Existing(place),
            _ => Choice::New,
        }
    }

    fn may_send(&self, now: Instant, ratchet: &Ratchet) -> bool {
        let used = ratchet.last_sent.max(ratchet.last_heard);
        let is_deaf = self.probes >= PROBES
            && self.first_probe.is_some_and(|first| now.saturating_duration_since(first) >= DEAF);
        ratchet.usable
            && !is_deaf
            && now.saturating_duration_since(used) < SEND_IDLE
            && ratchet.send.tags.used() <= LAST_NUMBER
    }

    /// The ratchet to send in, of those that can be.
    fn best(&self) -> Option<usize> {
        let usable = (0..self.ratchets.len()).filter(|place| self.ratchets[*place].usable);
        usable.max_by_key(|place| self.ratchets[*place].created)
    }

    /// Whether this message should ask for an ack, since nothing has been heard for a while.
    fn probe(&mut self, now: Instant) -> bool {
        let recent = self.last_probe.is_some_and(|last| now.saturating_duration_since(last) < PROBE);
        if recent || now.saturating_duration_since(self.last_heard) < SILENCE {
            return false;
        }
        self.probes += 1;
        self.first_probe.get_or_insert(now);
        self.last_probe = Some(now);
        true
    }

    fn heard(&mut self, now: Instant) {
        self.last_heard = now;
        self.used = now;
        self.probes = 0;
        self.first_probe = None;
        self.last_probe = None;
    }

    fn next_serial(&mut self) -> u32 {
        self.serial = self.serial.wrapping_add(1);
        self.serial
    }

    /// The peer has what went with this token.
    fn confirm(&mut self, common: &mut Common, token: u64) {
        self.confirmed = self.confirmed.max(Some(token));
        common.events.push_back(Event::Acked { peer: self.peer, token });
    }

    /// A ratchet has become usable, or shown a sign of life: it may be the one to send in from now on.
    fn take_up(&mut self, common: &Common, place: usize) {
        let serial = self.ratchets[place].serial;
        self.responses.clear();
        if let Way::Existing(present) = self.way
            && let Some(present) = self.ratchets.iter().find(|ratchet| ratchet.serial == present)
            && !self.is_better(common, &self.ratchets[place], present)
        {
            return;
        }
        self.way = Way::Existing(serial);
    }

    /// Which of two ratchets to send in: the newer, but of two that crossed the one whose initiator has the smaller key,
    /// so that both sides choose the same.
    fn is_better(&self, common: &Common, new: &Ratchet, present: &Ratchet) -> bool {
        let apart = new
            .created
            .saturating_duration_since(present.created)
            .max(present.created.saturating_duration_since(new.created));
        if apart < CROSSING && new.initiated != present.initiated {
            return new.initiated == (common.local.public() < self.peer.key);
        }
        new.created > present.created
    }

    /// Lets go of ratchets beyond the bounds, but not of the one sent in.
    fn bound_ratchets(&mut self, common: &mut Common) {
        for (usable, limit, first) in [(false, TENTATIVE, TENTATIVE / 2), (true, USABLE, 0)] {
            while self.ratchets.iter().filter(|ratchet| ratchet.usable == usable).count() > limit {
                let is_spare =
                    |ratchet: &Ratchet| ratchet.usable == usable && self.way != Way::Existing(ratchet.serial);
                let mut spare = (0..self.ratchets.len()).filter(|place| is_spare(&self.ratchets[*place]));
                let Some(place) = spare.nth(first) else { break };
                self.drop_ratchet(common, place);
            }
        }
    }

    fn drop_ratchet(&mut self, common: &mut Common, place: usize) {
        let ratchet = self.ratchets.remove(place);
        ratchet.live().for_each(|tag| common.table.remove(tag));
        if self.way == Way::Existing(ratchet.serial) {
            self.way = Way::New;
        }
    }

    /// Lets go of what is too old. True if nothing is left.
    pub(crate) fn expire(&mut self, common: &mut Common, now: Instant) -> bool {
        let old = |at: Instant, limit: Duration| now.saturating_duration_since(at) >= limit;
        let answered =
            self.ratchets.iter().filter(|ratchet| ratchet.initiated && old(ratchet.created, ANSWERED));
        let answered = answered.map(|ratchet| ratchet.created).max();
        let done = |at: Instant| old(at, HANDSHAKE) || answered.is_some_and(|answered| at < answered);
        while self.initiations.front().is_some_and(|initiation| done(initiation.at)) {
            self.drop_initiation(common, 0);
        }
        self.responses.retain(|response| !old(response.at, HANDSHAKE));
        let mut place = 0;
        while let Some(ratchet) = self.ratchets.get_mut(place) {
            let idle = if ratchet.usable { RECEIVE_IDLE } else { HANDSHAKE };
            let used =
                ratchet.last_heard.max(if ratchet.usable { ratchet.last_sent } else { ratchet.created });
            if old(used, idle) || ratchet.expires.is_some_and(|at| at <= now) {
                self.drop_ratchet(common, place);
            } else {
                ratchet.retire_sets(now, |tag| common.table.remove(tag));
                place += 1;
            }
        }
        self.initiations.is_empty() && self.responses.is_empty() && self.ratchets.is_empty()
    }

    fn drop_initiation(&mut self, common: &mut Common, place: usize) {
        if let Some(initiation) = self.initiations.remove(place) {
            initiation.replies.live().for_each(|tag| common.table.remove(tag));
        }
    }

    /// Takes all its tags out of the table.
    pub(crate) fn close(mut self, common: &mut Common) {
        while !self.initiations.is_empty() {
            self.drop_initiation(common, 0);
        }
        for ratchet in &self.ratchets {
            ratchet.live().for_each(|tag| common.table.remove(tag));
        }
    }
}

/// What tests want to know.
#[cfg(test)]
impl Session {
    pub(crate) fn describe(&self) -> &'static str {
        match self.way {
            Way::New => "new",
            Way::Reply => "reply",
            Way::Existing(_) => "existing",
        }
    }

    pub(crate) fn ratchet_count(&self) -> usize {
        self.ratchets.len()
    }

    fn present(&self) -> Option<&Ratchet> {
        self.ratchets.iter().find(|ratchet| self.way == Way::Existing(ratchet.serial))
    }

    /// Whether the ratchet sent in is of a handshake that this side began.
    pub(crate) fn sends_in_own(&self) -> Option<bool> {
        self.present().map(|ratchet| ratchet.initiated)
    }

    pub(crate) fn sends_in_set(&self) -> Option<u16> {
        self.present().map(|ratchet| ratchet.send.id)
    }

    pub(crate) fn newest_set(&self) -> Option<u16> {
        self.present()?.receive.sets.last().map(|set| set.id)
    }

    pub(crate) fn next_entry(&mut self) -> crate::tagset::Entry {
        self.ratchets[0].send.tags.next().unwrap()
    }
}
