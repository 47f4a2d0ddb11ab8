//! Sealing: New Session, New Session Reply, Existing Session.

use allium_crypto::aead;
use allium_crypto::x25519::StaticSecret;
use allium_wire::Now;
use allium_wire::garlic::BLOCK_HEADER;
use bytes::{BufMut, BytesMut};

use super::{Choice, Common, Content, FRESH, INITIATIONS, Initiation, REPLIES, STALE_INITIATION, Session};
use crate::Error;
use crate::new_session::{self, Ephemeral, Sent, Split};
use crate::payload;
use crate::ratchet::{Ratchet, Set};
use crate::table::WIDE;
use crate::tagset::{Lookahead, ReceiveTags, Seed};

/// What an Existing Session adds to its payload: tag and MAC.
pub(crate) const EXISTING_OVERHEAD: usize = 8 + aead::TAG;
/// Acks in a message that carries nothing else.
const MOST_ACKS: usize = 64;

impl Session {
    /// Appends to `out` the 4-byte length and the sealed message, in whatever form the session is at.
    pub(crate) fn seal(
        &mut self,
        common: &mut Common,
        now: Now,
        content: &Content<'_>,
        out: &mut BytesMut,
    ) -> Result<(), Error> {
        match self.choose(now.instant) {
            Choice::Existing(place) => self.seal_existing(common, now, place, content, out)?,
            Choice::Reply(place) => self.seal_reply(common, now, place, content, out)?,
            Choice::New => self.seal_new(common, now, content, out)?,
        }
        self.answer_due = None;
        self.used = now.instant;
        if let Some(version) = content.confirm {
            self.offered = Some((version, now.instant));
        }
        Ok(())
    }

    /// Sends what is due though there are no cloves for it. False if there was nothing to say after all.
    pub(crate) fn transmit(
        &mut self,
        common: &mut Common,
        now: Now,
        out: &mut BytesMut,
    ) -> Result<bool, Error> {
        let nothing = Content::default();
        if self.answer_due.is_some_and(|due| due <= now.instant) {
            self.answer_due = None;
            match self.choose(now.instant) {
                Choice::New => (),
                Choice::Reply(last) => {
                    // To the first that has no reply: of many, the sender may have let go of the later ones.
                    let first = self.responses.iter().position(|response| response.tags.used() == 0);
                    return self.seal_reply(common, now, first.unwrap_or(last), &nothing, out).map(|()| true);
                }
                Choice::Existing(place) => {
                    return self.seal_existing(common, now, place, &nothing, out).map(|()| true);
                }
            }
        }
        let is_due = |ratchet: &Ratchet| ratchet.reply_due.is_some_and(|due| due <= now.instant);
        while let Some(place) = self.ratchets.iter().position(is_due) {
            self.ratchets[place].reply_due = None;
            if self.may_send(now.instant, &self.ratchets[place]) {
                return self.seal_existing(common, now, place, &nothing, out).map(|()| true);
            }
        }
        Ok(false)
    }

    fn seal_existing(
        &mut self,
        common: &mut Common,
        now: Now,
        place: usize,
        content: &Content<'_>,
        out: &mut BytesMut,
    ) -> Result<(), Error> {
        let probe = !content.cloves.is_empty() && self.probe(now.instant);
        let ack_request = probe || content.confirm.is_some();
        let ratchet = &mut self.ratchets[place];
        if ratchet.send.wants_exchange() {
            ratchet.send.begin_exchange(|| StaticSecret::generate(&mut common.rng));
        }
        let mut extras = ratchet.extras(now.instant, ack_request);
        let plain = &mut common.plain;
        plain.clear();
        payload::cloves_len(content.cloves)?;
        payload::write_extras(plain, &extras);
        for clove in content.cloves {
            payload::write_clove(plain, clove);
        }
        let room = if content.cloves.is_empty() {
            BLOCK_HEADER + 4 * MOST_ACKS
        } else {
            payload::room(plain.len() + EXISTING_OVERHEAD)
        };
        extras.acks = ratchet.acks.len().min(room.saturating_sub(BLOCK_HEADER) / 4);
        if extras.acks > 0 {
            payload::write_acks(plain, ratchet.acks.iter().copied().take(extras.acks));
        }
        let padding = payload::padding(&mut common.rng, plain.len() + EXISTING_OVERHEAD);
        payload::write_padding(plain, padding);

        let Some(entry) = ratchet.send.tags.next() else { return Err(Error::Exhausted) };
        let total = plain.len() + EXISTING_OVERHEAD;
        out.reserve(4 + total);
        out.put_u32(total as u32);
        out.put_slice(&entry.tag);
        let from = out.len();
        out.put_slice(plain);
        let mac = aead::Key::new(&entry.key).seal(u64::from(entry.number), &entry.tag, &mut out[from..]);
        out.put_slice(&mac);
        ratchet.sent(now.instant, &extras, entry.number, content.confirm);
        Ok(())
    }

    fn seal_new(
        &mut self,
        common: &mut Common,
        now: Now,
        content: &Content<'_>,
        out: &mut BytesMut,
    ) -> Result<(), Error> {
        let payload = payload::handshake(
            &mut common.rng,
            Some(now.date),
            content.cloves,
            new_session::NEW_SESSION_OVERHEAD,
        )?;
        let mut message = Vec::with_capacity(payload.len() + new_session::NEW_SESSION_OVERHEAD);
        let ephemeral = Ephemeral::generate(&mut common.rng);
        let sent = Sent::seal(&common.local, &self.peer.key, ephemeral, &payload, &mut message)?;
        append(out, &message);
        let serial = self.next_serial();
        let lookahead = Lookahead { least: REPLIES, most: REPLIES };
        let replies =
            ReceiveTags::new(&sent.reply_seed(), lookahead, &mut common.table.of(self.slot, serial));
        let token = content.confirm;
        self.initiations.push_back(Initiation { sent, at: now.instant, serial, replies, token });
        if self.initiations.len() > INITIATIONS {
            let first = self.initiations.front().map(|initiation| initiation.at);
            let is_stale =
                first.is_some_and(|at| now.instant.saturating_duration_since(at) >= STALE_INITIATION);
            self.drop_initiation(common, if is_stale { 0 } else { INITIATIONS / 2 });
        }
        Ok(())
    }

    fn seal_reply(
        &mut self,
        common: &mut Common,
        now: Now,
        place: usize,
        content: &Content<'_>,
        out: &mut BytesMut,
    ) -> Result<(), Error> {
        let payload = payload::handshake(&mut common.rng, None, content.cloves, new_session::REPLY_OVERHEAD)?;
        let Some(response) = self.responses.get_mut(place) else { return Err(Error::Exhausted) };
        let Some(entry) = response.tags.next() else { return Err(Error::Exhausted) };
        let mut message = Vec::with_capacity(payload.len() + new_session::REPLY_OVERHEAD);
        let ephemeral = Ephemeral::generate(&mut common.rng);
        let split = response.received.seal_reply(entry.tag, ephemeral, &payload, &mut message)?;
        append(out, &message);
        let place = self.add_ratchet(common, now, &split, false);
        self.ratchets[place].reply_token = content.confirm;
        self.bound_ratchets(common);
        Ok(())
    }

    /// Adds the ratchet of a handshake; the result is its place.
    pub(super) fn add_ratchet(
        &mut self,
        common: &mut Common,
        now: Now,
        split: &Split,
        initiated: bool,
    ) -> usize {
        let serial = self.next_serial();
        let mut listen = common.table.of(self.slot, serial);
        let make =
            |seed: &Seed| Set::new(seed, serial, 0, Lookahead { least: FRESH, most: WIDE }, &mut listen);
        self.ratchets.push(Ratchet::new(now.instant, split, initiated, make));
        self.ratchets.len() - 1
    }
}

fn append(out: &mut BytesMut, message: &[u8]) {
    out.reserve(4 + message.len());
    out.put_u32(message.len() as u32);
    out.put_slice(message);
}
