//! One pair of directions after a handshake: Existing Session messages, next keys (the DH ratchet), acks.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use allium_crypto::x25519::{PublicKey, StaticSecret};

use crate::new_session::Split;
use crate::tagset::{LAST_NUMBER, Listen, Lookahead, ReceiveTags, Seed, SendTags, Tag};

/// The number of the message in a tag set that carries the first offer of a next key.
pub(crate) const NEXT_KEY_AT: u32 = 4096;
/// How often an unanswered next key is repeated.
const NEXT_KEY_AGAIN: Duration = Duration::from_secs(1);
/// How long the tag set before is still listened to once the next one is in use.
const OLD_SET: Duration = Duration::from_secs(180);
/// Receive tag sets of a ratchet, the newest included.
const SETS: usize = 3;
/// Acks that wait for a message to go in.
const ACKS: usize = 64;
/// Confirmations awaited at a time.
const CONFIRMATIONS: usize = 32;

/// The last id of a tag set.
const LAST_ID: u16 = u16::MAX;

/// The NextKey block's flag that a public key follows.
const KEY_FOLLOWS: u8 = 1;
/// The flag of an answer.
const REVERSE: u8 = 2;
/// The flag that asks for a new key in the answer.
const WANTS_KEY: u8 = 4;

/// A NextKey block (ECIES section 5, "Next DH Ratchet Public Key").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NextKey {
    pub(crate) flags: u8,
    pub(crate) id: u16,
    pub(crate) key: Option<PublicKey>,
}

impl NextKey {
    /// Whether it answers a next key of ours, and is not an offer of the peer's.
    pub(crate) fn is_reverse(&self) -> bool {
        self.flags & REVERSE != 0
    }
}

/// A key of ours in one direction, with its id.
struct Own {
    id: u16,
    secret: StaticSecret,
}

/// The exchange of next keys under way for our send tag set.
struct Exchange {
    block: NextKey,
    /// The key for the next tag set, where it is a new one.
    fresh: Option<Own>,
    last_sent: Option<Instant>,
}

/// The direction from us to the peer.
pub(crate) struct Outbound {
    pub(crate) tags: SendTags,
    pub(crate) id: u16,
    ours: Option<Own>,
    theirs: Option<(u16, PublicKey)>,
    exchange: Option<Exchange>,
}

impl Outbound {
    fn new(seed: &Seed) -> Self {
        Self { tags: SendTags::new(seed), id: 0, ours: None, theirs: None, exchange: None }
    }

    /// Whether this tag set has been used enough to ask for the next one.
    pub(crate) fn wants_exchange(&self) -> bool {
        self.exchange.is_none() && self.tags.used() >= NEXT_KEY_AT && u32::from(self.id) < LAST_NUMBER
    }

    /// Starts the exchange for the next tag set. The first brings a key from each side, then the sides take turns:
    /// ours is new for an even tag set, the peer's for an odd one.
    pub(crate) fn begin_exchange(&mut self, fresh: impl FnOnce() -> StaticSecret) {
        let ours = self.ours.as_ref().map(|own| own.id);
        let (flags, fresh) = match (self.id, ours) {
            (0, _) => (KEY_FOLLOWS | WANTS_KEY, Some(Own { id: 0, secret: fresh() })),
            (id, Some(ours)) if id % 2 == 1 => (KEY_FOLLOWS, Some(Own { id: ours + 1, secret: fresh() })),
            _ => (WANTS_KEY, None),
        };
        let id = fresh.as_ref().map_or(ours.unwrap_or(0), |own| own.id);
        let block = NextKey { flags, id, key: fresh.as_ref().map(|own| own.secret.public()) };
        self.exchange = Some(Exchange { block, fresh, last_sent: None });
    }

    /// The offer that this message should carry, if one is due.
    fn offer(&self, now: Instant) -> Option<NextKey> {
        let exchange = self.exchange.as_ref()?;
        let due = exchange.last_sent.is_none_or(|sent| now.saturating_duration_since(sent) >= NEXT_KEY_AGAIN);
        due.then_some(exchange.block)
    }

    /// The peer's answer: if it fits the exchange, the next tag set is in use from now on.
    pub(crate) fn accept(&mut self, answer: NextKey) -> bool {
        let Some(exchange) = &self.exchange else { return false };
        let theirs = match (exchange.block.flags & WANTS_KEY != 0, answer.key, self.theirs) {
            (true, Some(key), None) if answer.id == 0 => (0, key),
            (true, Some(key), Some((id, _))) if answer.id == id + 1 => (answer.id, key),
            (false, None, Some(known)) if answer.id == known.0 => known,
            _ => return false,
        };
        let Some(own) = exchange.fresh.as_ref().or(self.ours.as_ref()) else { return false };
        let Ok(shared) = own.secret.dh(&theirs.1) else { return false };
        self.tags = SendTags::new(&Seed::after(self.tags.next_root(), &shared));
        self.id += 1;
        self.theirs = Some(theirs);
        if let Some(fresh) = self.exchange.take().and_then(|exchange| exchange.fresh) {
            self.ours = Some(fresh);
        }
        true
    }
}

/// One receive tag set of a ratchet.
pub(crate) struct Set {
    /// Its name in the table of tags, within the session.
    pub(crate) serial: u32,
    /// Its tag set id, as acks name it.
    pub(crate) id: u16,
    pub(crate) tags: ReceiveTags,
    retires: Option<Instant>,
}

/// The direction from the peer to us.
pub(crate) struct Inbound {
    /// Oldest first; the last is the newest.
    pub(crate) sets: Vec<Set>,
    ours: Option<Own>,
    theirs: Option<(u16, PublicKey)>,
    /// The offer that was answered last, and the answer.
    answered: Option<(NextKey, NextKey)>,
    answer_due: bool,
}

impl Inbound {
    fn new(set: Set) -> Self {
        Self { sets: vec![set], ours: None, theirs: None, answered: None, answer_due: false }
    }

    /// The peer offers a next key, in the receive tag set at `place`. True if an answer is to be sent. A new receive
    /// tag set is what `make` makes of its seed, its id and the window of the one before.
    pub(crate) fn accept(
        &mut self,
        offer: NextKey,
        place: usize,
        fresh: impl FnOnce() -> StaticSecret,
        make: impl FnOnce(&Seed, u16, u16) -> Set,
    ) -> bool {
        let Some(newest) = self.sets.last() else { return false };
        if self.answered.is_some_and(|(before, _)| before == offer) {
            // Repeated, so our answer was lost or is under way; a message in the new set ends this.
            self.answer_due |= !newest.tags.used();
            return self.answer_due;
        }
        if place + 1 != self.sets.len() {
            return false;
        }
        let wants_key = offer.flags & WANTS_KEY != 0;
        let theirs = match (newest.id, offer.key, self.theirs) {
            (LAST_ID, ..) => return false,
            (0, Some(key), None) if wants_key && offer.id == 0 => (0, key),
            (id, Some(key), Some(known)) if id % 2 == 1 && !wants_key && offer.id == known.0 + 1 => {
                (offer.id, key)
            }
            (id, None, Some(known)) if id > 0 && id % 2 == 0 && wants_key && offer.id == known.0 => known,
            _ => return false,
        };
        let next_id = self.ours.as_ref().map_or(0, |own| own.id + 1);
        let fresh = wants_key.then(|| Own { id: next_id, secret: fresh() });
        let Some(own) = fresh.as_ref().or(self.ours.as_ref()) else { return false };
        let Ok(shared) = own.secret.dh(&theirs.1) else { return false };
        let seed = Seed::after(newest.tags.next_root(), &shared);
        let set = make(&seed, newest.id + 1, newest.tags.ahead());
        let key = wants_key.then(|| own.secret.public());
        let flags = if wants_key { REVERSE | KEY_FOLLOWS } else { REVERSE };
        self.answered = Some((offer, NextKey { flags, id: own.id, key }));
        self.answer_due = true;
        self.theirs = Some(theirs);
        if let Some(fresh) = fresh {
            self.ours = Some(fresh);
        }
        self.sets.push(set);
        true
    }

    fn answer(&self) -> Option<NextKey> {
        self.answered.filter(|_| self.answer_due).map(|(_, answer)| answer)
    }
}

/// A confirmation awaited for a message.
struct Confirmation {
    set: u16,
    number: u16,
    token: u64,
}

/// What a message carries beside its cloves.
#[derive(Default)]
pub(crate) struct Extras {
    pub(crate) next_keys: [Option<NextKey>; 2],
    /// How many of the waiting acks go in.
    pub(crate) acks: usize,
    pub(crate) ack_request: bool,
}

/// A ratchet: what a finished handshake leaves, with its tag sets in both directions.
pub(crate) struct Ratchet {
    /// Its name within the session: the serial of its first receive tag set.
    pub(crate) serial: u32,
    /// Whether the handshake was begun by us.
    pub(crate) initiated: bool,
    /// Whether we may send in it: the initiator from the start, the responder after the first message received.
    pub(crate) usable: bool,
    pub(crate) created: Instant,
    pub(crate) last_sent: Instant,
    pub(crate) last_heard: Instant,
    /// When it goes, whatever happens.
    pub(crate) expires: Option<Instant>,
    /// What the first message received confirms: the token of the reply that made this ratchet.
    pub(crate) reply_token: Option<u64>,
    pub(crate) send: Outbound,
    pub(crate) receive: Inbound,
    /// Tag set ids and numbers to acknowledge.
    pub(crate) acks: VecDeque<(u16, u16)>,
    awaited: VecDeque<Confirmation>,
    /// When acks or an answer must be sent, with or without cloves.
    pub(crate) reply_due: Option<Instant>,
}

impl Ratchet {
    /// The ratchet of a handshake. `make` makes the first receive tag set of its seed.
    pub(crate) fn new(now: Instant, split: &Split, initiated: bool, make: impl FnOnce(&Seed) -> Set) -> Self {
        let (send, receive) =
            if initiated { (&split.forward, &split.backward) } else { (&split.backward, &split.forward) };
        let set = make(receive);
        Self {
            serial: set.serial,
            initiated,
            usable: initiated,
            created: now,
            last_sent: now,
            last_heard: now,
            expires: None,
            reply_token: None,
            send: Outbound::new(send),
            receive: Inbound::new(set),
            acks: VecDeque::new(),
            awaited: VecDeque::new(),
            reply_due: None,
        }
    }

    /// What the next message must carry beside its cloves; acks come on top where there is room.
    pub(crate) fn extras(&self, now: Instant, ack_request: bool) -> Extras {
        Extras { next_keys: [self.receive.answer(), self.send.offer(now)], acks: 0, ack_request }
    }

    /// Notes that the message with these extras was sent, as this number of the present tag set.
    pub(crate) fn sent(&mut self, now: Instant, extras: &Extras, number: u16, token: Option<u64>) {
        self.last_sent = now;
        self.acks.drain(..extras.acks.min(self.acks.len()));
        if extras.next_keys[0].is_some() {
            self.receive.answer_due = false;
        }
        if let (Some(_), Some(exchange)) = (extras.next_keys[1], &mut self.send.exchange) {
            exchange.last_sent = Some(now);
        }
        if let Some(token) = token {
            self.awaited.push_back(Confirmation { set: self.send.id, number, token });
            if self.awaited.len() > CONFIRMATIONS {
                self.awaited.pop_front();
            }
        }
        if self.acks.is_empty() && !self.receive.answer_due {
            self.reply_due = None;
        }
    }

    /// Notes that a reply must go out by `due`, or earlier if one was due before.
    pub(crate) fn reply_by(&mut self, due: Instant) {
        self.reply_due = Some(self.reply_due.map_or(due, |before| before.min(due)));
    }

    /// The peer wants this message acknowledged.
    pub(crate) fn acknowledge(&mut self, set: u16, number: u16, due: Instant) {
        if self.acks.len() >= ACKS {
            self.acks.pop_front();
        }
        self.acks.push_back((set, number));
        self.reply_by(due);
    }

    /// The peer acknowledges a message: the token it carried, if one was awaited.
    pub(crate) fn acknowledged(&mut self, set: u16, number: u16) -> Option<u64> {
        let place = self.awaited.iter().position(|wait| (wait.set, wait.number) == (set, number))?;
        self.awaited.remove(place).map(|wait| wait.token)
    }

    /// Notes a message received in the receive tag set at `place`, which had not been in use before if `first`.
    pub(crate) fn received(&mut self, now: Instant, place: usize, first: bool) {
        self.last_heard = now;
        if first && place + 1 == self.receive.sets.len() {
            self.receive.answer_due = false;
            for old in &mut self.receive.sets[..place] {
                old.retires.get_or_insert(now + OLD_SET);
            }
        }
    }

    /// Takes out the receive tag sets whose time is over, or that are too many; their tags go to `removed`.
    pub(crate) fn retire_sets(&mut self, now: Instant, mut removed: impl FnMut(Tag)) {
        let surplus = self.receive.sets.len().saturating_sub(SETS);
        let mut place = 0;
        self.receive.sets.retain(|set| {
            let keep = place >= surplus && set.retires.is_none_or(|at| at > now);
            place += 1;
            if !keep {
                set.tags.live().for_each(&mut removed);
            }
            keep
        });
    }

    /// All tags that are live in its receive tag sets.
    pub(crate) fn live(&self) -> impl Iterator<Item = Tag> + '_ {
        self.receive.sets.iter().flat_map(|set| set.tags.live())
    }
}

impl Set {
    /// A receive tag set.
    pub(crate) fn new(
        seed: &Seed,
        serial: u32,
        id: u16,
        lookahead: Lookahead,
        listen: &mut impl Listen,
    ) -> Self {
        Self { serial, id, tags: ReceiveTags::new(seed, lookahead, listen), retires: None }
    }
}

#[cfg(test)]
mod tests;
