//! Garlic without a session: what is sealed to a router's own key (Noise N, specification ECIES for routers), and what
//! comes under a one-time key and tag (replies to lookups and tunnel builds).

use std::collections::VecDeque;
use std::time::Instant;

use allium_crypto::noise::SymmetricState;
use allium_crypto::x25519::{PublicKey, StaticSecret};
use allium_crypto::{HashMap, Rng, aead};
use allium_wire::Now;
use allium_wire::garlic::Clove;
use bytes::{BufMut, BytesMut};
use zeroize::Zeroizing;

use crate::{Error, Tag, payload};

/// The protocol's name; 31 bytes, so it is padded, not hashed.
const NAME: &str = "Noise_N_25519_ChaChaPoly_SHA256";
/// Length of the ephemeral key before the ciphertext; it is not Elligator2-encoded.
const KEY: usize = 32;
/// What sealing adds to the payload.
const OVERHEAD: usize = KEY + aead::TAG;

fn start(router: &PublicKey) -> SymmetricState {
    let mut state = SymmetricState::new(NAME);
    state.mix_hash(&router.0);
    state
}

/// Appends to `out` the body of a Garlic message (4-byte length, ciphertext) for the router with the key `to`:
/// DateTime, the cloves, padding.
///
/// # Errors
/// [`Error::TooLong`] if the cloves are too much for one message, [`Error::Peer`] if the key is no good.
pub fn seal(
    rng: &mut Rng,
    now: Now,
    to: &PublicKey,
    cloves: &[Clove],
    out: &mut BytesMut,
) -> Result<(), Error> {
    let payload = payload::handshake(rng, Some(now.date), cloves, OVERHEAD)?;
    seal_with(&StaticSecret::generate(rng), to, &payload, out)
}

fn seal_with(
    ephemeral: &StaticSecret,
    to: &PublicKey,
    payload: &[u8],
    out: &mut BytesMut,
) -> Result<(), Error> {
    let mut state = start(to);
    state.mix_hash(&ephemeral.public().0);
    state.mix_key(&*ephemeral.dh(to).map_err(Error::Peer)?);
    let mut message = Vec::with_capacity(payload.len() + OVERHEAD);
    message.extend_from_slice(&ephemeral.public().0);
    message.extend_from_slice(payload);
    state.encrypt_and_hash(&mut message, KEY);
    out.reserve(4 + message.len());
    out.put_u32(message.len() as u32);
    out.put_slice(&message);
    Ok(())
}

/// Opens what was sealed to a router's key.
pub struct Inbox {
    local: StaticSecret,
    start: SymmetricState,
}

impl Inbox {
    /// The inbox of the router with this encryption key.
    pub fn new(local: StaticSecret) -> Self {
        let start = start(&local.public());
        Self { local, start }
    }

    /// Opens the ciphertext of a Garlic message (without its length); the cloves are parts of its buffer.
    ///
    /// # Errors
    /// [`Error::Short`] or [`Error::Peer`] if it was not sealed to this key; [`Error::Malformed`] if its blocks are not
    /// right.
    pub fn open(&self, mut message: BytesMut) -> Result<Vec<Clove>, Error> {
        let Some((key, sealed)) = message.split_first_chunk_mut::<KEY>() else { return Err(Error::Short) };
        let ephemeral = PublicKey(*key);
        let mut state = self.start.clone();
        state.mix_hash(&ephemeral.0);
        state.mix_key(&*self.local.dh(&ephemeral).map_err(Error::Peer)?);
        let len = state.decrypt_and_hash(sealed).map_err(Error::Peer)?;
        let payload = payload::read(payload::part(message, KEY..KEY + len)).map_err(Error::Malformed)?;
        Ok(payload.cloves)
    }
}

/// Appends to `out` the body of a Garlic message (4-byte length, ciphertext) under a one-time key and tag, as a lookup
/// or a tunnel build asked for: one clove, nonce 0.
///
/// # Errors
/// [`Error::TooLong`] if the clove is too much for one message.
pub fn seal_reply(key: &[u8; 32], tag: Tag, clove: &Clove, out: &mut BytesMut) -> Result<(), Error> {
    let mut plain = Vec::with_capacity(payload::cloves_len(std::slice::from_ref(clove))?);
    payload::write_clove(&mut plain, clove);
    let total = tag.len() + plain.len() + aead::TAG;
    out.reserve(4 + total);
    out.put_u32(total as u32);
    out.put_slice(&tag);
    let from = out.len();
    out.put_slice(&plain);
    let mac = aead::Key::new(key).seal(0, &tag, &mut out[from..]);
    out.put_slice(&mac);
    Ok(())
}

/// The tags of replies that are expected, each good for one message.
pub struct OneTimeTags {
    keys: HashMap<Tag, (Zeroizing<[u8; 32]>, Instant)>,
    order: VecDeque<(Instant, Tag)>,
    limit: usize,
}

impl OneTimeTags {
    /// None expected; at most `limit` at a time, beyond which the first registered goes.
    pub fn new(limit: usize, mut rng: Rng) -> Self {
        Self { keys: HashMap::with_hasher(rng.hasher()), order: VecDeque::new(), limit: limit.max(1) }
    }

    /// Expects a reply with this tag, sealed with this key, until `expires`. To be done before the request goes out.
    pub fn register(&mut self, tag: Tag, key: [u8; 32], expires: Instant) {
        while self.order.len() >= self.limit {
            self.forget_first();
        }
        self.keys.insert(tag, (Zeroizing::new(key), expires));
        self.order.push_back((expires, tag));
    }

    /// Whether this ciphertext begins with a tag that is expected.
    pub fn expects(&self, message: &[u8]) -> bool {
        message.first_chunk().is_some_and(|tag| self.keys.contains_key(tag))
    }

    /// Opens the ciphertext of a Garlic message (without its length); the cloves are parts of its buffer. The tag is
    /// used up if the message is authentic.
    ///
    /// # Errors
    /// [`Error::Unknown`] if its tag is not expected (any more), [`Error::Peer`] if it is forged,
    /// [`Error::Malformed`] if its blocks are not right.
    pub fn open(&mut self, now: Now, mut message: BytesMut) -> Result<Vec<Clove>, Error> {
        let Some((tag, sealed)) = message.split_first_chunk_mut() else { return Err(Error::Short) };
        let tag: Tag = *tag;
        let (key, expires) = self.keys.get(&tag).ok_or(Error::Unknown)?;
        if *expires <= now.instant {
            return Err(Error::Unknown);
        }
        let len = aead::Key::new(key).open(0, &tag, sealed).map_err(Error::Peer)?.len();
        self.keys.remove(&tag);
        let payload = payload::read(payload::part(message, 8..8 + len)).map_err(Error::Malformed)?;
        Ok(payload.cloves)
    }

    /// Forgets tags whose time is over.
    pub fn expire(&mut self, now: Now) {
        while self.order.front().is_some_and(|(expires, _)| *expires <= now.instant) {
            self.forget_first();
        }
    }

    /// How many replies are expected.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether none is expected.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    fn forget_first(&mut self) {
        if let Some((expires, tag)) = self.order.pop_front()
            && self.keys.get(&tag).is_some_and(|(_, at)| *at == expires)
        {
            self.keys.remove(&tag);
        }
    }
}

#[cfg(test)]
mod tests;
