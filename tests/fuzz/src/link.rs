//! NTCP2: handshakes with a peer that lies, and frames that were changed.

use allium_link::ntcp2::{Established, Event, Initiator, Local, MESSAGE, PeerKeys, ReplayCache, Responder};
use allium_wire::i2np::{Kind, Message};
use bytes::BytesMut;

use crate::samples::{ALICE, BOB, DATE, NET, Peer, after, edited, pieces, rng};

fn local(peer: &Peer) -> Local {
    Local { hash: peer.hash(), static_key: peer.static_key.clone(), iv: peer.iv, net_id: NET }
}

fn keys(peer: &Peer) -> PeerKeys {
    PeerKeys { hash: peer.hash(), static_key: peer.static_key.public(), iv: peer.iv }
}

/// Which part of a handshake the fuzzer has in hand.
#[derive(Clone, Copy, PartialEq)]
enum Hand {
    None,
    Message1,
    Message2,
    Message3,
    Info,
}

fn shake(hand: Hand, data: &[u8]) -> Option<(Established, Established)> {
    let now = after(0);
    let take = |mine: Hand, valid: &[u8]| if hand == mine { edited(valid, data) } else { valid.to_vec() };
    let whole = |bytes: &[u8]| bytes.first_chunk::<MESSAGE>().copied();
    let info = take(Hand::Info, ALICE.info.bytes());
    let mut alice = Initiator::new(&local(&ALICE), keys(&BOB), &info, now, rng(5)).ok()?;
    let mut bob = Responder::new(&local(&BOB), rng(6));
    let first = take(Hand::Message1, alice.message_1());
    let mut replays = ReplayCache::new(16, &mut rng(7));
    let padding = bob.message_1(&whole(&first)?, now, &mut replays).ok()?;
    let _ = bob.skewed();
    let second = take(Hand::Message2, &bob.message_2(first.get(MESSAGE..)?.get(..padding)?, now).ok()?);
    let padding = alice.message_2(&whole(&second)?).ok()?;
    let (third, alice) = alice.finish(second.get(MESSAGE..)?.get(..padding)?, now).ok()?;
    assert!(hand == Hand::Message2 || third.len() == bob.message_3_len());
    let bob = bob.finish(&take(Hand::Message3, &third), after(40)).ok()?;
    Some((alice, bob))
}

/// Handshakes with one message of the fuzzer's.
pub fn ntcp2_handshake(data: &[u8]) {
    let Some((which, data)) = data.split_first() else { return };
    let hands = [Hand::Message1, Hand::Message2, Hand::Message3, Hand::Info];
    let _ = shake(hands[usize::from(*which) % hands.len()], data);
}

/// Frames: those that were not changed bring what was sent, the others (and an impossible RouterInfo) end the session.
pub fn ntcp2_frames(data: &[u8]) {
    let (mut alice, mut bob) = shake(Hand::None, &[]).expect("an honest handshake");
    for piece in pieces(data) {
        let Some((how, piece)) = piece.split_first() else { continue };
        let mut out = Vec::new();
        let message = Message::new(Kind::from(how >> 2), 9, DATE, BytesMut::from(piece));
        let sealed = match how % 4 {
            0 => alice.sender.seal(&mut out, after(1), [&message, &message]).map(drop),
            1 => alice.sender.router_info(&mut out, piece, false),
            _ => alice.sender.seal(&mut out, after(1), [&message]).map(drop),
        };
        if sealed.is_err() {
            return;
        }
        let frame = if how % 4 == 3 { edited(&out, piece) } else { out.clone() };
        let Some((length, body)) = frame.split_first_chunk::<2>() else { return };
        let Ok(length) = bob.receiver.length(*length) else { return };
        let Some(body) = body.get(..length) else { return };
        let Ok(opened) = bob.receiver.open(BytesMut::from(body)) else {
            assert!(frame != out || how % 4 == 1, "an honest frame was refused");
            return;
        };
        for event in opened {
            match event {
                Ok(Event::I2np(got)) => assert_eq!(got.body, message.body),
                Ok(Event::RouterInfo { info, .. }) => assert_eq!(info, piece),
                _ => {}
            }
        }
    }
}
