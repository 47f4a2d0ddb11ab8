//! The keys that creator and hop derive from one record.

use allium_crypto::hash::hkdf;
use allium_crypto::layer::Layer;
use allium_crypto::noise::SymmetricState;
use allium_crypto::x25519::PublicKey;
use allium_crypto::zeroize::Zeroizing;
use allium_crypto::{aead, chacha};

type Secret = Zeroizing<[u8; 32]>;

/// What seals the reply of an outbound tunnel on its way from the endpoint to the creator.
#[derive(Clone)]
pub struct GarlicKey {
    /// The key, good for one message with nonce 0.
    pub key: Secret,
    /// The session tag in front of that message, and its associated data.
    pub tag: [u8; 8],
}

/// The keys of one hop.
pub(super) struct Keys {
    reply: Secret,
    layer: Secret,
    iv: Secret,
    /// The handshake hash after the request: associated data of the reply.
    ad: [u8; 32],
    /// Only at an outbound endpoint.
    pub(super) garlic: Option<GarlicKey>,
}

/// Noise N as far as it depends on the hop alone.
pub(super) fn hop_state(hop: &PublicKey) -> SymmetricState {
    let mut state = SymmetricState::new("Noise_N_25519_ChaChaPoly_SHA256");
    state.mix_hash(&hop.0);
    state
}

impl Keys {
    /// From the state after the request was sealed or opened. The endpoint of an outbound tunnel derives its IV
    /// key two steps later than other hops.
    pub(super) fn derive(state: &SymmetricState, endpoint: bool) -> Self {
        let step = |ck: &Secret, info: &[u8]| {
            let (ck, key) = hkdf(ck, &[], info);
            (Secret::new(ck), Secret::new(key))
        };
        let (ck, reply) = step(&Secret::new(state.ck()), b"SMTunnelReplyKey");
        let (ck, layer) = step(&ck, b"SMTunnelLayerKey");
        let (iv, garlic) = if endpoint {
            let (ck, iv) = step(&ck, b"TunnelLayerIVKey");
            let (tags, key) = step(&ck, b"RGarlicKeyAndTag");
            let mut tag = [0; 8];
            tag.copy_from_slice(&tags[..8]);
            (iv, Some(GarlicKey { key, tag }))
        } else {
            (ck, None)
        };
        Self { reply, layer, iv, ad: state.h(), garlic }
    }

    /// The hop's layer of the tunnel's encryption.
    pub(super) fn layer(&self) -> Layer {
        Layer::new(&self.layer, &self.iv)
    }

    /// Masks or unmasks another hop's record, which is the same.
    pub(super) fn mask(&self, slot: usize, record: &mut [u8; super::RECORD]) {
        chacha::xor(&self.reply, &super::nonce(slot), 1, record);
    }

    /// Puts the sealed reply into the hop's own record.
    pub(super) fn seal_reply(
        &self,
        slot: usize,
        reply: &[u8; super::REPLY],
        record: &mut [u8; super::RECORD],
    ) {
        let (data, tag) = record.split_at_mut(super::REPLY);
        data.copy_from_slice(reply);
        tag.copy_from_slice(&aead::Key::new(&self.reply).seal(slot as u64, &self.ad, data));
    }

    /// The reply in the hop's own record.
    pub(super) fn open_reply<'a>(
        &self,
        slot: usize,
        record: &'a mut [u8; super::RECORD],
    ) -> Result<&'a mut [u8], allium_crypto::Error> {
        aead::Key::new(&self.reply).open(slot as u64, &self.ad, record)
    }

    #[cfg(test)]
    pub(super) fn parts(&self) -> [&[u8; 32]; 4] {
        [&self.layer, &self.iv, &self.reply, &self.ad]
    }
}
