//! Pairs of destinations over a network that the tests decide about.

mod bounds;
mod flow;
mod network;

use proptest::prelude::*;

use super::*;
use crate::testing::{Clock, Side, bytes, ciphertext, clove, ids, java, rng, secret};

/// Two sides after New Session, reply, and one Existing Session each way.
fn established(clock: &mut Clock) -> (Side, Side) {
    let (mut alice, mut bob) = (Side::new(1), Side::new(2));
    establish(clock, &mut alice, &mut bob);
    (alice, bob)
}

fn establish(clock: &mut Clock, alice: &mut Side, bob: &mut Side) {
    for kinds in [[Kind::NewSession, Kind::NewSessionReply], [Kind::Existing, Kind::Existing]] {
        let now = clock.pass(100);
        let message = alice.seal(now, &bob.peer, 1);
        assert_eq!(bob.open(now, &alice.peer, message).unwrap().kind, kinds[0]);
        let message = bob.seal(now, &alice.peer, 2);
        assert_eq!(alice.open(now, &bob.peer, message).unwrap().kind, kinds[1]);
    }
    while alice.sessions.poll().is_some() || bob.sessions.poll().is_some() {}
}

#[test]
fn bob_accepts_javas_new_session_only_while_it_is_fresh() {
    let vector = java("ratchet_session");
    let message = || BytesMut::from(&bytes(&vector["1_new_session"])[..]);
    for (offset, expected) in [
        (-120_001, Err(Error::Clock)),
        (-120_000, Ok(())),
        (0, Ok(())),
        (300_000, Ok(())),
        (300_001, Err(Error::Clock)),
    ] {
        let mut sessions = Sessions::new(secret(&vector["bob_static_private"]), Limits::default(), rng(1));
        let mut now = Clock::new().now();
        now.date = allium_wire::Date((1_795_418_113_000_i64 + offset) as u64);
        let result = sessions.open(now, message());
        assert_eq!(result.map(|opened| assert_eq!(opened.cloves.len(), 1)), expected, "{offset}");
        let again = sessions.open(now, message()).map(|_| ());
        assert_eq!(again, expected.and(Err(Error::Replayed)));
    }
}

#[test]
fn replays_of_every_form_are_refused() {
    let mut clock = Clock::new();
    let (mut alice, mut bob) = (Side::new(1), Side::new(2));
    let now = clock.now();
    let new_session = alice.seal(now, &bob.peer, 1);
    bob.open(now, &alice.peer, new_session.clone()).unwrap();
    assert_eq!(bob.sessions.open(now, new_session.clone()).unwrap_err(), Error::Replayed);
    let mut disguised = new_session.clone();
    disguised[31] ^= 0xc0;
    assert_eq!(bob.sessions.open(now, disguised).unwrap_err(), Error::Replayed);

    let reply = bob.seal(now, &alice.peer, 2);
    alice.open(now, &bob.peer, reply.clone()).unwrap();
    assert!(alice.sessions.open(now, reply).is_err());
    let existing = alice.seal(now, &bob.peer, 3);
    bob.open(now, &alice.peer, existing.clone()).unwrap();
    assert!(bob.sessions.open(now, existing).is_err());

    let now = clock.pass(299_000);
    assert_eq!(bob.sessions.open(now, new_session.clone()).unwrap_err(), Error::Replayed);
    let now = clock.pass(122_000);
    assert_eq!(bob.sessions.open(now, new_session).unwrap_err(), Error::Replayed);
}

#[test]
fn a_forged_existing_session_does_not_use_the_tag_up() {
    let mut clock = Clock::new();
    let (mut alice, mut bob) = established(&mut clock);
    let now = clock.pass(100);
    let message = alice.seal(now, &bob.peer, 7);
    for place in 8..message.len() {
        let mut forged = message.clone();
        forged[place] ^= 1;
        let error = bob.sessions.open(now, forged).unwrap_err();
        assert_eq!(error, Error::Peer(allium_crypto::Error::Authentication));
    }
    assert_eq!(ids(&bob.open(now, &alice.peer, message).unwrap()), [7]);
}

#[test]
fn one_key_in_two_lease_sets_does_not_mix_their_sessions() {
    let mut clock = Clock::new();
    let (mut alice, mut bob) = established(&mut clock);
    let now = clock.pass(100);
    // Someone else publishes Alice's key: what Bob seals for them is not in Alice's session, nor does it end it.
    let impostor = PeerKey { hash: DestHash([66; 32]), key: alice.peer.key };
    let message = bob.seal(now, &impostor, 1);
    assert_eq!(alice.sessions.open(now, message).unwrap().kind, Kind::NewSession);
    let message = bob.seal(now, &alice.peer, 2);
    assert_eq!(alice.open(now, &bob.peer, message).unwrap().kind, Kind::Existing);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn garbage_never_panics(garbage in prop::collection::vec(any::<u8>(), 0..400), tagged: bool) {
        let mut clock = Clock::new();
        let (mut alice, mut bob) = established(&mut clock);
        let now = clock.pass(10);
        let mut message = BytesMut::from(&garbage[..]);
        if tagged {
            let tag = alice.seal(now, &bob.peer, 1).split_to(8);
            message = BytesMut::from(&[&tag[..], &garbage].concat()[..]);
        }
        prop_assert!(bob.sessions.open(now, message).is_err());
        let message = alice.seal(now, &bob.peer, 2);
        prop_assert_eq!(ids(&bob.open(now, &alice.peer, message).unwrap()), [2]);
    }

    /// Whatever is sealed is as long as it says and opens to the same cloves, in every form of message.
    #[test]
    fn what_is_sealed_opens(lengths in prop::collection::vec(0_usize..3000, 0..6), headroom in 0_usize..40) {
        let mut clock = Clock::new();
        let (mut alice, mut bob) = (Side::new(1), Side::new(2));
        let cloves: Vec<_> = (1..).zip(&lengths).map(|(id, len)| clove(id, *len)).collect();
        let content = Content { cloves: &cloves, confirm: None };
        for _ in 0..2 {
            for forward in [true, false] {
                let (from, to) = if forward { (&mut alice, &mut bob) } else { (&mut bob, &mut alice) };
                let now = clock.pass(10);
                let mut out = BytesMut::zeroed(headroom);
                from.sessions.seal(now, &to.peer, &content, &mut out).unwrap();
                let message = ciphertext(out.split_off(headroom));
                prop_assert!(out.iter().all(|byte| *byte == 0));
                prop_assert_eq!(&to.open(now, &from.peer, message).unwrap().cloves, &cloves);
            }
        }
    }
}
