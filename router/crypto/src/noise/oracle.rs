//! The plain Noise patterns, against another implementation of the framework.

use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::CryptoResolver;
use snow::types::{Cipher, Dh, Hash, Random};

use super::*;
use crate::x25519::{PublicKey, StaticSecret};
use crate::{Rng, aead};

/// Our primitives under the other implementation's state machine.
struct Resolver;

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Seeded(Rng::from_seed([0x5e; 32]))))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        matches!(choice, DHChoice::Curve25519).then(|| Box::new(KeyPair::default()) as _)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        matches!(choice, HashChoice::SHA256).then(|| Box::new(Sha256(Vec::new())) as _)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        matches!(choice, CipherChoice::ChaChaPoly).then(|| Box::new(ChaChaPoly(None)) as _)
    }
}

struct Seeded(Rng);

impl Random for Seeded {
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), snow::Error> {
        self.0.fill(out);
        Ok(())
    }
}

#[derive(Default)]
struct KeyPair {
    private: [u8; 32],
    public: [u8; 32],
}

impl Dh for KeyPair {
    fn name(&self) -> &'static str {
        "25519"
    }

    fn pub_len(&self) -> usize {
        32
    }

    fn priv_len(&self) -> usize {
        32
    }

    fn set(&mut self, private: &[u8]) {
        self.private.copy_from_slice(private);
        self.public = StaticSecret::from_bytes(self.private).public().0;
    }

    fn generate(&mut self, rng: &mut dyn Random) -> Result<(), snow::Error> {
        let mut private = [0; 32];
        rng.try_fill_bytes(&mut private)?;
        self.set(&private);
        Ok(())
    }

    fn pubkey(&self) -> &[u8] {
        &self.public
    }

    fn privkey(&self) -> &[u8] {
        &self.private
    }

    fn dh(&self, public: &[u8], out: &mut [u8]) -> Result<(), snow::Error> {
        let public = PublicKey(public[..32].try_into().map_err(|_| snow::Error::Dh)?);
        let shared = StaticSecret::from_bytes(self.private).dh(&public).map_err(|_| snow::Error::Dh)?;
        out[..32].copy_from_slice(&*shared);
        Ok(())
    }
}

struct Sha256(Vec<u8>);

impl Hash for Sha256 {
    fn name(&self) -> &'static str {
        "SHA256"
    }

    fn block_len(&self) -> usize {
        64
    }

    fn hash_len(&self) -> usize {
        32
    }

    fn reset(&mut self) {
        self.0.clear();
    }

    fn input(&mut self, data: &[u8]) {
        self.0.extend_from_slice(data);
    }

    fn result(&mut self, out: &mut [u8]) {
        out[..32].copy_from_slice(&sha256(&self.0));
    }
}

struct ChaChaPoly(Option<aead::Key>);

impl Cipher for ChaChaPoly {
    fn name(&self) -> &'static str {
        "ChaChaPoly"
    }

    fn set(&mut self, key: &[u8; 32]) {
        self.0 = Some(aead::Key::new(key));
    }

    fn encrypt(&self, nonce: u64, ad: &[u8], plain: &[u8], out: &mut [u8]) -> usize {
        let mut data = plain.to_vec();
        self.0.as_ref().unwrap().seal_vec(nonce, ad, &mut data, 0);
        out[..data.len()].copy_from_slice(&data);
        data.len()
    }

    fn decrypt(&self, nonce: u64, ad: &[u8], sealed: &[u8], out: &mut [u8]) -> Result<usize, snow::Error> {
        let mut data = sealed.to_vec();
        let plain = self.0.as_ref().unwrap().open(nonce, ad, &mut data).map_err(|_| snow::Error::Decrypt)?;
        out[..plain.len()].copy_from_slice(plain);
        Ok(plain.len())
    }
}

/// One side of a handshake, spelled out over the symmetric state as the protocols do it.
struct Party {
    state: SymmetricState,
    initiator: bool,
    s: StaticSecret,
    e: StaticSecret,
    rs: Option<PublicKey>,
    re: Option<PublicKey>,
}

impl Party {
    fn new(name: &str, initiator: bool, s: StaticSecret, e: StaticSecret, responder: PublicKey) -> Self {
        let mut state = SymmetricState::new(name);
        state.mix_hash(&responder.0); // each of the three patterns has the pre-message "<- s"
        Self { state, initiator, s, e, rs: initiator.then_some(responder), re: None }
    }

    fn dh(&mut self, token: &str) {
        let (own, peer) = if self.initiator { token.split_at(1) } else { (&token[1..], &token[..1]) };
        let secret = if own == "e" { &self.e } else { &self.s };
        let public = if peer == "e" { self.re } else { self.rs };
        self.state.mix_key(&*secret.dh(&public.unwrap()).unwrap());
    }

    fn write(&mut self, tokens: &str, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for token in tokens.split(' ') {
            match token {
                "e" => {
                    out.extend(self.e.public().0);
                    self.state.mix_hash(&self.e.public().0);
                }
                "s" => {
                    let from = out.len();
                    out.extend(self.s.public().0);
                    self.state.encrypt_and_hash(&mut out, from);
                }
                token => self.dh(token),
            }
        }
        let from = out.len();
        out.extend(payload);
        self.state.encrypt_and_hash(&mut out, from);
        out
    }

    fn read(&mut self, tokens: &str, message: &[u8]) -> Vec<u8> {
        let mut rest = message.to_vec();
        for token in tokens.split(' ') {
            match token {
                "e" => {
                    let key: [u8; 32] = rest.drain(..32).collect::<Vec<_>>().try_into().unwrap();
                    self.state.mix_hash(&key);
                    self.re = Some(PublicKey(key));
                }
                "s" => {
                    let mut key: Vec<u8> = rest.drain(..48).collect();
                    let len = self.state.decrypt_and_hash(&mut key).unwrap();
                    self.rs = Some(PublicKey(key[..len].try_into().unwrap()));
                }
                token => self.dh(token),
            }
        }
        let len = self.state.decrypt_and_hash(&mut rest).unwrap();
        rest.truncate(len);
        rest
    }
}

fn oracle(name: &str, ours: &Party, responder: PublicKey) -> snow::HandshakeState {
    let (s, e) = (ours.s.to_bytes(), ours.e.to_bytes());
    let mut builder = snow::Builder::with_resolver(name.parse().unwrap(), Box::new(Resolver))
        .fixed_ephemeral_key_for_testing_only(&*e);
    if !(ours.initiator && name.contains("_N_")) {
        builder = builder.local_private_key(&*s).unwrap();
    }
    if ours.initiator {
        builder.remote_public_key(&responder.0).unwrap().build_initiator().unwrap()
    } else {
        builder.build_responder().unwrap()
    }
}

/// Runs a pattern between us and the oracle, both ways round, and compares all that went over the wire.
fn check(name: &str, messages: &[&str], rng: &mut Rng) {
    let keys = [0; 4].map(|_| StaticSecret::generate(rng));
    let responder = keys[1].public();
    let mut ours = [true, false].map(|initiator| {
        let (s, e) = if initiator { (&keys[0], &keys[2]) } else { (&keys[1], &keys[3]) };
        Party::new(name, initiator, s.clone(), e.clone(), responder)
    });
    let mut theirs = [0, 1].map(|side| oracle(name, &ours[side], responder));
    for (turn, tokens) in messages.iter().enumerate() {
        let (from, to) = (turn % 2, 1 - turn % 2);
        let payload = vec![turn as u8; rng.below(100) as usize];
        let message = ours[from].write(tokens, &payload);
        let mut buffer = [0; 1000];
        let len = theirs[from].write_message(&payload, &mut buffer).unwrap();
        assert_eq!(message, buffer[..len], "{name}, message {turn}");
        let len = theirs[to].read_message(&message, &mut buffer).unwrap();
        assert_eq!(payload, buffer[..len]);
        assert_eq!(ours[to].read(tokens, &message), payload);
        for side in [0, 1] {
            assert_eq!(ours[side].state.h(), theirs[side].get_handshake_hash());
        }
    }
    let [initiator, responder] = theirs.map(|state| state.into_transport_mode().unwrap());
    let (forth, back) = ours[0].state.split();
    assert_eq!((forth, back), ours[1].state.split());
    for (mut transport, key) in [(initiator, forth), (responder, back)] {
        if name.contains("_N_") && key == back {
            continue; // a pattern of one way
        }
        let mut buffer = [0; 100];
        let len = transport.write_message(b"data", &mut buffer).unwrap();
        let opened = aead::Key::new(&key).open(0, &[], &mut buffer[..len]).unwrap().to_vec();
        assert_eq!(opened, b"data");
    }
}

#[test]
fn xk_ik_and_n() {
    let mut rng = Rng::from_seed([0xac; 32]);
    for _ in 0..20 {
        check("Noise_XK_25519_ChaChaPoly_SHA256", &["e es", "e ee", "s se"], &mut rng);
        check("Noise_IK_25519_ChaChaPoly_SHA256", &["e es s ss", "e ee se"], &mut rng);
        check("Noise_N_25519_ChaChaPoly_SHA256", &["e es"], &mut rng);
    }
}
