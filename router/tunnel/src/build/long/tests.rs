use allium_crypto::Rng;
use allium_crypto::noise::SymmetricState;
use allium_crypto::x25519::{PublicKey, StaticSecret};
use allium_wire::Date;

use super::*;
use crate::build::keys::hop_state;

const US: RouterHash = RouterHash([9; 32]);

fn now() -> Now {
    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    let instant = std::time::Instant::now();
    Now { instant, date: Date::from_seconds(1_795_392_000) }
}

/// A record sealed to `hop`, as a creator makes it, and the state that opens the reply.
fn seal(hop: &PublicKey, flags: u8, rng: &mut Rng) -> (Vec<u8>, SymmetricState) {
    let mut plain = vec![0; 464];
    plain[..4].copy_from_slice(&77u32.to_be_bytes());
    plain[4..8].copy_from_slice(&88u32.to_be_bytes());
    plain[8..40].copy_from_slice(&[5; 32]);
    plain[40..72].copy_from_slice(&[1; 32]);
    plain[72..104].copy_from_slice(&[2; 32]);
    plain[104..136].copy_from_slice(&[3; 32]);
    plain[136..152].copy_from_slice(&[4; 16]);
    plain[152] = flags;
    plain[156..160].copy_from_slice(&now().date.minutes().to_be_bytes());
    plain[160..164].copy_from_slice(&600u32.to_be_bytes());
    plain[164..168].copy_from_slice(&4242u32.to_be_bytes());
    let ephemeral = StaticSecret::generate(rng);
    let mut state = hop_state(hop);
    state.mix_hash(ephemeral.public().as_bytes());
    state.mix_key(&*ephemeral.dh(hop).unwrap());
    state.encrypt_and_hash(&mut plain, 0);
    let record = [&US.0[..16], ephemeral.public().as_bytes(), &plain].concat();
    (record, state)
}

fn answer(flags: u8, decision: Decision, kind: Kind) -> (Answer, SymmetricState, Vec<u8>) {
    let mut rng = Rng::from_seed([1; 32]);
    let secret = StaticSecret::generate(&mut rng);
    let (record, state) = seal(&secret.public(), flags, &mut rng);
    let other: Vec<u8> = (0..RECORD).map(|n| n as u8).collect();
    let mut responder = Responder::new(US, secret, rng);
    let mut body = if kind == Kind::TunnelBuild { Vec::new() } else { vec![4] };
    let places = if kind == Kind::TunnelBuild { 8 } else { 4 };
    for place in 0..places {
        body.extend_from_slice(if place == 1 { &record } else { &other });
    }
    let message = (kind, BytesMut::from(&body[..]));
    let answer =
        responder.answer_long(now(), Some(RouterHash([6; 32])), message.clone(), |_| decision).unwrap();
    let again = responder.answer_long(now(), None, message, |_| decision);
    assert!(matches!(again, Err(Error::Duplicate)));
    (answer, state, other)
}

#[test]
fn a_participant_seals_its_reply_and_masks_the_others() {
    for kind in [Kind::VariableTunnelBuild, Kind::TunnelBuild] {
        let (answer, state, other) = answer(0, Decision::ACCEPT, kind);
        assert!(answer.hop.is_some());
        assert_eq!((answer.send.to, answer.send.message.kind), (RouterHash([5; 32]), kind));
        assert_eq!(answer.send.message.id, 4242);
        let body = &answer.send.message.body[usize::from(kind == Kind::VariableTunnelBuild)..];
        let mut own = body[RECORD..2 * RECORD].to_vec();
        let plain = aead::Key::new(&state.ck()).open(0, &state.h(), &mut own).unwrap();
        assert_eq!((&plain[..2], plain[511]), (&[0, 0][..], 0));
        let mut masked = body[2 * RECORD..3 * RECORD].to_vec();
        aes_cbc::decrypt(&[3; 32], &[4; 16], &mut masked);
        assert_eq!(masked, other);
    }
}

#[test]
fn an_endpoint_replies_into_the_reply_tunnel() {
    let (answer, _, _) = answer(0x40, Decision::REJECT, Kind::VariableTunnelBuild);
    assert!(answer.hop.is_none());
    let gateway = TunnelGateway::decode(answer.send.message.body).unwrap();
    assert_eq!(gateway.tunnel.0, 88);
    let reply = Message::decode_standard(gateway.message).unwrap();
    assert_eq!((reply.kind, reply.id), (Kind::VariableTunnelBuildReply, 4242));
}

#[test]
fn odd_shapes_are_refused() {
    let mut rng = Rng::from_seed([2; 32]);
    let mut responder = Responder::new(US, StaticSecret::generate(&mut rng), rng);
    for body in [&[][..], &[0], &[1], &[9; 4753], &[4; 2113]] {
        let message = (Kind::VariableTunnelBuild, BytesMut::from(body));
        assert!(responder.answer_long(now(), None, message, |_| Decision::ACCEPT).is_err());
    }
}
