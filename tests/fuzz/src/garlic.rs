//! Garlic messages, changed on their way or sealed by a peer that keeps no rules.

use std::sync::LazyLock;

use allium_crypto::aead;
use allium_crypto::noise::SymmetricState;
use allium_crypto::x25519::{PublicKey, StaticSecret};
use allium_garlic::router::{Inbox, OneTimeTags};
use allium_garlic::{Content, Limits, PeerKey, Sessions};
use allium_wire::DestHash;
use allium_wire::garlic::{Clove, Delivery};
use allium_wire::i2np::{Kind, Message};
use bytes::BytesMut;

use crate::samples::{DATE, after, edited, pieces, rng};
use crate::wire::BLOCKS;

/// Two destinations talk, and some of what they say is changed.
pub fn garlic_sessions(data: &[u8]) {
    let limits = Limits { sessions: 4, tags: 2000, strangers: 4 };
    let sides = [1, 2].map(|n| Sessions::new(StaticSecret::generate(&mut rng(n)), limits, rng(n + 10)));
    let peers =
        [1, 2].map(|n: u8| PeerKey { hash: DestHash([n; 32]), key: sides[usize::from(n) - 1].public() });
    let mut sides = sides;
    let mut time = 0;
    for piece in pieces(data) {
        let Some((&[how, wait], body)) = piece.split_first_chunk() else { continue };
        time += u64::from(wait) * 20;
        let now = after(time);
        let (from, to) = if how & 1 == 0 { (0, 1) } else { (1, 0) };
        let message = Message::new(Kind::Data, 1, DATE, BytesMut::from(body));
        let cloves = [Clove { delivery: Delivery::Destination(peers[to].hash), message }];
        let content = Content { cloves: &cloves, confirm: (how & 8 != 0).then_some(time) };
        let mut out = BytesMut::new();
        if how & 16 != 0 {
            sides[from].restart(&peers[to]);
        }
        if sides[from].seal(now, &peers[to], &content, &mut out).is_err() {
            continue;
        }
        let sealed = out.split_off(4);
        let sealed = if how & 2 == 0 { sealed } else { BytesMut::from(&edited(&sealed, body)[..]) };
        if let Ok(opened) = sides[to].open(now, sealed) {
            sides[to].bind(now, &peers[from]);
            assert!(opened.cloves.len() <= 1);
        }
        for (mine, theirs) in [(0, 1), (1, 0)] {
            let mut due = BytesMut::new();
            while sides[mine].poll_transmit(now, &mut due).is_some() {
                let own = due.split().split_off(4);
                let _ = sides[theirs].open(now, own);
            }
            while sides[mine].poll().is_some() {}
            sides[mine].expire(now);
            assert!(sides[mine].len() <= 4);
        }
    }
}

/// Replies under a one-time key, whose asker chose an answerer that keeps no rules.
pub fn one_time_tags(data: &[u8]) {
    const TAG: [u8; 8] = *b"one time";
    let mut tags = OneTimeTags::new(4, rng(1));
    tags.register(TAG, [7; 32], after(1000).instant);
    let plain = edited(&BLOCKS, data);
    let mut sealed = TAG.to_vec();
    sealed.extend_from_slice(&plain);
    aead::Key::new(&[7; 32]).seal_vec(0, &TAG, &mut sealed, TAG.len());
    if data.first().is_some_and(|how| how % 16 == 1) {
        sealed = edited(&sealed, data);
    }
    let _ = tags.open(after(0), BytesMut::from(&sealed[..]));
    tags.expire(after(2000));
    assert!(tags.is_empty());
    let _ = tags.open(after(0), BytesMut::from(data));
}

static ROUTER: LazyLock<StaticSecret> = LazyLock::new(|| StaticSecret::generate(&mut rng(1)));
static ONE_SHOT: LazyLock<StaticSecret> = LazyLock::new(|| StaticSecret::generate(&mut rng(2)));

/// The state of Noise N, and the ephemeral key, for what anyone can seal to `to`.
pub(crate) fn noise_n(to: &PublicKey) -> (SymmetricState, [u8; 32]) {
    let mut state = SymmetricState::new("Noise_N_25519_ChaChaPoly_SHA256");
    let ephemeral = ONE_SHOT.public();
    state.mix_hash(&to.0);
    state.mix_hash(&ephemeral.0);
    state.mix_key(&*ONE_SHOT.dh(to).expect("a good key"));
    (state, ephemeral.0)
}

/// Garlic messages to the router itself.
pub fn router_garlic(data: &[u8]) {
    let inbox = Inbox::new(ROUTER.clone());
    let (mut state, ephemeral) = noise_n(&ROUTER.public());
    let mut sealed = ephemeral.to_vec();
    sealed.extend_from_slice(&edited(&BLOCKS, data));
    state.encrypt_and_hash(&mut sealed, 32);
    let opened = inbox.open(BytesMut::from(&sealed[..]));
    assert!(data.len() > 1 || opened.is_ok() || data.first().is_some_and(|how| how % 4 == 0));
    let _ = inbox.open(BytesMut::from(data));
}
