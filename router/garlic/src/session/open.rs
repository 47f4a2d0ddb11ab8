//! Opening messages whose tag is known: Existing Sessions and New Session Replies.

use allium_crypto::aead;
use allium_crypto::x25519::StaticSecret;
use allium_wire::Now;
use allium_wire::garlic::Clove;
use bytes::BytesMut;

use super::{ANSWER, CONFIRM, Common, Session, UNCHOSEN};
use crate::payload::{self, Payload};
use crate::ratchet::{NextKey, Set};
use crate::table::{Place, WIDE};
use crate::tagset::Lookahead;
use crate::{Error, Event, Kind};

/// What came of a message.
pub(crate) struct Delivered {
    pub(crate) kind: Kind,
    pub(crate) cloves: Vec<Clove>,
}

impl Session {
    /// Opens a message whose tag stands for `place`.
    pub(crate) fn open(
        &mut self,
        common: &mut Common,
        now: Now,
        place: Place,
        message: BytesMut,
    ) -> Result<Delivered, Error> {
        for (at, ratchet) in self.ratchets.iter().enumerate() {
            if let Some(set) = ratchet.receive.sets.iter().position(|set| set.serial == place.set) {
                return self.open_existing(common, now, (at, set), place.number, message);
            }
        }
        let at = self.initiations.iter().position(|initiation| initiation.serial == place.set);
        self.open_reply(common, now, at.ok_or(Error::Unknown)?, place.number, message)
    }

    fn open_existing(
        &mut self,
        common: &mut Common,
        now: Now,
        (at, place): (usize, usize),
        number: u16,
        mut message: BytesMut,
    ) -> Result<Delivered, Error> {
        let ratchet = &mut self.ratchets[at];
        let Some(Set { serial, id, tags, .. }) = ratchet.receive.sets.get_mut(place) else {
            return Err(Error::Unknown);
        };
        let (serial, id) = (*serial, *id);
        let key = aead::Key::new(&*tags.key(number).ok_or(Error::Unknown)?);
        let Some((tag, sealed)) = message.split_first_chunk_mut::<8>() else { return Err(Error::Short) };
        let len = key.open(u64::from(number), &*tag, sealed).map_err(Error::Peer)?.len();
        let first = !tags.used();
        let most = common.table.most();
        tags.consume(number, most, &mut common.table.of(self.slot, serial));
        ratchet.received(now.instant, place, first);
        self.heard(now.instant);
        self.settle(common, now, at);
        let payload = payload::read(payload::part(message, 8..8 + len)).map_err(Error::Malformed)?;
        self.apply(common, now, at, (place, id, number), &payload);
        Ok(Delivered { kind: Kind::Existing, cloves: payload.cloves })
    }

    /// A message came in the ratchet at this place: it confirms what made it, and ends the handshakes.
    fn settle(&mut self, common: &mut Common, now: Now, at: usize) {
        let ratchet = &mut self.ratchets[at];
        if !ratchet.usable {
            ratchet.usable = true;
            if let Some(token) = ratchet.reply_token.take() {
                self.confirm(common, token);
            }
            let unchosen = now.instant + UNCHOSEN;
            for other in self.ratchets.iter_mut().filter(|other| !other.usable) {
                other.expires = Some(other.expires.map_or(unchosen, |before| before.min(unchosen)));
            }
            common.events.push_back(Event::Established { peer: self.peer });
        }
        self.take_up(common, at);
    }

    /// What the blocks beside the cloves say.
    fn apply(
        &mut self,
        common: &mut Common,
        now: Now,
        at: usize,
        (place, id, number): (usize, u16, u16),
        payload: &Payload,
    ) {
        for next_key in &payload.next_keys {
            self.take_next_key(common, now, at, place, *next_key);
        }
        if payload.ack_request {
            self.ratchets[at].acknowledge(id, number, now.instant + ANSWER);
        }
        for (set, number) in &payload.acks {
            if let Some(token) = self.ratchets[at].acknowledged(*set, *number) {
                self.confirm(common, token);
            }
        }
        if payload.terminates {
            self.drop_ratchet(common, at);
        } else {
            self.ratchets[at].retire_sets(now.instant, |tag| common.table.remove(tag));
            self.bound_ratchets(common);
        }
    }

    fn take_next_key(&mut self, common: &mut Common, now: Now, at: usize, place: usize, next_key: NextKey) {
        if next_key.is_reverse() {
            self.ratchets[at].send.accept(next_key);
            return;
        }
        let (slot, serial) = (self.slot, self.next_serial());
        let (table, rng) = (&mut common.table, &mut common.rng);
        let ratchet = &mut self.ratchets[at];
        let most = table.most();
        let answers = ratchet.receive.accept(
            next_key,
            place,
            || StaticSecret::generate(rng),
            |seed, id, ahead| {
                let lookahead = Lookahead { least: ahead.min(most), most: WIDE };
                Set::new(seed, serial, id, lookahead, &mut table.of(slot, serial))
            },
        );
        if answers {
            ratchet.reply_by(now.instant + ANSWER);
        }
    }

    fn open_reply(
        &mut self,
        common: &mut Common,
        now: Now,
        at: usize,
        number: u16,
        mut message: BytesMut,
    ) -> Result<Delivered, Error> {
        let initiation = &mut self.initiations[at];
        let (split, range) = initiation.sent.open_reply(&common.local, &mut message)?;
        initiation.replies.consume(number, 0, &mut common.table.of(self.slot, initiation.serial));
        let (sent_at, token) = (initiation.at, initiation.token.take());
        let payload = payload::read(payload::part(message, range)).map_err(Error::Malformed)?;
        self.heard(now.instant);
        if let Some(token) = token {
            self.confirm(common, token);
        }
        // Only the first reply to any of several New Sessions makes a ratchet.
        if !self.ratchets.iter().any(|ratchet| ratchet.initiated && ratchet.created > sent_at) {
            let at = self.add_ratchet(common, now, &split, true);
            common.events.push_back(Event::Established { peer: self.peer });
            self.take_up(common, at);
            self.bound_ratchets(common);
            self.answer_due = Some(now.instant + CONFIRM);
        }
        Ok(Delivered { kind: Kind::NewSessionReply, cloves: payload.cloves })
    }
}
