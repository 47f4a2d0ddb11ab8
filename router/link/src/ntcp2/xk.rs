//! The Noise pattern XK as NTCP2 varies it: the cryptography of the handshake and nothing else.
//!
//! ```text
//! <- s
//! -> e, es    16 bytes of options, padding outside the cipher
//! <- e, ee    16 bytes of options, padding outside the cipher
//! -> s, se    RouterInfo and padding
//! ```
//! Padding is mixed into the hash after its message, and only where there is some.

use super::options::OPTIONS;
use super::{Error, MESSAGE, MESSAGE_3_PART_1, Stage};
use allium_crypto::hash::{hkdf, hkdf_one};
use allium_crypto::noise::SymmetricState;
use allium_crypto::x25519::{PublicKey, StaticSecret};
use allium_crypto::zeroize::{Zeroize, Zeroizing};
use allium_crypto::{Error as CryptoError, aead, sip};

/// The handshake's state on either side.
pub(super) struct Xk(SymmetricState);

/// The keys of one direction of the data phase.
pub(super) struct Direction {
    pub(super) key: aead::Key,
    pub(super) lengths: sip::Lengths,
}

impl Direction {
    fn new(key: [u8; 32], sip: &[u8; 32]) -> Self {
        let key = Zeroizing::new(key);
        let mut lengths = [0; 24];
        lengths.copy_from_slice(&sip[..24]);
        Self { key: aead::Key::new(&key), lengths: sip::Lengths::new(lengths) }
    }
}

impl Xk {
    /// The state before message 1; both sides know Bob's static key.
    pub(super) fn new(bob: &PublicKey) -> Self {
        let mut state = SymmetricState::new("Noise_XKaesobfse+hs2+hs3_25519_ChaChaPoly_SHA256");
        state.mix_hash(&bob.0);
        Self(state)
    }

    /// Message 1 (`with` is Bob's static key) or message 2 (`with` is Alice's ephemeral key).
    pub(super) fn write(
        &mut self,
        stage: Stage,
        ephemeral: &StaticSecret,
        with: &PublicKey,
        options: [u8; OPTIONS],
    ) -> Result<Vec<u8>, Error> {
        let mut message = Vec::with_capacity(MESSAGE + 64);
        message.extend_from_slice(&ephemeral.public().0);
        self.0.mix_hash(&message);
        self.mix(stage, ephemeral, with)?;
        message.extend_from_slice(&options);
        self.0.encrypt_and_hash(&mut message, 32);
        Ok(message)
    }

    /// Message 1 (`secret` is Bob's static key) or message 2 (`secret` is Alice's ephemeral key): the other's
    /// ephemeral key and the options.
    pub(super) fn read(
        &mut self,
        stage: Stage,
        secret: &StaticSecret,
        message: &[u8; MESSAGE],
    ) -> Result<(PublicKey, [u8; OPTIONS]), Error> {
        let (mut key, mut sealed) = ([0; 32], [0; 32]);
        key.copy_from_slice(&message[..32]);
        sealed.copy_from_slice(&message[32..]);
        let key = PublicKey(key);
        self.0.mix_hash(&key.0);
        self.mix(stage, secret, &key)?;
        self.open(stage, &mut sealed)?;
        let mut options = [0; OPTIONS];
        options.copy_from_slice(&sealed[..OPTIONS]);
        Ok((key, options))
    }

    /// The padding after message 1 or 2.
    pub(super) fn padding(&mut self, padding: &[u8]) {
        if !padding.is_empty() {
            self.0.mix_hash(padding);
        }
    }

    /// Message 3 over `payload`.
    pub(super) fn write_3(
        &mut self,
        alice: &StaticSecret,
        bob_ephemeral: &PublicKey,
        payload: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let mut message = Vec::with_capacity(MESSAGE_3_PART_1 + payload.len() + aead::TAG);
        message.extend_from_slice(&alice.public().0);
        self.0.encrypt_and_hash(&mut message, 0); // message 2's key, next nonce
        self.mix(Stage::Message3, alice, bob_ephemeral)?;
        let from = message.len();
        message.extend_from_slice(payload);
        self.0.encrypt_and_hash(&mut message, from);
        Ok(message)
    }

    /// Alice's static key, and the length of the payload, which is then plain behind the first 48 bytes.
    pub(super) fn read_3(
        &mut self,
        bob_ephemeral: &StaticSecret,
        message: &mut [u8],
    ) -> Result<(PublicKey, usize), Error> {
        let length = Error::Length(Stage::Message3, message.len());
        let (static_key, payload) = message.split_at_mut_checked(MESSAGE_3_PART_1).ok_or(length)?;
        self.open(Stage::Message3, static_key)?;
        let mut alice = PublicKey([0; 32]);
        alice.0.copy_from_slice(&static_key[..32]);
        self.mix(Stage::Message3, bob_ephemeral, &alice)?;
        let len = self.open(Stage::Message3, payload)?;
        Ok((alice, len))
    }

    /// The keys of the data phase: Alice to Bob, Bob to Alice.
    pub(super) fn split(self) -> (Direction, Direction) {
        let (to_bob, to_alice) = self.0.split();
        let (sip_to_bob, sip_to_alice) = self.sip();
        (Direction::new(to_bob, &sip_to_bob), Direction::new(to_alice, &sip_to_alice))
    }

    /// The SipHash keys and first IVs: 24 bytes of each half count.
    fn sip(&self) -> (Zeroizing<[u8; 32]>, Zeroizing<[u8; 32]>) {
        let ck = Zeroizing::new(self.0.ck());
        let ask = Zeroizing::new(hkdf_one(&ck, &[], b"ask"));
        let mut input = Vec::with_capacity(39);
        input.extend_from_slice(&self.0.h());
        input.extend_from_slice(b"siphash");
        let master = Zeroizing::new(hkdf_one(&ask, &input, &[]));
        input.zeroize();
        let (to_bob, to_alice) = hkdf(&master, &[], &[]);
        (Zeroizing::new(to_bob), Zeroizing::new(to_alice))
    }

    fn mix(&mut self, stage: Stage, secret: &StaticSecret, public: &PublicKey) -> Result<(), Error> {
        let shared = secret.dh(public).map_err(|_| Error::BadKey(stage))?;
        self.0.mix_key(&*shared);
        Ok(())
    }

    fn open(&mut self, stage: Stage, sealed: &mut [u8]) -> Result<usize, Error> {
        let length = Error::Length(stage, sealed.len());
        self.0.decrypt_and_hash(sealed).map_err(|error| match error {
            CryptoError::Length => length,
            _ => Error::Authentication(stage),
        })
    }
}

#[cfg(test)]
mod tests;
