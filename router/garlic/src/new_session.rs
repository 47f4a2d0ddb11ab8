//! The handshake of a ratchet session: New Session and New Session Reply (ECIES section 1), Noise IK with
//! Elligator2-encoded ephemeral keys.
//!
//! Both sides keep the state after the New Session as a snapshot: each reply is sealed and opened from a copy of it.

use std::ops::Range;

use allium_crypto::aead::{self, TAG};
use allium_crypto::hash::hkdf_one;
use allium_crypto::noise::SymmetricState;
use allium_crypto::x25519::{PublicKey, StaticSecret};
use allium_crypto::{Rng, elligator2};
use zeroize::Zeroizing;

use crate::Error;
use crate::tagset::{Seed, Tag};

/// The protocol's name; 40 bytes, so it is hashed.
const NAME: &str = "Noise_IKelg2+hs2_25519_ChaChaPoly_SHA256";

/// Length of an encoded or plain X25519 key.
const KEY: usize = 32;
/// Where the payload of a New Session starts: after the ephemeral key and the static section.
const NEW_SESSION_PAYLOAD: usize = KEY + KEY + TAG;
/// Where the payload of a reply starts: after tag, ephemeral key and the empty section.
const REPLY_PAYLOAD: usize = 8 + KEY + TAG;

/// What a New Session adds to its payload: 96 bytes.
pub(crate) const NEW_SESSION_OVERHEAD: usize = NEW_SESSION_PAYLOAD + TAG;
/// What a New Session Reply adds to its payload: 72 bytes.
pub(crate) const REPLY_OVERHEAD: usize = REPLY_PAYLOAD + TAG;

/// An ephemeral key pair whose public key has an Elligator2 representative.
pub(crate) struct Ephemeral {
    pub(crate) secret: StaticSecret,
    /// What goes over the wire in place of the public key.
    pub(crate) representative: [u8; 32],
}

impl Ephemeral {
    pub(crate) fn generate(rng: &mut Rng) -> Self {
        let (secret, representative) = elligator2::generate(rng);
        Self { secret, representative }
    }
}

/// The state before the ephemeral key of any New Session to the owner of `responder`.
pub(crate) fn start(responder: &PublicKey) -> SymmetricState {
    let mut state = SymmetricState::new(NAME);
    state.mix_hash(&responder.0);
    state
}

/// The keys of a finished handshake: of the first tag set in each direction.
pub(crate) struct Split {
    /// From the initiator to the responder.
    pub(crate) forward: Seed,
    /// From the responder to the initiator.
    pub(crate) backward: Seed,
    /// Seals the payload of the reply itself.
    payload_key: Zeroizing<[u8; 32]>,
    h: [u8; 32],
}

impl Split {
    fn of(state: &SymmetricState) -> Self {
        let (to_responder, to_initiator) = state.split();
        let root = state.ck();
        let payload_key = Zeroizing::new(hkdf_one(&to_initiator, &[], b"AttachPayloadKDF"));
        Self {
            forward: Seed { root, data: to_responder },
            backward: Seed { root, data: to_initiator },
            payload_key,
            h: state.h(),
        }
    }
}

/// The initiator's state after a New Session message.
pub(crate) struct Sent {
    state: SymmetricState,
    ephemeral: StaticSecret,
}

impl Sent {
    /// Appends a bound New Session message to `out`.
    pub(crate) fn seal(
        local: &StaticSecret,
        remote: &PublicKey,
        ephemeral: Ephemeral,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Self, Error> {
        let from = out.len();
        let Ephemeral { secret, representative } = ephemeral;
        let mut state = start(remote);
        state.mix_hash(&secret.public().0);
        state.mix_key(&*secret.dh(remote).map_err(Error::Peer)?);
        out.extend_from_slice(&representative);
        out.extend_from_slice(&local.public().0);
        state.encrypt_and_hash(out, from + KEY);
        state.mix_key(&*local.dh(remote).map_err(Error::Peer)?);
        out.extend_from_slice(payload);
        state.encrypt_and_hash(out, from + NEW_SESSION_PAYLOAD);
        Ok(Self { state, ephemeral: secret })
    }

    /// What starts the tag set in which the replies to this message come.
    pub(crate) fn reply_seed(&self) -> Seed {
        Seed::replies(&self.state.ck())
    }

    /// Opens a reply in place; the range is its payload. The state stays as it was, for further replies.
    pub(crate) fn open_reply(
        &self,
        local: &StaticSecret,
        message: &mut [u8],
    ) -> Result<(Split, Range<usize>), Error> {
        let Some((head, payload)) = message.split_at_mut_checked(REPLY_PAYLOAD) else {
            return Err(Error::Short);
        };
        let (tag, rest) = head.split_at_mut(8);
        let (representative, section) = rest.split_at_mut(KEY);
        let ephemeral = decode(representative)?;
        let mut state = self.state.clone();
        state.mix_hash(tag);
        state.mix_hash(&ephemeral.0);
        state.mix_key(&*self.ephemeral.dh(&ephemeral).map_err(Error::Peer)?);
        state.mix_key(&*local.dh(&ephemeral).map_err(Error::Peer)?);
        state.decrypt_and_hash(section).map_err(Error::Peer)?;
        let split = Split::of(&state);
        let len = aead::Key::new(&split.payload_key).open(0, &split.h, payload).map_err(Error::Peer)?.len();
        Ok((split, REPLY_PAYLOAD..REPLY_PAYLOAD + len))
    }
}

/// The responder's state after a bound New Session message.
pub(crate) struct Received {
    state: SymmetricState,
    ephemeral: PublicKey,
    peer: PublicKey,
}

/// An opened New Session message.
pub(crate) struct NewSession {
    /// The state to reply from; none if the sender gave no static key, and so wants no reply.
    pub(crate) received: Option<Received>,
    /// Where in the message its payload is.
    pub(crate) payload: Range<usize>,
}

/// The ephemeral key of what may be a New Session message.
///
/// # Errors
/// [`Error::Short`] if it cannot be one, [`Error::Peer`] if no key has such a representative.
pub(crate) fn ephemeral_of(message: &[u8]) -> Result<PublicKey, Error> {
    if message.len() < NEW_SESSION_OVERHEAD {
        return Err(Error::Short);
    }
    decode(&message[..KEY])
}

fn decode(representative: &[u8]) -> Result<PublicKey, Error> {
    let representative = representative.first_chunk().ok_or(Error::Short)?;
    Ok(elligator2::decode(representative))
}

/// Opens a New Session message in place. `start` is [`start`] of the local key, `ephemeral` what [`ephemeral_of`] said.
pub(crate) fn open(
    start: &SymmetricState,
    local: &StaticSecret,
    ephemeral: PublicKey,
    message: &mut [u8],
) -> Result<NewSession, Error> {
    let Some((head, payload)) = message.split_at_mut_checked(NEW_SESSION_PAYLOAD) else {
        return Err(Error::Short);
    };
    let section = &mut head[KEY..];
    let mut state = start.clone();
    state.mix_hash(&ephemeral.0);
    state.mix_key(&*local.dh(&ephemeral).map_err(Error::Peer)?);
    state.decrypt_and_hash(section).map_err(Error::Peer)?;
    let Some(peer) = section.first_chunk::<KEY>().copied() else { return Err(Error::Short) };
    let bound = peer != [0; KEY];
    if bound {
        // Unbound, the payload has the same key with the next nonce.
        state.mix_key(&*local.dh(&PublicKey(peer)).map_err(Error::Peer)?);
    }
    let len = state.decrypt_and_hash(payload).map_err(Error::Peer)?;
    let received = bound.then(|| Received { state, ephemeral, peer: PublicKey(peer) });
    Ok(NewSession { received, payload: NEW_SESSION_PAYLOAD..NEW_SESSION_PAYLOAD + len })
}

impl Received {
    /// The sender's static key.
    pub(crate) fn peer(&self) -> PublicKey {
        self.peer
    }

    /// What starts the tag set in which the replies go.
    pub(crate) fn reply_seed(&self) -> Seed {
        Seed::replies(&self.state.ck())
    }

    /// Appends a reply to `out`, with the next tag of the reply tag set and an ephemeral key of its own.
    pub(crate) fn seal_reply(
        &self,
        tag: Tag,
        ephemeral: Ephemeral,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Split, Error> {
        let Ephemeral { secret, representative } = ephemeral;
        let mut state = self.state.clone();
        state.mix_hash(&tag);
        state.mix_hash(&secret.public().0);
        state.mix_key(&*secret.dh(&self.ephemeral).map_err(Error::Peer)?);
        state.mix_key(&*secret.dh(&self.peer).map_err(Error::Peer)?);
        out.extend_from_slice(&tag);
        out.extend_from_slice(&representative);
        let section = out.len();
        state.encrypt_and_hash(out, section);
        let split = Split::of(&state);
        let from = out.len();
        out.extend_from_slice(payload);
        aead::Key::new(&split.payload_key).seal_vec(0, &split.h, out, from);
        Ok(split)
    }
}

#[cfg(test)]
mod tests;
