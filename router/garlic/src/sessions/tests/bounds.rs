//! Memory stays within its bounds whatever peers do.

use super::*;

const SMALL: Limits = Limits { sessions: 50, tags: 5000, strangers: 20 };

#[test]
fn strangers_are_bounded_and_the_newest_stay() {
    let mut clock = Clock::new();
    let mut bob = Side::with(200, SMALL);
    for seed in 0..100 {
        let mut alice = Side::new(seed);
        for id in 0..6 {
            let message = alice.seal(clock.pass(10), &bob.peer, id);
            bob.sessions.open(clock.now(), message).unwrap();
        }
    }
    let strangers = &bob.sessions.strangers;
    assert_eq!(strangers.len(), 20);
    assert!(strangers.values().all(|responses| responses.len() == crate::session::RESPONSES));
    assert!(strangers.contains_key(&Side::new(99).peer.key));
    bob.transmits(clock.pass(181_000));
    assert_eq!((bob.sessions.strangers.len(), bob.sessions.deadline()), (0, None));
}

#[test]
fn sessions_are_bounded_and_finished_ones_stay_longer() {
    let mut clock = Clock::new();
    let (mut alice, mut bob) = (Side::new(1), Side::with(200, SMALL));
    establish(&mut clock, &mut alice, &mut bob);
    for seed in 2..150 {
        let peer = Side::new(seed).peer;
        bob.seal(clock.pass(10), &peer, 1);
        assert!(bob.sessions.len() <= 50 && bob.sessions.tags() <= 5000);
    }
    assert_eq!(bob.sessions.len(), 50);
    let message = bob.seal(clock.now(), &alice.peer, 1);
    assert_eq!(alice.open(clock.now(), &bob.peer, message).unwrap().kind, Kind::Existing);
}

#[test]
fn tags_are_bounded_and_the_session_in_use_works_on() {
    let mut clock = Clock::new();
    let mut bob = Side::with(200, SMALL);
    let mut peers: Vec<_> = (1..10).map(Side::new).collect();
    for alice in &mut peers {
        establish(&mut clock, alice, &mut bob);
        for id in 0..1500 {
            let message = alice.seal(clock.pass(1), &bob.peer, id);
            assert_eq!(bob.open(clock.now(), &alice.peer, message).unwrap().kind, Kind::Existing);
            assert!(bob.sessions.tags() <= 5000);
        }
    }
    assert!(bob.sessions.len() >= 4, "{}", bob.sessions.len());
}

#[test]
fn one_peer_cannot_take_more_than_its_share() {
    let mut clock = Clock::new();
    let (mut alice, mut bob) = (Side::new(1), Side::new(2));
    for id in 0..400 {
        alice.sessions.restart(&bob.peer);
        let message = alice.seal(clock.pass(50), &bob.peer, id);
        bob.open(clock.now(), &alice.peer, message).unwrap();
        for _ in 0..3 {
            let reply = bob.seal(clock.now(), &alice.peer, id);
            alice.open(clock.now(), &bob.peer, reply).unwrap();
        }
        let message = alice.seal(clock.now(), &bob.peer, id);
        bob.open(clock.now(), &alice.peer, message).unwrap();
    }
    for side in [&alice, &bob] {
        assert!(side.sessions.tags() < 1500, "{}", side.sessions.tags());
    }
}

#[test]
fn forgetting_a_peer_leaves_nothing() {
    let mut clock = Clock::new();
    let (mut alice, mut bob) = established(&mut clock);
    let stale = alice.seal(clock.now(), &bob.peer, 1);
    bob.sessions.forget(&alice.peer);
    assert!(bob.sessions.is_empty() && bob.sessions.tags() == 0 && bob.sessions.timers.is_empty());
    assert!(bob.open(clock.now(), &alice.peer, stale).is_err());
    assert_eq!(bob.sessions.free.len(), 1);
    bob.seal(clock.now(), &alice.peer, 1);
    assert_eq!((bob.sessions.table.len(), bob.sessions.free.len()), (1, 0));
}

#[test]
fn messages_with_unknown_tags_are_limited_in_number() {
    let mut clock = Clock::new();
    let (mut alice, mut bob) = established(&mut clock);
    let mut rng = rng(5);
    let garbage = (0..1000).map(|_| BytesMut::from(&rng.array::<200>()[..]));
    let errors = garbage.map(|message| bob.sessions.open(clock.now(), message).unwrap_err());
    assert!(errors.filter(|error| *error == Error::Busy).count() > 400);
    let message = alice.seal(clock.now(), &bob.peer, 1);
    assert_eq!(bob.open(clock.now(), &alice.peer, message).unwrap().kind, Kind::Existing);
    let message = Side::new(3).seal(clock.pass(100), &bob.peer, 1);
    assert_eq!(bob.sessions.open(clock.now(), message).unwrap().kind, Kind::NewSession);
}
